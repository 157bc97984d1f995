"""A clock that only sleeping moves: nobody waits for it."""

from __future__ import annotations


class FakeClock:
    """It stands until somebody sleeps; a test that lets each question take `question_s` adds that itself."""

    def __init__(self) -> None:
        """Begin at nought."""
        self.now = 0.0
        self.slept: list[float] = []
        self.question_s = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds
