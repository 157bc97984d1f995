"""Where a move stands, and what is known of its current attempt."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from engine.model import Note


class MoveState(str, Enum):
    """Where a move stands; kept in the journal."""

    PLANNED = "planned"
    PREPARED = "prepared"
    IN_PROGRESS = "in_progress"  # before commit
    UNDONE = "undone"
    COMMITTED = "committed"
    DONE = "done"
    ROLLED_BACK = "rolled_back"
    NEEDS_PERSON = "needs_person"


@dataclass(frozen=True)
class Past:
    """What the journal knows of a move's current attempt: notes and outcomes by action key."""

    state: MoveState = MoveState.PLANNED
    notes: dict[str, Note] = field(default_factory=dict)
    done: frozenset[str] = frozenset()
    begun: frozenset[str] = frozenset()  # intent without an outcome
    texts: dict[str, str] = field(default_factory=dict)  # what each outcome said
    attempt: int = 1

    @property
    def has_begun(self) -> bool:
        """Return whether hosts may differ from what they were: it has to be finished or undone."""
        return self.state in {MoveState.IN_PROGRESS, MoveState.COMMITTED, MoveState.DONE} or bool(self.done or self.begun)
