"""Questions that have a place in a move's order: read-only actions around a product's ready, smoke and fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from actions.common.base_action import BaseAction
from engine.contracts.action import Note
from engine.verdict import Effect, Judgement


@dataclass(frozen=True)
class ReadOnlyStep(BaseAction):
    """A question with a place in the order of a move: nothing to do, nothing to undo."""

    key: str
    words: str
    question: Callable[[], Judgement]
    seconds: float | None = None
    effect = Effect.READ_ONLY

    def describe(self) -> str:
        """Return what would be asked."""
        return self.words

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002 the contract of Action
        """Ask."""
        return self.question()
