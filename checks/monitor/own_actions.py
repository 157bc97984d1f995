"""What the journal says that longshore did: the moves and their commits, rollbacks, repointing, and each action."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from checks.monitor.disturbances import Disturbance, Ours
from checks.monitor.intervals import merged
from checks.monitor.stability import WatchedMove
from checks.monitor.times import milliseconds
from engine.contracts.move_state import MoveState
from engine.finding import say
from engine.journal.kinds import RecordKind
from engine.journal.record import Record
from engine.watch.causes import Cause
from engine.watch.model import Interval

BEGINS: Final = {MoveState.IN_PROGRESS: Cause.MOVE, MoveState.ROLLING_BACK: Cause.ROLLBACK}
ENDS: Final = {
    Cause.MOVE: frozenset({MoveState.COMMITTED, MoveState.DONE, MoveState.UNDONE}),
    Cause.ROLLBACK: frozenset({MoveState.ROLLED_BACK}),
}
STARTED: Final = frozenset({RecordKind.INTENT, RecordKind.UNDO_INTENT})
FINISHED: Final = {RecordKind.OUTCOME: RecordKind.INTENT, RecordKind.UNDO_OUTCOME: RecordKind.UNDO_INTENT}
REPOINTING: Final = frozenset({RecordKind.REPOINT_STARTED, RecordKind.REPOINTED})


def known_at(records: Iterable[Record], at_ms: int) -> list[Record]:
    """Return the records that were written by a moment, in the order in which they were written."""
    return sorted((one for one in records if written_ms(one) <= at_ms), key=lambda one: one.seq)


def written_ms(record: Record) -> int:
    """Return when a record was written, in milliseconds of the Unix epoch."""
    return milliseconds(datetime.fromisoformat(record.at))


def moves_of(records: Sequence[Record], services: Iterable[str]) -> tuple[WatchedMove, ...]:
    """Return the moves of a plan by their newest state; one that no record mentions is planned."""
    states: dict[str, MoveState] = {}
    commits: dict[str, int] = {}
    for record in records:
        if record.kind == RecordKind.MOVE_STATE and record.service:
            states[record.service] = MoveState(record.body["state"])
            if states[record.service] is MoveState.COMMITTED:
                commits[record.service] = written_ms(record)
            elif states[record.service] is MoveState.DONE:
                commits.setdefault(record.service, written_ms(record))
    found = []
    for service in services:
        state = states.get(service, MoveState.PLANNED)
        found.append(WatchedMove(service, state is MoveState.DONE, commits.get(service), state.words))
    return tuple(found)


def disturbances_of_records(records: Sequence[Record]) -> tuple[Disturbance, ...]:
    """Return moves (to their commit or undo), rollbacks and repointing as disturbances; what has no end lasts."""
    return (*_of_states(records), *_of_repointing(records))


def _of_states(records: Sequence[Record]) -> list[Disturbance]:
    found: list[Disturbance] = []
    open_: dict[str, tuple[Cause, int]] = {}
    for record in records:
        if record.kind != RecordKind.MOVE_STATE or not record.service:
            continue
        state, service, at = MoveState(record.body["state"]), record.service, written_ms(record)
        if service in open_ and (state in ENDS[open_[service][0]] or state in BEGINS):
            cause, since = open_.pop(service)
            found.append(Disturbance(cause, since, at, service))
        if state in BEGINS:
            open_[service] = (BEGINS[state], at)
    return found + [Disturbance(cause, since, None, service) for service, (cause, since) in open_.items()]


def _of_repointing(records: Sequence[Record]) -> list[Disturbance]:
    """Return each run that repointed a service's dependants or reverted that, until its end or last link."""
    ended = {one.run_id: written_ms(one) for one in records if one.kind == RecordKind.RUN_ENDED}
    runs: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for one in records:
        if one.kind in REPOINTING:
            runs[one.run_id, str(one.service)].append(one)
    found = []
    for (run_id, service), each in runs.items():
        links = [written_ms(one) for one in each if one.kind == RecordKind.REPOINTED]
        to_ms = ended.get(run_id, max(links, default=None))
        found.append(Disturbance(Cause.REPOINT, written_ms(each[0]), to_ms, service, say("run {run}", run=run_id[:8])))
    return found


def ours_of(records: Sequence[Record], containers: Mapping[str, Iterable[tuple[str, str]]], at_ms: int) -> Ours:
    """Return the containers of a plan, (host, name) by service, and when an action changed each.

    An action is from its intent to its outcome; one without an outcome lasts until `at_ms`. Repointing restarts
    dependants, so all containers are explained while it lasts.
    """
    spans: dict[str, list[Interval]] = defaultdict(list)
    open_: dict[tuple[str, str | None, str | None, str], int] = {}
    for record in records:
        if record.kind in STARTED and record.service:
            open_[record.run_id, record.service, record.key, record.kind] = written_ms(record)
        elif record.kind in FINISHED and record.service:
            since = open_.pop((record.run_id, record.service, record.key, FINISHED[RecordKind(record.kind)]), None)
            if since is not None:
                spans[record.service].append(Interval(since, written_ms(record) + 1))
    for (_, service, _, _), since in open_.items():
        spans[str(service)].append(Interval(since, at_ms + 1))
    everywhere = [
        Interval(one.from_ms, (at_ms if one.to_ms is None else one.to_ms) + 1) for one in _of_repointing(records)
    ]
    actions = {
        container: merged([*spans[service], *everywhere]) for service, each in containers.items() for container in each
    }
    return Ours(frozenset(actions), actions)
