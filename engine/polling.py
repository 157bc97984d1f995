"""Polling: ask again, with growing pauses, until the answer is good or a stated time is over.

All waiting of this kind is here: who polls says what for and for how long at most. A pause ends when the work is
cancelled.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, retry_if_result, wait_exponential

from engine.cancellation import check_cancelled, pause
from engine.finding import say
from engine.verdict import Judgement, Verdict

T = TypeVar("T")
AT_ITS_END_S: Final = 0.001
"""What is left of a deadline below this is no time."""


def _now() -> float:
    return time.monotonic()


@dataclass(frozen=True)
class Polled(Generic[T]):
    """The last answer, whether it is a good one, and what it took."""

    answer: T
    good: bool
    attempts: int
    seconds: float


@dataclass(frozen=True)
class Polling:
    """What is waited for, and for how many seconds at most; 0 seconds: everything is asked once.

    The first pause is `first_s`, each further one `factor` times as long, up to `longest_s`. The last pause ends at the
    deadline, and then is asked once more. `report` gets what is waited for and for how long at most, before the first
    question.
    """

    waiting_for: str
    deadline_s: float
    first_s: float = 0.3
    factor: float = 1.5
    longest_s: float = 5.0
    report: Callable[[str, float], None] = lambda _what, _deadline_s: None
    clock: Callable[[], float] = _now
    pause: Callable[[float], None] = pause

    def until(self, question: Callable[[], T], good: Callable[[T], bool]) -> Polled[T]:
        """Ask until an answer is good, or the time is over; what the question raises is raised at once."""
        began, attempts = self.clock(), 0

        def ask() -> T:
            nonlocal attempts
            attempts += 1
            check_cancelled()
            return question()

        self.report(self.waiting_for, self.deadline_s)
        answer: T = self._retrying(
            retry=retry_if_result(lambda seen: not good(seen)), retry_error_callback=_last_answer
        )(ask)
        return Polled(answer, good(answer), attempts, self.clock() - began)

    def judge(self, question: Callable[[], Judgement]) -> Judgement:
        """Return the first PASSED answer, else the last one."""
        return self.until(question, _has_passed).answer

    def judge_in_time(self, question: Callable[[], Judgement]) -> Judgement:
        """Return the first PASSED answer, else the last one with how long and how often was asked; not seen stays
        UNKNOWN.
        """
        polled = self.until(question, _has_passed)
        last = polled.answer
        if polled.good:
            return last
        verdict = Verdict.UNKNOWN if last.verdict is Verdict.UNKNOWN else Verdict.FAILED
        text = say(
            "not within {deadline_s:.0f} s, after {attempts} attempts (last: {text})",
            deadline_s=self.deadline_s,
            attempts=polled.attempts,
            text=last.text,
        )
        return replace(last, verdict=verdict, text=text)

    def repeat(self, act: Callable[[], T], again: Callable[[BaseException], bool]) -> T:
        """Do what may be done any number of times, while what it raises allows another attempt; raise its last error
        when the time is over.
        """
        self.report(self.waiting_for, self.deadline_s)
        result: T = self._retrying(retry=retry_if_exception(again), reraise=True)(act)
        return result

    def _retrying(self, **how: Any) -> Retrying:
        began, growing = self.clock(), wait_exponential(self.first_s, self.longest_s, self.factor)

        def left_s() -> float:
            return self.deadline_s - (self.clock() - began)

        return Retrying(
            stop=lambda _state: left_s() < AT_ITS_END_S,
            wait=lambda state: max(0.0, min(growing(state), left_s())),
            sleep=self.pause,
            **how,
        )


def quick_polling(
    waiting_for: str, deadline_s: float, report: Callable[[str, float], None] = lambda _what, _deadline_s: None
) -> Polling:
    """Return the polling of what an outage waits for: a tenth of a second first, never more than one second."""
    return Polling(waiting_for, deadline_s, first_s=0.1, factor=2.0, longest_s=1.0, report=report)


def _has_passed(judgement: Judgement) -> bool:
    return bool(judgement.passed)


def _last_answer(state: RetryCallState) -> Any:
    assert state.outcome is not None
    return state.outcome.result()
