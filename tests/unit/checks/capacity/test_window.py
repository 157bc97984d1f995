"""The window against the predicted work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from checks.capacity.window import Predicted, judge_window_fits
from engine.verdict import Verdict

START = datetime(2026, 12, 5, 22, tzinfo=UTC)
END = START + timedelta(hours=4)
MOVES = {"postgres": Predicted(7200, 3600), "redis": Predicted(1800, 600, is_guess=True)}


def test_moves_and_the_longest_undo_fit() -> None:
    """150 minutes of work and 60 of undo in 240."""
    answer = judge_window_fits(MOVES, START, END, START - timedelta(days=9))

    assert answer.passed
    assert "2 moves need about 150 min, and 60 min to undo the longest; the window has 240 min free" in answer.text
    assert answer.details == ("postgres: 120 min", "redis: 30 min (its size is not known)")


def test_a_window_that_has_begun_has_less_time_left() -> None:
    """At one o'clock only an hour is free."""
    answer = judge_window_fits(MOVES, START, END, START + timedelta(hours=3))

    assert answer.verdict is Verdict.FAILED
    assert "the window has 60 min free. Expected: time for all" in answer.text


def test_a_window_that_is_over_has_none() -> None:
    """And says when it ended."""
    answer = judge_window_fits(MOVES, START, END, END + timedelta(days=1))

    assert answer.verdict is Verdict.FAILED
    assert "the window ended at 2026-12-06 02:00 +0000" in answer.text
