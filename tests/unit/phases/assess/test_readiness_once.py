"""What preflight asks about many services costs each host one command."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import docker.errors
import pytest

from checks.containers.state_paths import Change
from engine.config.environment import Environment
from engine.errors import NotObservedError
from hosts.fleet import Fleet
from phases.assess import readiness
from phases.context import service_facts
from tests.fakes.facts import make_container, make_host
from tests.fakes.project_files import ENVIRONMENT

NAMES = ("redis", "n8n", "loki")


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return three services that leave wf005 for wf001, each with a bind mount; loki's docker diff fails."""
    fleet = Fleet(["wf001", "wf005"], Environment.model_validate(ENVIRONMENT), None)
    monkeypatch.setattr(Fleet, "__getitem__", lambda self, name: SimpleNamespace(name=name))
    source = make_host(host="wf005", containers=tuple(make_container(name=name, mounts=()) for name in NAMES))
    moves = [SimpleNamespace(service=name, source="wf005", target="wf001") for name in NAMES]
    mounts = {name: [SimpleNamespace(kind="bind", source=f"/srv/{name}", path="/conf", rule="copy")] for name in NAMES}
    yield SimpleNamespace(
        fleet=fleet, scope=SimpleNamespace(moves=moves), facts=lambda host: source if host == "wf005" else make_host(),
        move_of=lambda service: next(move for move in moves if move.service == service),
        entry=lambda service: SimpleNamespace(container=service, mounts=mounts[service]),
        container=lambda service, host: source.container(service),
    )  # fmt: skip
    fleet.close()


def test_writable_layer_is_asked_of_the_engine(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the forwarded socket, without a command on the host; a container that is gone is reported with the
    way to look.
    """

    def changes(name: str) -> list[dict[str, Any]]:
        if name == "gone":
            raise docker.errors.NotFound("404", explanation="No such container: gone")
        return [{"Path": f"/{name}", "Kind": 1}]

    monkeypatch.setattr(Fleet, "docker", lambda self, name: SimpleNamespace(api=SimpleNamespace(diff=changes)))

    assert service_facts.read_changes(context, "wf005", "redis") == (Change("A", "/redis"),)
    with pytest.raises(NotObservedError, match=r"No such container: gone.*ssh wf005 docker diff gone"):
        service_facts.read_changes(context, "wf005", "gone")


def test_paths_of_a_target_are_looked_at_in_one_command(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of all services that come there."""
    asked: list[list[str]] = []

    def read(host: Any, paths: Any) -> dict[str, Any]:
        asked.append(list(paths))
        return dict.fromkeys(paths, "seen")

    monkeypatch.setattr(readiness.name_conflicts, "read_paths", read)

    assert [readiness.paths_on(context, "wf001", (f"/srv/{name}",))[f"/srv/{name}"] for name in NAMES] == ["seen"] * 3
    assert asked == [["/srv/redis", "/srv/n8n", "/srv/loki"]]
    assert readiness.paths_on(context, "wf001", ("/elsewhere",)) == {"/elsewhere": "seen"}
