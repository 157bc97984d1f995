"""Actions on containers against a fake engine: what they refuse is more important than what they do."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from actions.common.route import Route
from actions.container.commit import Commit
from actions.container.source import DisableRestart, RenameSource, StopSource
from actions.container.target import CreateTarget, StartTarget
from actions.container_spec.saved_spec import SaveSourceSpec, path_of
from actions.relays.planning import Relay
from engine.errors import ActionError, ManualInterventionError, NotObservedError, RefusedError
from engine.verdict import Verdict
from tests.fakes.engine import Engine
from tests.fakes.facts import LABEL
from tests.fakes.fleet import FakeFleet
from tests.fakes.host import HostWithFiles
from tests.fakes.inspect_answer import inspected, recreated


@pytest.fixture(autouse=True)
def audit(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Catch what is written to the hosts' audit logs."""
    written: list[str] = []
    monkeypatch.setattr("actions.common.route.append_audit", lambda host, *_, **__: written.append(host.name))
    return written


def make_route(source: Engine, target: Engine) -> tuple[Route, FakeFleet[HostWithFiles]]:
    """Return the move of redis from wf005 to wf001."""
    hosts = {name: HostWithFiles(name) for name in ("wf005", "wf001")}
    fleet: Any = FakeFleet(hosts, {"wf005": source, "wf001": target})
    return Route(fleet, "redis", "redis", "wf005", "wf001", LABEL), fleet


def recorded_route(source: Engine, target: Engine) -> tuple[Route, FakeFleet[HostWithFiles]]:
    """Return the move with its source recorded."""
    route, fleet = make_route(source, target)
    SaveSourceSpec(route).do({})
    return route, fleet


def stopped_route(source: Engine, target: Engine) -> tuple[Route, FakeFleet[HostWithFiles]]:
    """Return the move with its source recorded, and stopped by it."""
    route, fleet = recorded_route(source, target)
    DisableRestart(route).do({})
    StopSource(route, grace_s=10).do({})
    source.calls.clear()
    return route, fleet


def stopped(inspect: dict[str, Any], code: int = 0, *, killed: bool = False) -> dict[str, Any]:
    """Return the container stopped."""
    return {**inspect, "State": {"Status": "exited", "Running": False, "ExitCode": code, "OOMKilled": killed}}


