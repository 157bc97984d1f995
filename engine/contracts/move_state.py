"""The states of a move, and what each of them means."""

from __future__ import annotations

from enum import Enum
from typing import Final

from engine.finding import say


class MoveState(str, Enum):
    """The state of a move; kept in the journal."""

    PLANNED = "planned"
    IN_PROGRESS = "in_progress"  # before commit
    UNDONE = "undone"
    COMMITTED = "committed"
    DONE = "done"
    ROLLING_BACK = "rolling_back"  # before the source was started again
    RETURNED = "returned"  # the source serves again, the rollback is not at its end
    ROLLED_BACK = "rolled_back"
    NEEDS_OPERATOR = "needs_operator"

    @property
    def words(self) -> str:
        """Return the state as a person reads it."""
        return WORDS[self.value]

    @property
    def is_open(self) -> bool:
        """Return whether the move or its rollback has started and has not ended: its hosts stay locked."""
        return self in {MoveState.IN_PROGRESS, MoveState.COMMITTED, MoveState.NEEDS_OPERATOR} or self.is_returning

    @property
    def is_forward(self) -> bool:
        """Return whether migrate continues from here without the gates of a new move."""
        return self is MoveState.IN_PROGRESS or self.serves_target

    @property
    def is_returning(self) -> bool:
        """Return whether a rollback has started and has not ended."""
        return self in {MoveState.ROLLING_BACK, MoveState.RETURNED}

    @property
    def serves_target(self) -> bool:
        """Return whether the move has committed and no rollback has started."""
        return self in {MoveState.COMMITTED, MoveState.DONE}

    @property
    def ends_attempt(self) -> bool:
        """Return whether an attempt is over: what comes next is a new one."""
        return self in {MoveState.UNDONE, MoveState.ROLLED_BACK}


WORDS: Final = {
    "planned": say("planned"),
    "in_progress": say("in progress"),
    "undone": say("undone"),
    "committed": say("committed"),
    "done": say("done"),
    "rolling_back": say("rolling back"),
    "returned": say("returned"),
    "rolled_back": say("rolled back"),
    "needs_operator": say("needs operator"),
}
"""Each state as a person reads it."""
