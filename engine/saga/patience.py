"""Asking again: who gets no answer waits for one, for a stated time, with growing pauses. No answer is never taken for
a wrong one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from engine import cancellation
from engine.errors import HostLostError, LongshoreError, NotObservedError
from engine.finding import say
from engine.polling import Polling
from engine.verdict import Judgement, Verdict, unknown

LOOK_AGAIN_S: Final = 60.0
"""So long a host that does not answer is asked again before the line stops: a reboot of a network switch, a restart of
an engine.
"""
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 2.0

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long is asked again, in seconds, and how a pause is made; with 0 seconds everything is asked once."""

    seconds: float = LOOK_AGAIN_S
    pause: Callable[[float], None] = cancellation.pause
    clock: Callable[[], float] = lambda: time.monotonic()  # noqa: PLW0108 looked up when it is asked

    def ask(
        self,
        question: Callable[[], Judgement],
        *,
        until_passed: bool = False,
        before_again: Callable[[], None] = lambda: None,
    ) -> Judgement:
        """Ask until there is an answer (with `until_passed`: a good one); return the last one when the time is over.

        A question that raises CouldNotLookError has had no answer. A host that a person declared lost is asked once.
        """
        asked = 0

        def ask() -> tuple[Judgement, bool]:
            """Return an answer, and whether asking again would be of no use."""
            nonlocal asked
            if asked:
                before_again()
            asked += 1
            try:
                answer = question()
            except HostLostError as error:
                return unknown(str(error)), True
            except NotObservedError as error:
                answer = unknown(str(error))
            return answer, answer.passed or not (until_passed or answer.verdict is Verdict.UNKNOWN)

        polled = self._polling().until(ask, lambda seen: seen[1])
        answer = polled.answer[0]
        if polled.good or polled.attempts == 1:
            return answer
        return replace(
            answer,
            text=say(
                "{text} (asked {attempts} times in {seconds:.0f} s)",
                text=answer.text,
                attempts=polled.attempts,
                seconds=polled.seconds,
            ),
        )

    def repeat(self, act: Callable[[], T]) -> T:
        """Do what may be done any number of times until it had an answer; raise its last error when the
        time is over.
        """
        return self._polling().repeat(act, had_no_answer)

    def _polling(self) -> Polling:
        return Polling(
            "an answer",
            self.seconds,
            first_s=FIRST_PAUSE_S,
            factor=2.0,
            longest_s=LONGEST_PAUSE_S,
            clock=self.clock,
            pause=self.pause,
        )


def had_no_answer(error: BaseException | None) -> bool:
    """Return whether an error says that somebody did not answer, or was raised because of that; not for a host that is
    declared lost.
    """
    if isinstance(error, HostLostError) or error is None:
        return False
    return isinstance(error, NotObservedError) or (isinstance(error, LongshoreError) and had_no_answer(error.__cause__))
