"""The way into the night is open only after a preflight of this very plan that passed, lately, for every move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from engine.config.environment import Environment
from engine.config.scope import Scope, build_scope
from engine.contracts.move_state import MoveState
from engine.errors import RefusedError
from engine.journal.journal import Journal, Run
from engine.redaction.redactor import Redactor
from engine.verdict import ExitCode
from phases.gates.gates import Gates, preflight_problems
from phases.signoff.approvals import code_digest
from tests.fakes.preflight_results import record_rows
from tests.fakes.project_files import make_environment, make_inventory, make_plan


class Past:
    """A journal whose clock a test puts back."""

    def __init__(self, path: Path) -> None:
        """Open it."""
        self.now = datetime.now(UTC)
        self.journal = Journal.open(path / "state" / "p.sqlite", redactor=Redactor(), clock=lambda: self.now)

    def preflight(
        self,
        scope: Scope,
        *services: str,
        command: str = "preflight",
        finished: bool = True,
        without: tuple[str, ...] = (),
        code: str | None = None,
        **row: Any,
    ) -> None:
        """Record a run with a row of every step of its runbooks, and one more per service, which `row` changes."""
        run = self.journal.start_run(
            command=command,
            environment="production",
            plan_digest=scope.digest,
            code=code or code_digest(),
            apply=row.get("verdict") != "PLANNED",
        )
        body = {"phase": command, "severity": "blocker", "verdict": "PASSED", "text": "ok"}
        record_rows(run, scope, services, command, without)
        for service in services:
            run.record("result", service=service, key="volumes-fit", body={**body, **row})
        if finished:
            run.finish({"PASSED": 1}, ExitCode.OK)

    def newest_run(self) -> Run:
        """Return the run that wrote last, to resume it."""
        last = self.journal.records()[-1]
        run = Run(self.journal, last.run_id, head=last.hash)
        run.count = last.number
        return run

    def state(self, service: str, state: MoveState) -> Run:
        """Record where a move stands."""
        run = self.journal.start_run(command="migrate", environment="production")
        run.record("move_state", service=service, body={"state": state.value})
        return run


@pytest.fixture
def past(tmp_path: Path) -> Past:
    """Return an empty past."""
    return Past(tmp_path)


@pytest.fixture(autouse=True)
def _nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a plan that asks nobody do here, as in the lab; who must sign is the subject of test_approving.py."""
    monkeypatch.setattr("phases.signoff.approvals.LAB", "production")


OPEN: Final = (
    "window",
    {"starts_at": "2000-01-01T00:00:00Z", "ends_at": "2100-01-01T00:00:00Z", "time_zone": "UTC", "status": "agreed"},
)
NOBODY: Final = ("approvals", [])


def scope_of(environment: Environment | None = None, **chosen: Any) -> Scope:
    """Return the scope of the small files, with the window open and nobody to ask."""
    return build_scope(make_inventory(), make_plan(NOBODY), environment or make_environment(OPEN), **chosen)


def refusal(past: Past, scope: Scope, **said: Any) -> str:
    """Return what the gates say, empty when they are open."""
    try:
        Gates(scope, past.journal, said.pop("commit", "1234567890ab"), **said).check("migrate")
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
    Gates(scope_of(), past.journal, "1234567890ab").check(command)


def test_without_a_preflight_each_move_is_named(past: Past) -> None:
    """The refusal says that nothing was done, why for each move, and the command to run."""
    assert refusal(past, scope_of()).splitlines() == [
        "migrate: refused, nothing was done",
        "  n8n: no preflight on record. Expected: one that PASSED",
        "  redis: no preflight on record. Expected: one that PASSED",
        "Try: nox -s preflight -- --environment production",
    ]
    lab = make_environment(OPEN, ("environment", "lab"))
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
    changed = build_scope(
        make_inventory(("services/redis/image", "redis:7")), make_plan(NOBODY), make_environment(OPEN)
    )
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
        ("PENDING", "blocker", False),
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


