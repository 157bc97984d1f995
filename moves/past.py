"""What the journal knows about a move's current attempt: where it stands, what was done, what was noted."""

from __future__ import annotations

from typing import Final

from engine.journal import Journal
from engine.states import MoveState, Past

ENDS_ATTEMPT: Final = {MoveState.UNDONE, MoveState.ROLLED_BACK}


def read_past(journal: Journal, service: str, *, again: bool = False) -> Past:
    """Return the current attempt of a move; an attempt ends when it is undone or rolled back, or when a person says `again`."""
    state, attempt = MoveState.PLANNED, 1
    notes: dict[str, dict[str, object]] = {}
    done: dict[str, str] = {}
    begun: set[str] = set()
    for record in journal.records(service=service):
        key, body = record.key or "", record.body
        if record.kind == "move_state":
            state = MoveState(body["state"])
            if state in ENDS_ATTEMPT:
                attempt += 1
                notes, done, begun = {}, {}, set()
        elif record.kind == "intent":
            begun.add(key)
            notes[key] = dict(body.get("note") or {})
        elif record.kind == "outcome":
            begun.discard(key)
            notes[key] = {**notes.get(key, {}), **(body.get("note") or {})}
            if body["ok"]:
                done[key] = str(body["text"])
            else:
                done.pop(key, None)
    if again and state is MoveState.NEEDS_PERSON:
        return Past(state=MoveState.UNDONE, attempt=attempt + 1)
    if again and state is MoveState.ROLLED_BACK:
        return Past(state=MoveState.UNDONE, attempt=attempt)
    return Past(state=state, notes=notes, done=frozenset(done), begun=frozenset(begun), texts=done, attempt=attempt)
