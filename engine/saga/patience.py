"""Asking again: who gets no answer waits for one, for a stated time, with growing pauses. No answer is never taken for
a wrong one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from engine.errors import HostLostError, LongshoreError, NotObservedError
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
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

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
        begun, pause_s, asked = self.clock(), FIRST_PAUSE_S, 0
        while True:
            asked += 1
            try:
                answer = question()
            except HostLostError as error:
                return unknown(str(error))
            except NotObservedError as error:
                answer = unknown(str(error))
            if answer.passed or not (until_passed or answer.verdict is Verdict.UNKNOWN):
                return answer
            if self._is_over(begun, pause_s):
                return (
                    answer
                    if asked == 1
                    else replace(answer, text=f"{answer.text} (asked {asked} times in {self.clock() - begun:.0f} s)")
                )
            pause_s = self._wait(pause_s)
            before_again()

    def repeat(self, act: Callable[[], T]) -> T:
        """Do what may be done any number of times until it had an answer; raise its last error when the
        time is over.
        """
        begun, pause_s = self.clock(), FIRST_PAUSE_S
        while True:
            try:
                return act()
            except LongshoreError as error:
                if not had_no_answer(error) or self._is_over(begun, pause_s):
                    raise
            pause_s = self._wait(pause_s)

    def _is_over(self, begun: float, pause_s: float) -> bool:
        return self.clock() - begun + pause_s > self.seconds

    def _wait(self, pause_s: float) -> float:
        self.pause(pause_s)
        return min(pause_s * 2, LONGEST_PAUSE_S)


def had_no_answer(error: BaseException | None) -> bool:
    """Return whether an error says that somebody did not answer, or was raised because of that; not for a host that is
    declared lost.
    """
    if isinstance(error, HostLostError) or error is None:
        return False
    return isinstance(error, NotObservedError) or (isinstance(error, LongshoreError) and had_no_answer(error.__cause__))
