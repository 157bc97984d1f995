"""The state of a move, and what is known of its current attempt."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from engine.contracts.action import Note
from engine.contracts.move_state import MoveState


@dataclass(frozen=True)
class Stages:
    """The states that a saga takes a move through, and what a person reads when it stops after its commit.

    `again` is the command that retries it, `back` the one that continues its undo, each without the service's name.
    `ends_clean`: what was begun is put away also when it could not be seen how it ended; nothing serves from it.
    `undoes` is False where the action is an undo itself: a second start continues it.
    `must_end`: no measurement keeps it from its end. `admitting` are the flags with which a person continues who has
    compared both sides.
    """

    begun: MoveState
    undone: MoveState
    committed: MoveState
    done: MoveState
    serves: str
    again: str
    back: str = "nox -s rollback -- {service} --apply"
    ends_clean: bool = False
    undoes: bool = True
    must_end: bool = False
    admitting: str = ""

    def retry(self, service: str, where: str = "") -> str:
        """Return the command that continues the move, or starts it again; `where` are the flags of the environment and
        its files.
        """
        return f"{self.again.format(service=service)} {where}".rstrip()

    def go_back(self, service: str, where: str = "") -> str:
        """Return the command that continues an undo that could not finish."""
        return f"{self.back.format(service=service)} {where}".rstrip()


FORWARD: Final = Stages(
    MoveState.IN_PROGRESS,
    MoveState.UNDONE,
    MoveState.COMMITTED,
    MoveState.DONE,
    serves="The target serves and keeps serving",
    again="nox -s migrate -- --service {service} --apply",
)
"""Of a move to its target."""
REPOINTING: Final = Stages(
    MoveState.IN_PROGRESS,
    MoveState.UNDONE,
    MoveState.COMMITTED,
    MoveState.DONE,
    serves="",
    again="nox -s repoint -- {service} --apply",
    back="nox -s repoint -- {service} --revert --apply",
)
"""Of references: they have no states of their own and no commit, so that all of it can be put back at any time."""
PREPARING: Final = replace(FORWARD, again="nox -s prepare -- --service {service} --apply", ends_clean=True)
"""Of what is done before the window: nothing serves from it, and it is simply done again."""
UNDOING: Final = replace(FORWARD, again=FORWARD.back, undoes=False)
"""Of the undo of a move, which a rollback that comes before the commit is."""
UNDOING_REFERENCES: Final = replace(REPOINTING, again=REPOINTING.back, undoes=False)


def backward(was: MoveState) -> Stages:
    """Return the stages of a rollback of a move that was in state `was`."""
    return Stages(
        MoveState.ROLLING_BACK,
        was,
        MoveState.RETURNED,
        MoveState.ROLLED_BACK,
        serves="The source serves and keeps serving",
        again="nox -s rollback -- {service} --apply",
        must_end=True,
        admitting="--discard-target-writes 'compared by hand'",
    )


@dataclass(frozen=True)
class AttemptState:
    """What the journal knows of a move's current attempt: notes and outcomes by action key."""

    state: MoveState = MoveState.PLANNED
    notes: dict[str, Note] = field(default_factory=dict)
    done: frozenset[str] = frozenset()
    begun: frozenset[str] = frozenset()  # intent without an outcome
    texts: dict[str, str] = field(default_factory=dict)  # what each outcome said
    attempt: int = 1
    before: MoveState = MoveState.PLANNED  # the state before the present one
    failed: frozenset[str] = frozenset()  # tried, and not undone yet
    committing: frozenset[str] = frozenset()  # those of them that commit

    @property
    def has_begun(self) -> bool:
        """Return whether hosts may differ from what they were: it has to be finished or undone."""
        return self.state.is_forward

    @property
    def touched(self) -> frozenset[str]:
        """Return all actions that were begun and not undone, however they ended."""
        return self.done | self.begun | self.failed

    @property
    def may_have_committed(self) -> bool:
        """Return whether an action that commits was begun and not undone: it counts as committed until the hosts were
        inspected.
        """
        return bool(self.committing)

    @property
    def settled(self) -> MoveState:
        """Return the state, or the one in which it came to need a person."""
        return self.before if self.state is MoveState.NEEDS_OPERATOR else self.state
