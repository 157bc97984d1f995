"""What the journal knows about a move's current attempt: where it stands, what was done, what was noted."""

from __future__ import annotations

from engine.journal import Journal
from engine.saga import MoveState, Past


def read_past(journal: Journal, service: str) -> Past:
    """Return the current attempt of a move; an attempt ends when it is undone."""
    state, attempt = MoveState.PLANNED, 1
    notes: dict[str, dict[str, object]] = {}
    done: dict[str, str] = {}
    begun: set[str] = set()
    for record in journal.records(service=service):
        key, body = record.key or "", record.body
        if record.kind == "move_state":
            state = MoveState(body["state"])
            if state is MoveState.UNDONE:
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
    return Past(state=state, notes=notes, done=frozenset(done), begun=frozenset(begun), texts=done, attempt=attempt)
