"""Gates: what must hold before a phase that changes hosts may begin. They guard the way in, never the way out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from engine.errors import RefusedError
from engine.journal import Journal, Record
from engine.saga import MoveState
from engine.scope import Scope
from engine.verdict import Severity, Verdict

GOOD: Final = {Verdict.PASSED.value, Verdict.WAIVED.value}
BEGUN: Final = {MoveState.IN_PROGRESS.value, MoveState.COMMITTED.value, MoveState.DONE.value}
STUCK: Final = {MoveState.NEEDS_PERSON.value, MoveState.ROLLED_BACK.value}


def check_gates(command: str, scope: Scope, journal: Journal) -> None:
    """Raise RefusedError when `command` must not change hosts now; nothing was done then."""
    if command != "migrate":
        return
    problems = []
    for move in scope.moves:
        state = journal.move_state(move.service)
        if state in STUCK:
            problems.append(f"{move.service}: {state.replace('_', ' ')}: look at its last evidence, mend it by hand. Look: nox -s status")
        elif state not in BEGUN:
            problems += preflight_problems(move.service, scope, journal)
    if problems:
        where = "--lab" if scope.environment.environment == "lab" else f"--environment {scope.environment.environment}"
        raise RefusedError("\n".join(["migrate: refused, nothing was done", *(f"  {p}" for p in problems), f"Try: nox -s preflight -- {where}"]))


def preflight_problems(service: str, scope: Scope, journal: Journal) -> list[str]:
    """Return why the preflight on record is not enough for a move: none, cut off, another plan's, too old, or not passed."""
    rows, about, ended = _last_preflight(service, journal)
    if not rows or about is None:
        return [f"{service}: no preflight on record. Expected: one that PASSED"]
    if not ended:
        return [f"{service}: preflight of {about.at[:16]} was killed after {len(rows)} rows. Expected: one that ran to its end"]
    age = datetime.now(UTC) - datetime.fromisoformat(about.at)
    if about.body["plan_digest"] != scope.digest:
        return [
            f"{service}: preflight of {about.at[:16]} was for plan {about.body['plan_digest'][:12]}. Expected: {scope.digest[:12]}; files changed"
        ]
    if age > timedelta(hours=scope.plan.evidence_max_age_h):
        return [f"{service}: preflight is {age.total_seconds() / 3600:.1f} h old. Expected: at most {scope.plan.evidence_max_age_h:g} h"]
    bad = [row for row in rows if row.body["severity"] == Severity.BLOCKER.value and row.body["verdict"] not in GOOD]
    return [f"{service}: preflight {row.key} is {row.body['verdict']}: {row.body['text'][:160]}" for row in bad]


def _last_preflight(service: str, journal: Journal) -> tuple[list[Record], Record | None, bool]:
    """Return the rows of the newest preflight run that asked about this service (its hosts' rows too), its start, and whether it ended."""
    asked = [row for row in journal.records(kind="step", service=service) if row.body["phase"] == "preflight"]
    if not asked:
        return [], None, False
    run = journal.records(run_id=asked[-1].run_id)
    rows = [row for row in run if row.kind == "step" and row.service in {service, None}]
    return rows, run[0], run[-1].kind == "run_ended"
