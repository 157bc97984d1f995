"""Where every move stands, from the journal alone: hosts are not asked, so it can be told while another
process runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from actions.relays.planning import link_name
from engine.config.scope import PlannedMove, Scope
from engine.contracts.move_state import MoveState
from engine.journal.journal import Journal, Record
from engine.journal.kinds import RecordKind
from engine.watch.incidents import read_incidents
from phases.context.attempt import read_past
from phases.context.link_state import links_to_rewrite, owner_of, read_repointed, repoint_command
from phases.context.run_context import where_now
from phases.gates.gates import preflight_problems
from phases.signoff.approvals import judge_plan_approved

ACTION_KINDS: Final = (RecordKind.INTENT, RecordKind.OUTCOME, RecordKind.UNDO_INTENT, RecordKind.UNDO_OUTCOME)
WORDS: Final[Mapping[str, str]] = {RecordKind.INTENT: "begun", RecordKind.UNDO_INTENT: "its undo begun"}


@dataclass(frozen=True)
class UnfinishedRun:
    """A run without an end on record: at work, or killed; `last_at` tells when it last wrote."""

    run_id: str
    command: str
    operator: str
    started_at: str
    last_at: str
    apply: bool


@dataclass(frozen=True)
class MoveStatus:
    """Where one move stands and what to type next."""

    service: str
    source: str
    target: str
    state: str
    attempt: int
    since: str | None
    last_step: str | None
    last_step_at: str | None
    by: str | None
    outage_s: float | None
    next: str


@dataclass(frozen=True)
class PlanStatus:
    """All moves of the plan, the runs that have no end, and who holds the hosts as far as the journal knows."""

    moves: tuple[MoveStatus, ...]
    runs: tuple[UnfinishedRun, ...]
    locks: tuple[str, ...]
    references: tuple[str, ...] = ()
    incidents: tuple[str, ...] = ()
    """The open ones, a sentence each."""


def read_standing(journal: Journal, scope: Scope, now: datetime) -> PlanStatus:
    """Return where everything stands."""
    started = {run.run_id: run for run in journal.records(kind=RecordKind.RUN_STARTED)}
    runs = _open_runs(journal, list(started.values()))
    working = any(run.apply for run in runs)
    moves = tuple(_move(journal, scope, move, started, now, working=working) for move in scope.moves)
    locks = tuple(_locks(journal, runs, moves, started))
    return PlanStatus(moves, runs, locks, tuple(_references(journal, scope)), tuple(_incidents(journal, scope)))


def _incidents(journal: Journal, scope: Scope) -> Iterator[str]:
    """Yield each open incident, with the command that closes it."""
    for one in read_incidents(journal):
        if one.is_open:
            closing = scope.command("incident", "close", one.id, "--text", "TEXT")
            yield f"{one.id}, {one.severity}, {one.service}, since {one.at:%Y-%m-%d %H:%M} UTC: {one.text}; {closing}"


def _references(journal: Journal, scope: Scope) -> Iterator[str]:
    """Yield, for each link whose ends are on different hosts now, whether a relay keeps it, and what would make that
    needless.
    """
    where, repointed = where_now(scope, journal), read_repointed(journal)
    for link in scope.links:
        if where[link.from_] == where[link.to]:
            continue
        told = f"{link_name(link)} ({where[link.from_]} to {where[link.to]}): "
        owner = owner_of(scope, link)
        if link.key in repointed:
            yield f"{told}re-pointed, no relay of the name {link.name} is needed for it"
        elif owner and link in links_to_rewrite(scope, owner):
            yield f"{told}through a relay named {link.name}:{link.port}; to remove it: {repoint_command(scope, owner)}"
        else:
            yield f"{told}through a relay named {link.name}:{link.port}; the inventory does not say how to re-point it"


def _open_runs(journal: Journal, started: Sequence[Record]) -> tuple[UnfinishedRun, ...]:
    """Return the newest run when it has no end, and older ones that overlap it in time; what was killed
    before is past.
    """
    ended = {run.run_id for run in journal.records(kind=RecordKind.RUN_ENDED)}
    found = []
    for run in reversed(started):
        if run.run_id in ended:
            break
        last, about = journal.records(run_id=run.run_id)[-1], run.body
        found.append(
            UnfinishedRun(
                run.run_id,
                str(about.get("command")),
                str(about.get("operator", "–")),
                run.at,
                last.at,
                bool(about.get("apply")),
            )
        )
    return tuple(reversed(found))


def _move(
    journal: Journal, scope: Scope, move: PlannedMove, started: dict[str, Record], now: datetime, *, working: bool
) -> MoveStatus:
    past = read_past(journal, move.service)
    state, outage = (
        journal.last(RecordKind.MOVE_STATE, service=move.service),
        journal.last(RecordKind.OUTAGE, service=move.service),
    )
    step = max(
        (last for kind in ACTION_KINDS if (last := journal.last(kind, service=move.service))),
        key=lambda one: one.seq,
        default=None,
    )
    newest = max((one for one in (state, step) if one), key=lambda one: one.seq, default=None)
    about = started[newest.run_id].body if newest and newest.run_id in started else {}
    return MoveStatus(
        service=move.service,
        source=move.source,
        target=move.target,
        state=str(state.body["state"]) if state else MoveState.PLANNED.value,
        attempt=past.attempt,
        since=state.at if state else None,
        last_step=_step_words(step) if step else None,
        last_step_at=step.at if step else None,
        by=str(about.get("operator")) if about else None,
        outage_s=outage.body["seconds"] if outage else None,
        next=_next(journal, scope, move.service, past.state, now, working=working),
    )


def _step_words(step: Record) -> str:
    ended = "undone" if step.kind == RecordKind.UNDO_OUTCOME else "done"
    return f"{step.key} {WORDS.get(step.kind) or (ended if step.body.get('ok') else 'failed')}"


def _next(journal: Journal, scope: Scope, service: str, state: MoveState, now: datetime, *, working: bool) -> str:
    """Return what to type about a move."""
    if state is MoveState.DONE:
        return scope.command("validate", service=service)
    if state is MoveState.NEEDS_OPERATOR:
        return (
            "look at its last evidence, then go on with its undo: "
            f"{scope.command('rollback', service=service, apply=True)}"
        )
    if state.is_open:
        command = scope.command("rollback" if state.is_returning else "migrate", service=service, apply=True)
        return f"{'once no run is at work: ' if working else ''}{command}"
    if preflight_problems(service, scope, journal, now):
        return scope.command("preflight", service=service)
    if judge_plan_approved(scope, journal, [service]).problems:
        return scope.command("approve")
    again = ("--retry", service) if state is MoveState.ROLLED_BACK else ()
    return scope.command("migrate", *again, service=service, apply=True)


def _locks(
    journal: Journal, runs: Sequence[UnfinishedRun], moves: Sequence[MoveStatus], started: dict[str, Record]
) -> list[str]:
    """Return who holds the hosts: a writing run without an end, or the last one that left a move unfinished."""
    held = [f"held by {run.operator}, {run.command}, since {run.started_at[:16]} UTC" for run in runs if run.apply]
    left = [move.service for move in moves if MoveState(move.state).is_open]
    if left and not held:
        last = next((run for run in reversed(started.values()) if run.body.get("apply")), None)
        whose = f" by {last.body.get('operator')}, {last.body.get('command')} of {last.at[:16]} UTC" if last else ""
        held = [f"kept{whose}, until what was begun is finished: {', '.join(left)}"]
    broken = journal.last(RecordKind.LOCK_BROKEN)
    taken = (
        [f"{broken.body['host']}: last taken over from {broken.body['held_by']}: {broken.body['reason']}"]
        if broken
        else []
    )
    return held + taken
