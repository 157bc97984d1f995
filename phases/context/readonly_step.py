"""Questions that stand in a move's order: read-only actions around a product's ready, smoke and fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.contracts.action import Note
from engine.verdict import Effect, Judgement


@dataclass(frozen=True)
class ReadOnlyStep:
    """A question with a place in the order of a move: nothing to do, nothing to undo."""

    key: str
    words: str
    question: Callable[[], Judgement]
    seconds: float | None = None
    effect: Effect = Effect.READ_ONLY
    commits: bool = False

    def describe(self) -> str:
        """Return what would be asked."""
        return self.words

    def estimate_s(self) -> float | None:
        """Return how long the answer takes, about."""
        return self.seconds

    def do(self, note: Note) -> None:
        """Do nothing: a question changes nothing."""

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002 the contract of Action
        """Ask."""
        return self.question()

    def undo(self, note: Note) -> None:
        """Undo nothing."""