@pytest.mark.parametrize(("hours", "opens"), [(1, True), (-1, False)])
def test_a_waiver_holds_until_it_expires(past: Past, hours: int, opens: bool) -> None:
    """A preflight that was good because of a waiver is not good any more once that is over."""
    until = (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
    past.preflight(scope_of(), "n8n", "redis", verdict="WAIVED", waiver={"expires_at": until, "reason": "known"})

    said = refusal(past, scope_of())

    assert (said == "") is opens
    assert opens or f"  redis: preflight volumes-fit is WAIVED, but only until {until}" in said


@pytest.mark.parametrize(
    ("verdict", "opens"),
    [("FAILED", False), ("UNKNOWN", False), ("PENDING", True), ("PASSED", True), ("PLANNED", True)],
)
def test_a_preparation_that_failed_closes_the_gate(past: Past, verdict: str, opens: bool) -> None:
    """What it should have made ready is not, whatever preflight saw; a dry run of it says nothing."""
    past.preflight(scope_of(), "redis", command="prepare", verdict=verdict, text="no room")
    past.preflight(scope_of(), "n8n", "redis")

    said = refusal(past, scope_of())

    assert (said == "") is opens
    assert opens or f"  redis: prepare volumes-fit is {verdict}: no room" in said


def test_a_preparation_that_was_repeated_opens_it_again(past: Past) -> None:
    """The newest one counts; its dry run hides nothing."""
    past.preflight(scope_of(), "redis", command="prepare", verdict="FAILED")
    past.preflight(scope_of(), "redis", command="prepare", verdict="PLANNED")
    past.preflight(scope_of(), "n8n", "redis")
    assert "redis: prepare volumes-fit is FAILED" in refusal(past, scope_of())

    past.preflight(scope_of(), "redis", command="prepare")
    assert refusal(past, scope_of()) == ""


def test_a_bad_host_closes_the_gate_of_its_moves(past: Past) -> None:
    """Rows of the run that belong to no service count for all."""
    past.preflight(scope_of(), "n8n", "redis", finished=False)
    run = past.newest_run()
    run.record(
        "result", key="disk", body={"phase": "preflight", "severity": "blocker", "text": "t", "verdict": "FAILED"}
    )
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
    assert "rows. Expected: one that ran to its end" in refusal(past, scope_of())


@pytest.mark.parametrize("state", [MoveState.IN_PROGRESS, MoveState.COMMITTED, MoveState.DONE])
def test_a_move_that_has_begun_needs_no_preflight(past: Past, state: MoveState) -> None:
    """Gates guard the way in, never the way out: a resume at 03:00 is not refused for an old preflight."""
    for service in ("n8n", "redis"):
        past.state(service, state)

    assert refusal(past, scope_of()) == ""


@pytest.mark.parametrize("state", [MoveState.PLANNED, MoveState.UNDONE])
def test_a_move_that_was_undone_begins_again(past: Past, state: MoveState) -> None:
    """It needs a preflight like the first time."""
    past.state("redis", state)

    assert "redis: no preflight on record" in refusal(past, scope_of())


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (MoveState.NEEDS_OPERATOR, "needs operator: look at its last evidence"),
        (MoveState.ROLLED_BACK, "was rolled back. To move it again"),
    ],
)
def test_a_stuck_move_is_for_a_person(past: Past, state: MoveState, words: str) -> None:
    """No preflight, however good, starts a move that somebody must look at first."""
    past.state("redis", state)
    past.preflight(scope_of(), "n8n", "redis")

    said = refusal(past, scope_of())

    assert f"  redis: {words}" in said
    assert "n8n:" not in said
    assert refusal(past, scope_of(), again=frozenset({"redis"})) == ""


def test_all_reasons_are_given_at_once(past: Past) -> None:
    """One refusal lists every row of every move that is not good."""
    before = refusal(past, scope_of())
    past.state("n8n", MoveState.NEEDS_OPERATOR)

    assert before.count("no preflight") == 2
    assert [line.split(":")[0].strip() for line in refusal(past, scope_of()).splitlines()[1:-1]] == [
        "n8n",
        "n8n",
        "redis",
    ]


@pytest.mark.parametrize(("hours", "word"), [((1, 2), "has not begun"), ((-2, -1), "is over")])
def test_outside_the_window_nothing_begins(past: Past, hours: tuple[int, int], word: str) -> None:
    """Too early and too late are refused with the window; a reason opens it and stands in the evidence."""
    now = datetime.now(UTC)
    start, end = (now + timedelta(hours=hour) for hour in hours)
    window = {"starts_at": start.isoformat(), "ends_at": end.isoformat(), "time_zone": "UTC", "status": "agreed"}
    scope = scope_of(make_environment(("window", window)))
    past.preflight(scope, "n8n", "redis")

    said = refusal(past, scope)

    assert f"{word}; it is" in said
    assert '--outside-window "reason"' in said
    assert refusal(past, scope, outside_window="agreed by phone") == ""
    assert "agreed by phone" in Gates(scope, past.journal, "1", "agreed by phone").window().text


