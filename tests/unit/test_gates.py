"""The way into the night is open only after a preflight of this very plan that passed, lately, for every move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.environment import Environment
from engine.errors import RefusedError
from engine.journal import Journal, Run
from engine.saga import MoveState
from engine.scope import Scope, build_scope
from engine.secret import Redactor
from engine.verdict import ExitCode
from moves.gates import check_gates
from tests.unit.making_files import make_environment, make_inventory, make_plan


class Past:
    """A journal whose clock a test puts back."""

    def __init__(self, path: Path) -> None:
        """Open it."""
        self.now = datetime.now(UTC)
        self.journal = Journal.open(path / "state" / "p.sqlite", redactor=Redactor(), clock=lambda: self.now)

    def preflight(self, scope: Scope, *services: str, command: str = "preflight", finished: bool = True, **row: Any) -> None:
        """Record a run with one row per service and one of a host; `row` changes the services' rows."""
        run = self.journal.start_run(command=command, environment="production", plan_digest=scope.digest)
        body = {"phase": command, "severity": "blocker", "verdict": "PASSED", "text": "ok"}
        run.record("step", key="ssh", body=body)
        for service in services:
            run.record("step", service=service, key="volumes-fit", body={**body, **row})
        if finished:
            run.finish({"PASSED": 1}, ExitCode.OK)

    def state(self, service: str, state: MoveState) -> Run:
        """Record where a move stands."""
        run = self.journal.start_run(command="migrate", environment="production")
        run.record("move_state", service=service, body={"state": state.value})
        return run


@pytest.fixture
def past(tmp_path: Path) -> Past:
    """Return an empty past."""
    return Past(tmp_path)


def scope_of(environment: Environment | None = None, **chosen: Any) -> Scope:
    """Return the scope of the small files."""
    return build_scope(make_inventory(), make_plan(), environment or make_environment(), **chosen)


def refusal(past: Past, scope: Scope) -> str:
    """Return what the gate says, empty when it is open."""
    try:
        check_gates("migrate", scope, past.journal)
    except RefusedError as error:
        return str(error)
    return ""


def test_a_passed_preflight_opens_the_gate(past: Past) -> None:
    """Every move has rows of the newest preflight, all of them good."""
    past.preflight(scope_of(), "n8n", "redis")

    assert refusal(past, scope_of()) == ""


@pytest.mark.parametrize("command", ["prepare", "preflight", "validate"])
def test_only_migrate_has_a_gate(past: Past, command: str) -> None:
    """What can be undone by itself, or changes nothing, may always start."""
    check_gates(command, scope_of(), past.journal)


def test_without_a_preflight_each_move_is_named(past: Past) -> None:
    """The refusal says that nothing was done, why for each move, and the command to run."""
    assert refusal(past, scope_of()).splitlines() == [
        "migrate: refused, nothing was done",
        "  n8n: no preflight on record. Expected: one that PASSED",
        "  redis: no preflight on record. Expected: one that PASSED",
        "Try: nox -s preflight -- --environment production",
    ]
    lab = make_environment(("environment", "lab"))
    assert refusal(past, scope_of(lab)).endswith("Try: nox -s preflight -- --lab")


def test_a_preflight_of_one_move_opens_no_other(past: Past) -> None:
    """--service in preflight, all in migrate: the others are refused."""
    past.preflight(scope_of(), "redis")

    assert refusal(past, scope_of(services=("redis",))) == ""
    assert "n8n: no preflight on record" in refusal(past, scope_of())


def test_rows_of_another_phase_are_no_preflight(past: Past) -> None:
    """A validation that passed says nothing about tonight."""
    past.preflight(scope_of(), "n8n", "redis", command="validate")

    assert "no preflight on record" in refusal(past, scope_of())


def test_a_preflight_for_other_files_is_refused(past: Past) -> None:
    """Somebody edited the plan after it was proven."""
    changed = build_scope(make_inventory(("services/redis/image", "redis:7")), make_plan(), make_environment())
    past.preflight(changed, "n8n", "redis")

    said = refusal(past, scope_of())

    assert f"was for plan {changed.digest[:12]}. Expected: {scope_of().digest[:12]}; files changed" in said


