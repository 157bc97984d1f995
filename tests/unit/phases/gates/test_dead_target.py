"""A dead target: only a person says so, never of a host that answers, and what rises there is stopped."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from actions.common.route import Route
from actions.container.source import see_target_down
from engine.config.scope import Scope, build_scope
from engine.contracts.move_state import MoveState
from engine.errors import DeadlineError, HostLostError, InputError, NotObservedError, RefusedError, UnreachableError
from engine.journal.journal import Journal, Run
from engine.redaction.redactor import Redactor
from engine.run.options import Options
from hosts.fleet import Fleet
from phases.gates import dead_target
from tests.fakes.host import FakeHost
from tests.fakes.project_files import make_environment, make_inventory, make_plan

REASON = "disk controller burnt"


@dataclass
class FakeFleet:
    """Hosts that answer from a script; who is not among them does not answer."""

    hosts: dict[str, FakeHost]
    lost: dict[str, str] = field(default_factory=dict)
    token: str | None = None

    def __getitem__(self, name: str) -> FakeHost:
        """Return a host, or raise as one that is away."""
        if name not in self.hosts:
            raise UnreachableError(f"{name}: no answer")
        return self.hosts[name]

    def mark_lost(self, name: str, reason: str) -> None:
        """Remember who is dead."""
        self.lost[name] = reason


class Silent:
    """A fleet whose hosts all fail in one way."""

    token = None

    def __init__(self, error: Exception) -> None:
        """Know how."""
        self.error = error
        self.asked: list[str] = []
        self.lost: dict[str, str] = {}

    def __getitem__(self, name: str) -> FakeHost:
        """Fail."""
        self.asked.append(name)
        raise self.error

    def mark_lost(self, name: str, reason: str) -> None:
        """Remember who is dead."""
        self.lost[name] = reason


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let a minute pass at once; return how long was waited between two tries."""
    waited: list[float] = []
    monkeypatch.setattr("time.monotonic", lambda: sum(waited))
    monkeypatch.setattr("time.sleep", waited.append)
    return waited


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a run with its journal."""
    journal = Journal.open(tmp_path / "journal.sqlite", redactor=Redactor())
    return journal.start_run(
        command="rollback", environment="lab", plan_digest="d", operator="me", version="0", commit="0", argv=[]
    )


def _scope(service: str) -> Scope:
    return build_scope(make_inventory(), make_plan(), make_environment(), services=(service,), waves=())


def _options(**given: Any) -> Options:
    asked = Options("lab", ("redis",), (), True, Path("i"), Path("p"), None, (), target_lost=REASON)
    return replace(asked, **given)


def _stands(run: Run, state: MoveState) -> None:
    run.record("move_state", service="redis", body={"state": state.value})


def test_a_dead_target_is_asked_nothing(run: Run) -> None:
    """Said of a host that does not answer, with the writes given up: it is marked lost."""
    _stands(run, MoveState.DONE)
    scope, fleet = _scope("redis"), FakeFleet({})
    target = scope.moves[0].target

    lost_hosts = dead_target.exclude_lost_hosts(fleet, scope, run.journal, _options(discard=REASON), "rollback")  # type: ignore[arg-type]

    assert lost_hosts == {target}
    assert fleet.lost == {target: REASON}


def test_a_host_that_answers_is_not_dead(run: Run) -> None:
    """A host that still runs is never marked lost."""
    scope = _scope("redis")
    fleet = FakeFleet({scope.moves[0].target: FakeHost(scope.moves[0].target)})

    with pytest.raises(RefusedError, match="wf001: answers through ssh, so it is not dead"):
        dead_target.exclude_lost_hosts(fleet, scope, run.journal, _options(discard=REASON), "rollback")  # type: ignore[arg-type]

    assert not fleet.lost


@pytest.mark.parametrize(
    "error",
    [
        NotObservedError("wf001: sudo asks for a password"),
        DeadlineError("wf001: true did not end within 15 s"),
        RefusedError("wf001: its ssh host key is another"),
        UnreachableError("wf001: ssh failed: root@192.0.2.1: Permission denied (publickey). Try: ssh wf001 true"),
        UnreachableError(
            "wf001: ssh failed: ssh: connect to host 192.0.2.1 port 22: Connection refused. Try: ssh wf001 true"
        ),
        UnreachableError(
            "wf001: ssh failed: ssh: connect to host 192.0.2.1 port 22: Network is unreachable. Try: ssh wf001 true"
        ),
        UnreachableError("wf001: ssh failed: Connection timed out during banner exchange. Try: ssh wf001 true"),
        UnreachableError("wf001: ssh failed: no connection in time. Try: ssh wf001 true"),
    ],
)
def test_a_host_that_is_slow_or_refuses_lives(run: Run, error: Exception) -> None:
    """Dead is only what nobody can connect to: on any other host the service may still run."""
    _stands(run, MoveState.DONE)
    fleet = Silent(error)

    with pytest.raises(RefusedError, match="so it is not dead"):
        dead_target.exclude_lost_hosts(fleet, _scope("redis"), run.journal, _options(discard=REASON), "rollback")  # type: ignore[arg-type]

    assert not fleet.lost


@pytest.mark.parametrize("said", ["Connection timed out", "No route to host"])
def test_a_host_counts_as_dead_after_a_minute_without_a_connection(run: Run, clock: list[float], said: str) -> None:
    """One try is not enough: a host that reboots is back within it."""
    _stands(run, MoveState.DONE)
    fleet = Silent(
        UnreachableError(f"wf001: ssh failed: ssh: connect to host 192.0.2.1 port 22: {said}. Try: ssh wf001 true")
    )

    dead_target.exclude_lost_hosts(fleet, _scope("redis"), run.journal, _options(discard=REASON), "rollback")  # type: ignore[arg-type]

    assert sum(clock) == 60
    assert len(fleet.asked) == 13


def test_lost_writes_must_be_given_up_in_words(run: Run) -> None:
    """After the commit clients wrote to the dead host: that is refused without the flag that says so, and free before
    the commit.
    """
    scope, fleet = _scope("redis"), FakeFleet({})
    _stands(run, MoveState.COMMITTED)
    with pytest.raises(RefusedError, match="add --discard-target-writes"):
        dead_target.exclude_lost_hosts(fleet, scope, run.journal, _options(), "rollback")  # type: ignore[arg-type]

    _stands(run, MoveState.UNDONE)
    _stands(run, MoveState.IN_PROGRESS)
    assert dead_target.exclude_lost_hosts(fleet, scope, run.journal, _options(), "rollback")  # type: ignore[arg-type]


def test_references_to_a_dead_host_can_be_put_back(run: Run) -> None:
    """Before its service goes back; nothing is lost by that, and nothing is to be stopped should it rise."""
    scope, fleet, options = _scope("redis"), FakeFleet({}), _options(revert=True, apply=True)
    _stands(run, MoveState.DONE)

    lost_hosts = dead_target.exclude_lost_hosts(fleet, scope, run.journal, options, "repoint")  # type: ignore[arg-type]
    dead_target.record_lost(run, scope, run.journal, lost_hosts, options)

    assert lost_hosts == {scope.moves[0].target}
    assert [record.body["labels"] for record in run.journal.records(kind="host_lost")] == [[]]


@pytest.mark.parametrize(("command", "services"), [("repoint", ("redis",)), ("migrate", ("redis",)), ("rollback", ())])
def test_it_goes_with_a_rollback_by_name(run: Run, command: str, services: tuple[str, ...]) -> None:
    """Everything else is wrong input."""
    with pytest.raises(InputError, match=r"goes with a rollback .* of services given by name"):
        dead_target.exclude_lost_hosts(
            FakeFleet({}), _scope("redis"), run.journal, _options(services=services), command
        )  # type: ignore[arg-type]


def test_what_rises_is_stopped_once(run: Run) -> None:
    """The next run that reaches the host stops what carries the move's label; the one after has nothing to do."""
    _stands(run, MoveState.DONE)
    scope = _scope("redis")
    target = scope.moves[0].target
    dead_target.record_lost(run, scope, run.journal, frozenset({target}), _options())
    _stands(run, MoveState.ROLLING_BACK)

    dead_target.stop_recovered(FakeFleet({}), scope, run.journal, run)  # type: ignore[arg-type]
    assert not run.journal.records(kind="recovered_host_stopped")

    risen = FakeHost(target, {"docker stop": (0, "c0ffee\n", "")})
    for _ in range(2):
        dead_target.stop_recovered(FakeFleet({target: risen}), scope, run.journal, run)  # type: ignore[arg-type]
    asked = [argv for argv, _ in risen.asked if "docker stop" in " ".join(argv)]
    assert [argv[-1] for argv in asked] == ["longshore.move=production/redis/1"]
    assert [record.body["stopped"] for record in run.journal.records(kind="recovered_host_stopped")] == [1]


