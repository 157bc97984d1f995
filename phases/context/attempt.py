"""What the journal knows about a move's current attempt: its state, what was done, what was noted."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from engine.contracts.move_state import MoveState
from engine.finding import finding_of
from engine.journal.journal import Journal, Record
from engine.journal.kinds import RecordKind
from engine.saga.state import AttemptState
from engine.verdict import Verdict

AGAIN: Final = (MoveState.NEEDS_OPERATOR, MoveState.IN_PROGRESS)
"""A move that needed a person is begun again only with `--retry`, as a new attempt."""


COMMITS: Final = frozenset({"commit", "start-returned"})
"""What commits, where the intent of an older version does not say so."""
ATTEMPT: Final = (
    RecordKind.MOVE_STATE,
    RecordKind.INTENT,
    RecordKind.NOTE,
    RecordKind.OUTCOME,
    RecordKind.UNDO_OUTCOME,
)
"""The kinds of records about an attempt; fingerprints, by far the largest, are none of them."""


def settled_states(journal: Journal) -> dict[str, MoveState]:
    """Return the state of each move that was begun, or its state when it came to need a person; a commit that was begun
    counts.
    """
    states: dict[str, list[MoveState]] = {}
    for record in journal.records(kind=RecordKind.MOVE_STATE):
        states.setdefault(str(record.service), [MoveState.PLANNED]).append(MoveState(record.body["state"]))
    return {
        service: _counting(journal, service, AttemptState(state=passed[-1], before=passed[-2]).settled)
        for service, passed in states.items()
    }


def _counting(journal: Journal, service: str, state: MoveState) -> MoveState:
    """Return a state, or COMMITTED for a move whose commit was begun: relays may lead to its target, and must stay."""
    begun = state is MoveState.IN_PROGRESS and read_past(journal, service).may_have_committed
    return MoveState.COMMITTED if begun else state


def read_past(journal: Journal, service: str, *, again: bool = False) -> AttemptState:
    """Return the current attempt of a move; an attempt ends when it is undone or rolled back, or when a person says
    `again`.
    """
    return _past_of(journal.records(kind=ATTEMPT, service=service), again=again)


def _past_of(records: Iterable[Record], *, again: bool = False) -> AttemptState:
    state, before, attempt = MoveState.PLANNED, MoveState.PLANNED, 1
    seen = _AttemptFold()
    for record in records:
        if record.kind == RecordKind.MOVE_STATE:
            state, before = MoveState(record.body["state"]), state
            if state.ends_attempt or (before, state) == AGAIN:
                attempt += 1
                seen = _AttemptFold()
        else:
            seen.add(record)
    if again and state is MoveState.NEEDS_OPERATOR:
        return AttemptState(state=MoveState.UNDONE, attempt=attempt + 1)
    if again and state is MoveState.ROLLED_BACK:
        return AttemptState(state=MoveState.UNDONE, attempt=attempt)
    return seen.past(state, attempt, before)


def committed_at(journal: Journal, service: str) -> datetime | None:
    """Return when a service's newest commit was, None when there was none."""
    committed = [
        record
        for record in journal.records(kind=RecordKind.MOVE_STATE, service=service)
        if record.body["state"] == MoveState.COMMITTED
    ]
    return datetime.fromisoformat(str(committed[-1].at)) if committed else None


def attempt_began(journal: Journal, service: str) -> int:
    """Return the seq of the record after which the current attempt's records come, 0 for a first attempt."""
    state, began = MoveState.PLANNED, 0
    for record in journal.records(kind=RecordKind.MOVE_STATE, service=service):
        before, state = state, MoveState(record.body["state"])
        if state.ends_attempt or (before, state) == AGAIN:
            began = record.seq
    return began


def return_began(journal: Journal, service: str) -> int | None:
    """Return the seq of the record with which the rollback in progress began, None when there is none."""
    last, began = MoveState.PLANNED, None
    for record in journal.records(kind=RecordKind.MOVE_STATE, service=service):
        state = MoveState(record.body["state"])
        if state is MoveState.ROLLING_BACK and last is not MoveState.NEEDS_OPERATOR:
            began = record.seq
        elif not (state.is_returning or state is MoveState.NEEDS_OPERATOR):
            began = None
        last = state
    return began