def test_runbooks_that_were_not_committed_begin_nothing(past: Past) -> None:
    """What runs is what was reviewed; an environment can say that it does not matter there."""
    past.preflight(scope_of(), "n8n", "redis")
    rehearsal = scope_of(make_environment(OPEN, ("require_clean_checkout", False)))

    assert "checkout: files differ from the commit" in refusal(past, scope_of(), commit="1234567890ab+changes")
    assert Gates(rehearsal, past.journal, "1234567890ab+changes").tree().passed


def test_without_approvals_nothing_begins(past: Past) -> None:
    """The plan names who must sign; nobody did."""
    scope = build_scope(make_inventory(), make_plan(), make_environment(OPEN))
    past.preflight(scope, "n8n", "redis")

    said = refusal(past, scope)

    assert (
        "technical approval: 0 of 1 people signed this plan. Try: nox -s approve -- --environment production "
        "--role technical"
    ) in said
    assert said.endswith("Try: nox -s approve -- --environment production")


@pytest.mark.parametrize("state", [None, MoveState.UNDONE])
def test_nothing_is_rolled_back_that_was_not_moved(past: Past, state: MoveState | None) -> None:
    """A rollback of a service that stands on its source is refused, in a dry run too, and names it."""
    if state:
        past.state("redis", state)
    with pytest.raises(RefusedError, match="there is nothing to bring back"):
        Gates(scope_of(services=("redis",)), past.journal, "abc").check("rollback")


@pytest.mark.parametrize(
    "state",
    [MoveState.COMMITTED, MoveState.DONE, MoveState.IN_PROGRESS, MoveState.NEEDS_OPERATOR, MoveState.ROLLING_BACK],
)
def test_a_rollback_needs_no_other_gate(past: Past, state: MoveState) -> None:
    """No window, no approval, no preflight keeps a service from its source."""
    run = past.state("redis", MoveState.IN_PROGRESS)
    run.record("move_state", service="redis", body={"state": state.value})
    Gates(
        build_scope(make_inventory(), make_plan(), make_environment(), services=("redis",)), past.journal, "abc+changes"
    ).check("rollback")


def test_a_move_on_its_way_back_cannot_be_moved(past: Past) -> None:
    """A rollback that was interrupted is finished first; the message has its command."""
    scope = scope_of(services=("redis",))
    past.preflight(scope, "redis")
    past.state("redis", MoveState.ROLLING_BACK)
    assert "nox -s rollback -- redis --environment production --apply" in Gates(scope, past.journal, "abc").state().text


@pytest.mark.parametrize("state", [MoveState.ROLLING_BACK, MoveState.RETURNED])
def test_again_does_not_pass_over_a_rollback_that_is_not_finished(past: Past, state: MoveState) -> None:
    """Clients may have written to either side: moved again now, their newest writes could be undone."""
    scope = scope_of(services=("redis",))
    past.preflight(scope, "redis")
    past.state("redis", state)

    said = refusal(past, scope, again=frozenset({"redis"}))

    assert (
        "  redis: is being rolled back. Finish that first: nox -s rollback -- redis --environment production --apply"
        in said
    )


def test_a_preflight_without_a_row_of_every_step_opens_nothing(past: Past) -> None:
    """One good row for each service is no preflight: what the runbooks of this version ask, and nobody asked, closes
    the gate.
    """
    run = past.journal.start_run(
        command="preflight", environment="production", plan_digest=scope_of().digest, code=code_digest()
    )
    for service in ("n8n", "redis"):
        body = {"phase": "preflight", "severity": "blocker", "verdict": "PASSED", "text": "ok"}
        run.record("result", service=service, key="source-healthy", body=body)
    run.finish({"PASSED": 2}, ExitCode.OK)

    said = refusal(past, scope_of())

    assert "n8n: preflight of " in said
    assert "has no row ssh-answers of wf005" in said


@pytest.mark.parametrize(
    "key", ["backup-present", "ssh-answers", "clock", "disk-after", "configuration-kept", "window-fits"]
)
def test_each_step_of_the_runbooks_is_demanded(past: Past, key: str) -> None:
    """Of the service, of its two hosts, of all together; also one that only warns."""
    past.preflight(scope_of(), "n8n", "redis", without=(key,))

    assert f"has no row {key}" in refusal(past, scope_of())


def test_a_step_that_does_not_apply_is_not_demanded(past: Past) -> None:
    """The run says so, with the reason, as the page does."""
    past.preflight(scope_of(services=("redis",)), "redis", without=("backup-present",), finished=False)
    run = past.newest_run()
    run.record("step_skipped", body={"text": "redis: backup-present (it keeps nothing)"})
    run.finish({}, ExitCode.OK)

    assert preflight_problems("redis", scope_of(), past.journal, datetime.now(UTC)) == []


