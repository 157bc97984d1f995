"""Watched time: gaps to the second, several hosts, and clocks that cannot be trusted."""

from __future__ import annotations

import pytest

from checks.monitor.coverage import HostWatch, corrected_ms, judge_watched, watched_by_all
from checks.monitor.intervals import common, gaps, length_ms, longest_pause_ms, merged, watched_from
from engine.verdict import Verdict
from engine.watch.model import Interval
from tests.fakes.soaks import HOUR, MINUTE, PERIOD_S, START, at_hour, between


@pytest.mark.parametrize(("period_s", "pause"), [(15, 5 * MINUTE), (100, 5 * MINUTE), (300, 15 * MINUTE)])
def test_a_pause_is_no_gap(period_s: float, pause: int) -> None:
    """Three periods, at least five minutes."""
    assert longest_pause_ms(period_s) == pause
    covered = watched_from([START, START + pause + int(period_s * 1000)], period_s)
    apart = watched_from([START, START + pause + int(period_s * 1000) + 1], period_s)
    assert (len(covered), len(apart)) == (1, 2)


def test_arithmetic_of_times() -> None:
    """Merged whatever their order, common to both, and what is missing."""
    assert merged([Interval(5, 9), Interval(1, 3), Interval(3, 4), Interval(7, 7), Interval(8, 12)]) == (
        Interval(1, 4), Interval(5, 12)
    )  # fmt: skip
    assert common([(Interval(0, 10), Interval(20, 30)), (Interval(5, 25),)]) == (Interval(5, 10), Interval(20, 25))
    assert common([]) == ()
    assert gaps((Interval(5, 10),), Interval(0, 20)) == (Interval(0, 5), Interval(10, 20))
    assert gaps((), Interval(0, 2)) == (Interval(0, 2),)


def test_only_what_all_hosts_have_counts() -> None:
    """Two hosts with gaps at different times; a source counts until it is switched off."""
    one = HostWatch("wf001", (between(0, 10), between(12, 72)), 0.0)
    other = HostWatch("wf002", (between(0, 20), between(21, 72)), 0.0)
    source = HostWatch("wf005", (between(0, 30),), 0.0, at_hour(30))

    assert watched_by_all([one, other, source], between(0, 72), PERIOD_S) == (
        between(0, 10), between(12, 20), between(21, 72)
    )  # fmt: skip
    assert length_ms(watched_by_all([HostWatch("wf005", (between(0, 30),), 0.0)], between(0, 72), 15)) == 30 * HOUR


def test_the_row_says_how_much_and_each_gap() -> None:
    """A gap does not fail: it does not count."""
    answer = judge_watched(HostWatch("wf001", (between(0, 10), between(16, 72)), 0.4), between(0, 72), PERIOD_S)

    assert answer.verdict is Verdict.PASSED
    assert answer.text == "wf001: watched 66.0 of 72.0 h (91.7%), 1 gaps, the longest 6.0 h"
    assert answer.details == ("no samples from 2026-12-07 13:00 UTC to 2026-12-07 19:00 UTC, 6.0 h",)


@pytest.mark.parametrize(
    ("offset_s", "verdict"),
    [
        (2.0, Verdict.PASSED),
        (-2.0, Verdict.PASSED),
        (2.1, Verdict.UNKNOWN),
        (10.0, Verdict.UNKNOWN),
        (None, Verdict.UNKNOWN),
    ],
)
def test_a_clock_that_is_off_makes_it_unknown(offset_s: float | None, verdict: Verdict) -> None:
    """More than 2 s, either way, or never measured."""
    answer = judge_watched(HostWatch("wf001", (between(0, 72),), offset_s), between(0, 72), PERIOD_S)

    assert answer.verdict is verdict
    assert ("timedatectl" in answer.text) == (verdict is Verdict.UNKNOWN)
    if offset_s == 10.0:
        assert "its clock is 10.0 s off" in answer.text


def test_silence_now_fails() -> None:
    """A watch that has stopped is told at once; five minutes are a pause."""
    silent = judge_watched(HostWatch("wf001", (between(0, 71),), 0.0), between(0, 72), PERIOD_S)
    pause = judge_watched(
        HostWatch("wf001", (Interval(START, at_hour(72) - 4 * MINUTE),), 0.0), between(0, 72), PERIOD_S
    )
    never = judge_watched(HostWatch("wf001", (), 0.0), between(0, 72), PERIOD_S)

    assert silent.verdict is never.verdict is Verdict.FAILED
    assert "no sample since 2026-12-10 02:00 UTC" in silent.text
    assert pause.passed
    assert "(100.0%)" in pause.text


def test_a_host_that_is_off_need_not_be_watched() -> None:
    """A source after its end."""
    source = HostWatch("wf005", (between(0, 10),), 0.0, at_hour(10))

    assert judge_watched(source, between(0, 72), PERIOD_S).text.startswith("wf005: watched 10.0 of 10.0 h (100.0%)")
    assert "switched off" in judge_watched(source, between(20, 72), PERIOD_S).text


def test_a_host_ahead_of_us_is_put_back() -> None:
    """Its moments are earlier by ours."""
    assert corrected_ms(10_000, 1.5) == 8_500
    assert corrected_ms(10_000, -0.25) == 10_250