@pytest.mark.parametrize(("hours", "opens"), [(23.9, True), (24.1, False)])
def test_a_preflight_gets_old(past: Past, hours: float, opens: bool) -> None:
    """The plan says how long proof lasts."""
    scope = scope_of()
    past.now = datetime.now(UTC) - timedelta(hours=hours)
    past.preflight(scope, "n8n", "redis")

    said = refusal(past, scope)

    assert (said == "") is opens
    assert opens or "preflight is 24.1 h old. Expected: at most 24 h" in said


@pytest.mark.parametrize(
    ("verdict", "severity", "opens"),
    [
        ("FAILED", "blocker", False),
        ("UNKNOWN", "blocker", False),
        ("NOT_RUN", "blocker", False),
        ("WAITING", "blocker", False),
        ("WAIVED", "blocker", True),
        ("FAILED", "warning", True),
    ],
)
def test_only_good_rows_open_the_gate(past: Past, verdict: str, severity: str, opens: bool) -> None:
    """Not looked is not passed; a waiver and a warning let it through."""
    past.preflight(scope_of(), "n8n", "redis", verdict=verdict, severity=severity, text="62 % free")

    said = refusal(past, scope_of())

    assert (said == "") is opens
    assert opens or f"  redis: preflight volumes-fit is {verdict}: 62 % free" in said


def test_a_bad_host_closes_the_gate_of_its_moves(past: Past) -> None:
    """Rows of the run that belong to no service count for all."""
    run = past.journal.start_run(command="preflight", environment="production", plan_digest=scope_of().digest)
    row = {"phase": "preflight", "severity": "blocker", "text": "t"}
    run.record("step", key="disk", body={**row, "verdict": "FAILED"})
    for service in ("n8n", "redis"):
        run.record("step", service=service, key="ok", body={**row, "verdict": "PASSED"})
    run.finish({}, ExitCode.FAILED)

    assert "  n8n: preflight disk is FAILED: t" in refusal(past, scope_of())


def test_the_newest_preflight_counts(past: Past) -> None:
    """A later failure closes what an earlier pass opened, and the other way round."""
    past.preflight(scope_of(), "n8n", "redis")
    past.preflight(scope_of(), "redis", verdict="FAILED")
    assert "redis: preflight volumes-fit is FAILED" in refusal(past, scope_of())

    past.preflight(scope_of(), "redis")
    assert refusal(past, scope_of()) == ""


def test_a_preflight_that_was_killed_opens_nothing(past: Past) -> None:
    """The rows that it wrote are good, and those that it did not write are missing: it proves nothing."""
    past.preflight(scope_of(), "n8n", "redis", finished=False)

    assert "  redis: preflight of " in refusal(past, scope_of())
    assert "was killed after 2 rows. Expected: one that ran to its end" in refusal(past, scope_of())


@pytest.mark.parametrize("state", [MoveState.IN_PROGRESS, MoveState.COMMITTED, MoveState.DONE])
def test_a_move_that_has_begun_needs_no_preflight(past: Past, state: MoveState) -> None:
    """Gates guard the way in, never the way out: a resume at 03:00 is not refused for an old preflight."""
    for service in ("n8n", "redis"):
        past.state(service, state)

    assert refusal(past, scope_of()) == ""


@pytest.mark.parametrize("state", [MoveState.PLANNED, MoveState.PREPARED, MoveState.UNDONE])
def test_a_move_that_was_undone_begins_again(past: Past, state: MoveState) -> None:
    """It needs a preflight like the first time."""
    past.state("redis", state)

    assert "redis: no preflight on record" in refusal(past, scope_of())


@pytest.mark.parametrize(("state", "words"), [(MoveState.NEEDS_PERSON, "needs person"), (MoveState.ROLLED_BACK, "rolled back")])
def test_a_stuck_move_is_for_a_person(past: Past, state: MoveState, words: str) -> None:
    """No preflight, however good, starts a move that somebody must look at first."""
    past.state("redis", state)
    past.preflight(scope_of(), "n8n", "redis")

    said = refusal(past, scope_of())

    assert f"  redis: {words}: look at its last evidence, mend it by hand. Look: nox -s status" in said
    assert "n8n" not in said


def test_all_reasons_are_told_at_once(past: Past) -> None:
    """One refusal lists every row of every move that is not good."""
    before = refusal(past, scope_of())
    past.state("n8n", MoveState.NEEDS_PERSON)

    assert before.count("no preflight") == 2
    assert [line.split(":")[0].strip() for line in refusal(past, scope_of()).splitlines()[1:-1]] == ["n8n", "redis"]