@pytest.mark.parametrize("days_later", [0, 30, 399])
def test_a_preflight_of_the_future_opens_nothing(past: Past, days_later: int) -> None:
    """The clock was 400 days ahead and was set right: its age is negative, so it would never get old."""
    past.now = datetime.now(UTC) + timedelta(days=400)
    past.preflight(scope_of(), "redis")

    said = preflight_problems("redis", scope_of(), past.journal, datetime.now(UTC) + timedelta(days=days_later))

    assert "Expected: not of the future; a clock was wrong" in said[0]


def test_a_preflight_by_other_code_opens_nothing(past: Past) -> None:
    """Other runbooks ask something else; where uncommitted code may run, it does not matter."""
    past.preflight(scope_of(), "n8n", "redis", code="0" * 64)
    assert "was made by other code (000000000000). Expected: " in refusal(past, scope_of())

    rehearsal = scope_of(make_environment(OPEN, ("require_clean_checkout", False)))
    past.preflight(rehearsal, "n8n", "redis", code="0" * 64)
    assert refusal(past, rehearsal) == ""


def test_a_preflight_that_was_killed_before_the_service_counts(past: Past) -> None:
    """It was to look at it, and did not come so far: the one before is not the newest."""
    past.preflight(scope_of(), "n8n", "redis")
    run = past.journal.start_run(command="preflight", environment="production", plan_digest=scope_of().digest)
    run.record("scope", body={"moves": [{"service": "redis"}]})

    assert "redis: preflight of " in refusal(past, scope_of())
    assert "was killed after 0 rows" in refusal(past, scope_of())


def test_rows_that_another_command_recorded_are_no_preflight(past: Past) -> None:
    """A journal rebuilt from hosts' logs holds what a host said: it opens no gate."""
    run = past.journal.start_run(command="adopt", environment="production", plan_digest=scope_of().digest)
    run.record(
        "result",
        service="redis",
        key="source-healthy",
        body={"phase": "preflight", "severity": "blocker", "verdict": "PASSED", "text": ""},
    )
    run.finish({}, ExitCode.OK)

    assert preflight_problems("redis", scope_of(), past.journal, datetime.now(UTC)) == [
        "redis: no preflight on record. Expected: one that PASSED"
    ]


@pytest.mark.parametrize("position", [0, 1])
def test_a_run_that_was_taken_out_of_the_journal_closes_the_gate(past: Past, position: int) -> None:
    """The newest, which failed, or one before it: each run is chained to all that stood before, and the database knows
    how much there was.
    """
    past.preflight(scope_of(), "redis")
    past.preflight(scope_of(), "redis", verdict="FAILED")
    if position == 0:
        past.preflight(scope_of(), "redis")
    run_id = past.journal.records(kind="run_started")[1].run_id
    with past.journal.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM records WHERE run_id = ?", (run_id,))

    assert "journal: " in preflight_problems("redis", scope_of(), past.journal, datetime.now(UTC))[0]
    if position == 0:  # also when somebody sets the number right
        with past.journal.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE written SET records = (SELECT COUNT(*) FROM records)")
        assert (
            "what stood before the run of "
            in preflight_problems("redis", scope_of(), past.journal, datetime.now(UTC))[0]
        )


def test_a_window_that_is_only_proposed_opens_nothing(past: Past) -> None:
    """It is open by the clock, and nobody agreed to it: only the operator's reason opens it, as outside the window."""
    scope = scope_of(make_environment(("window", {**OPEN[1], "status": "proposed"})))
    past.preflight(scope, "n8n", "redis")

    assert 'is only proposed. Expected: status "agreed"' in refusal(past, scope)
    assert refusal(past, scope, outside_window="agreed by phone, the file follows") == ""


@pytest.mark.parametrize(("hosts", "refused"), [(["wf005"], True), (["wf005", "wf001"], False)])
def test_one_hosts_word_that_a_move_began_opens_no_way_past_the_approvers(
    past: Past, hosts: list[str], refused: bool
) -> None:
    """A host can write what it likes into its own audit log; adopt takes it as its word, and says so."""
    scope = build_scope(make_inventory(), make_plan(), make_environment(OPEN), services=("redis",))
    run = past.journal.start_run(command="adopt", environment="production")
    adopted = {"run_id": "r", "number": 1, "hash": "h", "hosts": hosts}
    run.record("move_state", service="redis", body={"state": MoveState.IN_PROGRESS.value, "adopted": adopted})

    assert ("approval: 0 of" in refusal(past, scope)) is refused