@pytest.mark.parametrize("since", [(), (MoveState.ROLLING_BACK, MoveState.COMMITTED)])
def test_what_rises_and_still_serves_is_not_stopped(run: Run, since: tuple[MoveState, ...]) -> None:
    """The rollback that called its host dead never began, or was undone: the service is down if its container is
    stopped there.
    """
    _stands(run, MoveState.COMMITTED)
    scope = _scope("redis")
    target = scope.moves[0].target
    dead_target.record_lost(run, scope, run.journal, frozenset({target}), _options())
    for state in since:
        _stands(run, state)

    risen = FakeHost(target, {"docker stop": (0, "c0ffee\n", "")})
    dead_target.stop_recovered(FakeFleet({target: risen}), scope, run.journal, run)  # type: ignore[arg-type]

    assert not risen.asked
    assert not run.journal.records(kind="recovered_host_stopped")


def test_a_lost_host_is_not_asked() -> None:
    """Whoever asks the fleet for it learns why there is no answer; for the action that must see it down, that is an
    answer.
    """
    fleet = Fleet(["wf001"], make_environment(), None)
    try:
        fleet.mark_lost("wf001", REASON)
        with pytest.raises(HostLostError, match=r"wf001: not asked: declared lost \(disk controller burnt\)"):
            _ = fleet["wf001"]
        with pytest.raises(NotObservedError):
            fleet.facts("wf001")
        see_target_down(Route(fleet, "redis", "redis", "wf005", "wf001", "lab/redis/1"))
    finally:
        fleet.close()
