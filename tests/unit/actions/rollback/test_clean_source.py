"""What a move left on its source is removed also when its target is lost and nobody can ask it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from actions.common.route import Route
from actions.rollback.clean_source import CleanSource
from engine.constants import LABEL_MOVE, LABEL_ROLE
from engine.errors import HostLostError
from tests.fakes.facts import LABEL
from tests.fakes.host import FakeHost

COPY_KEY = "/run/longshore-copy-lab-redis-1"


class Fleet(dict[str, FakeHost]):
    """A source, and a target that is declared lost; one helper is on the source until it is removed."""

    token: str | None = None

    def __init__(self, **answers: tuple[int, str, str]) -> None:
        """Start."""
        super().__init__(wf005=FakeHost("wf005", {"docker ps": (0, "c0ffee\n", ""), **answers}))
        self.helpers = [{"Labels": {LABEL_MOVE: LABEL, LABEL_ROLE: "copy"}}]

    def __missing__(self, name: str) -> FakeHost:
        """Refuse to ask the lost host."""
        raise HostLostError(f"{name}: declared lost")

    def docker(self, name: str) -> Any:
        """Return the source's engine."""
        assert name == "wf005"
        return SimpleNamespace(
            api=SimpleNamespace(containers=lambda **_: self.helpers, inspect_container=lambda _: None)
        )


@pytest.fixture(autouse=True)
def _audit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actions.common.route.append_audit", lambda *_, **__: None)
    monkeypatch.setattr("actions.rollback.clean_source.probe_is_there", lambda _: False)


def cleaning(fleet: Any) -> CleanSource:
    """Return the action."""
    return CleanSource(
        Route(fleet, "redis", "redis", "wf005", "wf001", LABEL), ("copy", "replica"), ("copy", "replica")
    )


def test_helpers_and_private_keys_go_and_the_lost_host_is_not_asked() -> None:
    """The ends of the copy would run for hours with the data mounted, and so would the lost host's key."""
    fleet = Fleet()
    cleaning(fleet).do({})
    asked = [" ".join(argv) for argv, _ in fleet["wf005"].asked]
    assert [line for line in asked if line.startswith("rm ")] == [
        f"rm -rf -- {COPY_KEY}",
        "rm -rf -- /run/longshore-replica-lab-redis-1",
    ]
    assert sum("label=longshore.role=copy" in line or "label=longshore.role=replica" in line for line in asked) == 2
    assert "docker rm --force --volumes c0ffee" in asked


def test_it_passes_only_once_nothing_is_left() -> None:
    """A helper, then a key, then nothing."""
    gone = {"ls -d": (2, "", "ls: cannot access: No such file or directory")}
    fleet = Fleet(**gone)
    assert "still there: 1 helper containers" in cleaning(fleet).verify({}).text
    fleet.helpers.clear()
    assert cleaning(fleet).verify({}).passed
    assert "still there: the key for the copy" in cleaning(Fleet()).verify({}).text