def read_return(journal: Journal, service: str) -> AttemptState:
    """Return the rollback in progress of a move, or the move as it is when none was begun; its attempt is the
    move's.

    `before` is the state that it was rolled back from.
    """
    records = journal.records(kind=ATTEMPT, service=service)
    forward = _past_of(records)
    seen, before, last = _AttemptFold(), forward.state, MoveState.PLANNED
    for record in records:
        if record.kind == RecordKind.MOVE_STATE:
            state = MoveState(record.body["state"])
            if state is MoveState.ROLLING_BACK and last is not MoveState.NEEDS_OPERATOR:
                seen, before = _AttemptFold(), last
            last = state
        else:
            seen.add(record)
    if not (forward.settled.is_returning or forward.settled is MoveState.ROLLED_BACK):
        return AttemptState(
            forward.settled, attempt=forward.attempt, before=forward.before, committing=forward.committing
        )
    ended = forward.state is MoveState.ROLLED_BACK
    return seen.past(forward.settled, forward.attempt - 1 if ended else forward.attempt, before)


@dataclass
class _AttemptFold:
    """What the records of one attempt say."""

    notes: dict[str, dict[str, object]] = field(default_factory=dict)
    done: dict[str, str] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    committing: set[str] = field(default_factory=set)
    before: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    """Whether an action counted as begun, and as committing, before its newest intent."""

    def add(self, record: Record) -> None:
        key, body = record.key or "", record.body
        if record.kind == RecordKind.UNDO_OUTCOME and body["ok"]:
            self.done.pop(key, None)
            self.begun.discard(key)
            self.failed.discard(key)
            self.committing.discard(key)
            self.notes.pop(key, None)  # what comes after it begins anew
        elif record.kind == RecordKind.INTENT:
            self.before[key] = (key in self.begun, key in self.committing)
            self.begun.add(key)
            if body.get("commits", key in COMMITS):
                self.committing.add(key)
            self.notes[key] = dict(body.get("note") or {})
        elif record.kind == RecordKind.NOTE:
            self.notes[key] = dict(body.get("note") or {})
        elif record.kind == RecordKind.OUTCOME and body.get("begun") is False:
            self._take_back_intent(key)
        elif record.kind == RecordKind.OUTCOME and body.get("verdict") == Verdict.UNKNOWN.value:
            self.notes[key] = {
                **self.notes.get(key, {}),
                **(body.get("note") or {}),
            }  # nobody saw how it ended: begun it stays
        elif record.kind == RecordKind.OUTCOME:
            self.begun.discard(key)
            self.notes[key] = {**self.notes.get(key, {}), **(body.get("note") or {})}
            if body["ok"]:
                self.done[key] = finding_of(body)
                self.failed.discard(key)
            else:
                self.done.pop(key, None)
                self.failed.add(key)

    def _take_back_intent(self, key: str) -> None:
        """Count an action as before its intent: a host did not take that, so nothing of it was done."""
        was_begun, was_committing = self.before.get(key, (False, False))
        if not was_begun:
            self.begun.discard(key)
        if not was_committing:
            self.committing.discard(key)

    def past(self, state: MoveState, attempt: int, before: MoveState) -> AttemptState:
        done, begun, failed = frozenset(self.done), frozenset(self.begun), frozenset(self.failed)
        return AttemptState(
            state,
            deepcopy(self.notes),  # whoever continues with a note changes no record that was read
            done,
            begun,
            dict(self.done),
            attempt,
            before,
            failed,
            frozenset(self.committing),
        )


def must_be_undone(past: AttemptState) -> bool:
    """Return whether a rollback of this move is the undo of what it did before its commit.

    A move whose commit was begun counts as committed: clients may have written to its target.
    """
    return past.settled is MoveState.IN_PROGRESS and not past.may_have_committed
