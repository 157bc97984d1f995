"""Questions that stand in a move's order: read-only actions around a product's ready, smoke and fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_exponential

from engine.model import Note
from engine.verdict import Effect, Judgement, Verdict, unknown

FIRST_SLEEP_S: Final = 0.1
LONGEST_SLEEP_S: Final = 1.0


@dataclass(frozen=True)
class Ask:
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


def wait_until_passed(question: Callable[[], Judgement], deadline_s: float) -> Judgement:
    """Repeat a question with growing sleeps until it is PASSED; after `deadline_s` return the last answer seen."""
    return Retrying(
        retry=retry_if_result(lambda judgement: not judgement.passed),
        stop=stop_after_delay(deadline_s),
        wait=wait_exponential(multiplier=FIRST_SLEEP_S, max=LONGEST_SLEEP_S),
        retry_error_callback=_give_up(deadline_s),
    )(question)


def _give_up(deadline_s: float) -> Callable[[RetryCallState], Judgement]:
    def last_answer(state: RetryCallState) -> Judgement:
        outcome = state.outcome
        last: Judgement = outcome.result() if outcome and not outcome.failed else unknown("no answer at all")
        verdict = Verdict.UNKNOWN if last.verdict is Verdict.UNKNOWN else Verdict.FAILED
        return Judgement(
            verdict,
            f"not within {deadline_s:.0f} s, after {state.attempt_number} attempts (last: {last.text})",
            last.measured,
            last.details,
        )

    return last_answer
