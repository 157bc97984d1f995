"""What preflight asks about many services costs each host one command."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from checks.state import Change
from engine.environment import Environment
from engine.errors import CouldNotLookError
from hosts.fleet import Fleet
from moves import preflighting
from tests.unit.making_facts import make_container, make_host
from tests.unit.making_files import ENVIRONMENT

NAMES = ("redis", "n8n", "loki")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return three services that leave wf005 for wf001, each with a bind mount; loki's docker diff fails."""
    fleet = Fleet(["wf001", "wf005"], Environment.model_validate(ENVIRONMENT), None)
    monkeypatch.setattr(Fleet, "__getitem__", lambda self, name: SimpleNamespace(name=name))
    source = make_host(host="wf005", containers=tuple(make_container(name=name, mounts=()) for name in NAMES))
    moves = [SimpleNamespace(service=name, source="wf005", target="wf001") for name in NAMES]
    mounts = {name: [SimpleNamespace(kind="bind", source=f"/srv/{name}", at="/conf", rule="copy")] for name in NAMES}
    yield SimpleNamespace(
        fleet=fleet, scope=SimpleNamespace(moves=moves), facts=lambda host: source if host == "wf005" else make_host(),
        move_of=lambda service: next(move for move in moves if move.service == service),
        entry=lambda service: SimpleNamespace(container=service, mounts=mounts[service]),
        container=lambda service, host: source.container(service),
    )  # fmt: skip
    fleet.close()


def test_writable_layers_of_a_host_are_read_in_one_command(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that failed is told at its own service; forgotten facts are asked anew."""
    asked: list[list[str]] = []

    def read(host: Any, names: list[str]) -> dict[str, Any]:
        asked.append(names)
        return {name: CouldNotLookError("loki: no") if name == "loki" else (Change("A", f"/{name}"),) for name in names}

    monkeypatch.setattr(preflighting.state, "read_changes", read)

    assert [preflighting._changes(world, "wf005", name)[0].path for name in ("redis", "n8n")] == ["/redis", "/n8n"]
    with pytest.raises(CouldNotLookError, match="loki: no"):
        preflighting._changes(world, "wf005", "loki")
    assert len(asked) == 1
    world.fleet.forget_facts("wf005")
    preflighting._changes(world, "wf005", "redis")
    assert len(asked) == 2
    preflighting._changes(world, "wf005", "stranger")
    assert asked[-1] == ["stranger"]


def test_paths_of_a_target_are_looked_at_in_one_command(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of all services that come there."""
    asked: list[list[str]] = []

    def read(host: Any, paths: Any) -> dict[str, Any]:
        asked.append(list(paths))
        return dict.fromkeys(paths, "seen")

    monkeypatch.setattr(preflighting.names, "read_paths", read)

    assert [preflighting._paths(world, "wf001", (f"/srv/{name}",))[f"/srv/{name}"] for name in NAMES] == ["seen"] * 3
    assert asked == [["/srv/redis", "/srv/n8n", "/srv/loki"]]
    assert preflighting._paths(world, "wf001", ("/elsewhere",)) == {"/elsewhere": "seen"}
