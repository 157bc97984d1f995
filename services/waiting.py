"""Questions that need a moment: asked again with growing sleeps, until they are PASSED or their deadline is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.verdict import Judgement


def repeat_until_passed(question: Callable[[], Judgement], deadline_s: float, *, first_sleep_s: float = 0.3) -> Judgement:
    """Return the first PASSED answer, or the last one within `deadline_s` seconds."""
    ends, pause = time.monotonic() + deadline_s, first_sleep_s
    while not (answer := question()).passed and time.monotonic() + pause < ends:
        time.sleep(pause)
        pause = min(pause * 1.5, 5.0)
    return answer