def test_record_is_kept_for_the_attempt_and_not_overwritten(audit: list[str]) -> None:
    """A resume must not record the stopped source with its policy already changed."""
    source = Engine(inspected())
    route, fleet = make_route(source, Engine())
    action = SaveSourceSpec(route)
    action.do({})
    source.containers[0]["HostConfig"]["RestartPolicy"] = {"Name": "no"}
    action.do({})
    kept = json.loads(fleet["wf005"].files[path_of("redis")])
    assert kept["inspect"]["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert action.verify({}).passed
    assert audit == ["wf005"]
    action.undo({})
    assert not action.verify({}).passed


def test_restart_policy_is_put_back() -> None:
    """The old value comes from the record."""
    source = Engine(inspected())
    route, _ = recorded_route(source, Engine())
    note: dict[str, Any] = {}
    action = DisableRestart(route)
    assert action.verify(note).verdict is Verdict.FAILED
    action.do(note)
    assert action.verify(note).passed
    action.undo(note)
    assert source.containers[0]["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


def test_stop_uses_the_products_grace() -> None:
    """Docker's own 10 s kill databases."""
    source = Engine(inspected())
    route, _ = recorded_route(source, Engine())
    note: dict[str, Any] = {}
    action = StopSource(route, grace_s=120)
    action.do(note)
    assert source.calls == ["stop 120"]
    assert action.verify(note).passed


@pytest.mark.parametrize(
    ("code", "killed", "expected"), [(137, False, "137"), (0, True, "memory"), (1, False, "exit code 1")]
)
def test_killed_process_is_not_a_clean_stop(code: int, killed: bool, expected: str) -> None:
    """Files of a killed database are not copied, even when 137 is listed as clean."""
    route, _ = make_route(Engine(stopped(inspected(), code, killed=killed)), Engine())
    answer = StopSource(route, grace_s=10, clean_exit_codes={0, 137}).verify({"was_running": True})
    assert answer.verdict is Verdict.FAILED
    assert expected in answer.text


def test_stop_that_was_interrupted_is_still_judged() -> None:
    """A second start finds the container killed: whether it ran is what was recorded, not what is seen now."""
    source = Engine(inspected())
    route, _ = recorded_route(source, Engine())
    source.containers[0] = stopped(inspected(), 137)
    source.stop = lambda name, timeout: None  # type: ignore[method-assign]
    note: dict[str, Any] = {}
    action = StopSource(route, grace_s=10)
    action.do(note)
    assert note["was_running"] is True
    assert action.verify(note).verdict is Verdict.FAILED


def test_source_starts_again_when_the_target_is_absent_or_stopped() -> None:
    """The two safe cases."""
    for target in (Engine(), Engine(stopped(recreated()))):
        source = Engine(stopped(inspected()))
        route, _ = make_route(source, target)
        StopSource(route, grace_s=10).undo({"was_running": True})
        assert source.calls == ["start"]


def test_source_is_never_started_while_the_target_runs_or_is_not_seen() -> None:
    """Two writers lose data: a person looks first, and no advice stops a side that may serve."""
    running = Engine({**recreated(), "State": {"Status": "running", "Running": True}})
    silent = Engine()
    silent.silent = True
    for target in (running, silent):
        source = Engine(stopped(inspected()))
        route, _ = make_route(source, target)
        with pytest.raises(
            ManualInterventionError,
            match=r"stop neither before that is known: .*nox -s rollback -- redis --lab --apply",
        ) as error:
            StopSource(route, grace_s=10).undo({"was_running": True})
        assert source.calls == []
        assert "docker stop" not in str(error.value)


def test_container_that_did_not_run_is_not_started_by_undo() -> None:
    """Undo puts back what was, no more."""
    source = Engine(stopped(inspected()))
    route, _ = recorded_route(source, Engine())
    StopSource(route, grace_s=10).undo({})
    assert source.calls == []


def test_target_is_created_by_id_with_policy_no_networks_and_label() -> None:
    """The whole create, and its proof."""
    source, target = Engine(inspected()), Engine()
    route, _ = stopped_route(source, target)
    note: dict[str, Any] = {}
    action = CreateTarget(route, addresses={"192.0.2.5": "192.0.2.11"})
    action.do(note)
    assert target.asked_for["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert target.asked_for["Labels"]["longshore.move"] == LABEL
    assert list(target.asked_for["NetworkingConfig"]["EndpointsConfig"]) == ["shop"]
    assert target.calls == ["connect metrics"]
    assert [network["Name"] for network in target.made_networks] == ["shop", "metrics"]
    assert action.verify(note).passed
    action.do(note)
    assert len(target.containers) == 1
    action.undo(note)
    assert (target.containers, target.made_networks) == ([], [])


def test_container_of_somebody_else_is_refused_and_survives_undo() -> None:
    """Nothing without the label is reused or removed."""
    stranger = {**inspected(), "Id": "9" * 64}
    target = Engine(stranger)
    route, _ = stopped_route(Engine(inspected()), target)
    action = CreateTarget(route)
    with pytest.raises(RefusedError, match="exists already"):
        action.do({})
    action.undo({})
    assert target.containers == [stranger]


def test_network_of_somebody_else_is_refused() -> None:
    """Also networks."""
    target = Engine()
    target.made_networks.append({"Id": "shop", "Name": "shop", "Labels": {}, "IPAM": {}})
    route, _ = stopped_route(Engine(inspected()), target)
    with pytest.raises(RefusedError, match="network shop"):
        CreateTarget(route).do({})


def test_without_a_record_nothing_is_created() -> None:
    """The live container is not trusted: it may have been changed since."""
    route, _ = make_route(Engine(inspected()), Engine())
    with pytest.raises(ActionError, match="Expected: recorded for lab/redis/1"):
        CreateTarget(route).do({})


def test_target_is_not_started_while_the_source_runs() -> None:
    """Somebody may have started it again in the meantime."""
    target = Engine(recreated())
    route, _ = recorded_route(Engine(inspected()), target)
    with pytest.raises(RefusedError, match="two at once"):
        StartTarget(route, grace_s=10).do({})
    assert target.calls == []


def test_started_target_is_stopped_and_seen_stopped_by_undo() -> None:
    """And a target that can't be seen needs a person."""
    source, target = Engine(inspected()), Engine(recreated())
    route, _ = recorded_route(source, target)
    source.stop("redis", 1)
    action = StartTarget(route, grace_s=10)
    action.do({})
    assert action.verify({}).passed
    action.undo({})
    assert target.containers[0]["State"]["Status"] == "exited"
    target.silent = True
    with pytest.raises(ManualInterventionError, match="not seen stopped"):
        action.undo({})


def test_kept_source_has_another_name_and_gets_it_back() -> None:
    """And another container under the kept name is not overwritten."""
    source = Engine(inspected())
    route, _ = recorded_route(source, Engine())
    DisableRestart(route).do({})
    source.stop("redis", 1)
    action = RenameSource(route)
    action.do({})
    action.do({})
    assert action.verify({}).passed
    action.undo({})
    assert source.containers[0]["Name"] == "/redis"
    source.containers.append({**inspected(), "Name": "/redis-moved", "Id": "8" * 64})
    with pytest.raises(RefusedError, match="another container"):
        action.do({})


def test_what_was_done_to_the_source_is_still_seen_once_it_is_renamed() -> None:
    """A run that was killed between the last action and the record of the end looks at all actions again, the rename
    being
    done.
    """
    source = Engine(inspected())
    route, _ = recorded_route(source, Engine())
    DisableRestart(route).do({})
    source.stop("redis", 1)
    RenameSource(route).do({})

    assert DisableRestart(route).verify({}).passed
    assert StopSource(route, grace_s=10).verify({}).passed


def test_silent_engine_is_no_answer_not_a_failure() -> None:
    """UNKNOWN, with the host's name."""
    source = Engine(inspected())
    route, _ = recorded_route(source, Engine())
    source.silent = True
    with pytest.raises(NotObservedError, match="wf005"):
        DisableRestart(route).verify({})


def make_commit(monkeypatch: pytest.MonkeyPatch, relays: list[Any]) -> tuple[Commit, Engine, list[str]]:
    """Return a commit whose relays are faked."""
    source, target = Engine(inspected()), Engine(recreated())
    route, _ = stopped_route(source, target)
    StartTarget(route, grace_s=10).do({})
    target.calls.clear()
    switched: list[str] = []
    monkeypatch.setattr("actions.container.commit.list_relays", lambda *_: relays)
    monkeypatch.setattr(
        "actions.container.commit.apply_forwarders",
        lambda *_: (switched.append("switched"), SimpleNamespace(created=(), removed=(), kept=()))[1],  # type: ignore[func-returns-value]
    )
    relay = Relay("wf005", "shop", "redis", 6379, "192.0.2.1", 6379)
    return Commit(route, frozenset({relay}), frozenset(), ("wf005", "wf001")), target, switched


def test_commit_gives_the_recorded_policy_before_it_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a commit that failed before any relay ran can be undone."""
    commit, target, switched = make_commit(monkeypatch, [])
    note: dict[str, Any] = {}
    commit.do(note)
    assert target.calls == ["update unless-stopped"]
    assert switched == ["switched"]
    commit.undo(note)
    assert target.calls[-1] == "update no"


def test_commit_is_not_undone_once_clients_were_switched(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may have written to the target: undoing would throw that away."""
    relays: list[Any] = []
    commit, _, switched = make_commit(monkeypatch, relays)
    relays.append(SimpleNamespace(running=True, made_for=next(iter(commit.wanted)).text()))
    for note in ({"switching": True, "restart_policy": {"Name": "always"}}, {}):
        with pytest.raises(ManualInterventionError, match="may have written"):
            commit.undo(note)
    assert switched == []
