"""Polling."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_exponential

from engine.finding import say
from engine.verdict import Judgement, Verdict, unknown

FIRST_SLEEP_S: Final = 0.1


LONGEST_SLEEP_S: Final = 1.0


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
        last: Judgement = outcome.result() if outcome and not outcome.failed else unknown(say("no answer at all"))
        verdict = Verdict.UNKNOWN if last.verdict is Verdict.UNKNOWN else Verdict.FAILED
        return Judgement(
            verdict,
            say(
                "not within {deadline_s:.0f} s, after {attempt_number} attempts (last: {text})",
                deadline_s=deadline_s,
                attempt_number=state.attempt_number,
                text=last.text,
            ),
            last.measured,
            last.details,
        )

    return last_answer


def repeat_until_passed(
    question: Callable[[], Judgement], deadline_s: float, *, first_sleep_s: float = 0.3
) -> Judgement:
    """Return the first PASSED answer, or the last one within `deadline_s` seconds."""
    ends, pause = time.monotonic() + deadline_s, first_sleep_s
    while not (answer := question()).passed and time.monotonic() + pause < ends:
        time.sleep(pause)
        pause = min(pause * 1.5, 5.0)
    return answer
