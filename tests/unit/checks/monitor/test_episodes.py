"""Limits: which bins count, what is an episode, how long is too long, and exact counts."""

from __future__ import annotations

from array import array

import numpy as np
import pytest

from checks.monitor.bins import BIN_MS, bins_of
from checks.monitor.episodes import (
    AT_ONCE,
    FOR_AN_HOUR,
    LASTING,
    Exceedances,
    ThresholdRule,
    find_exceedances,
    judge_threshold,
)
from checks.monitor.points import points_of
from engine.verdict import Verdict
from engine.watch.model import Interval, Series
from tests.fakes.soaks import HOUR, MINUTE, START, at_hour, between, plateau, series_of

ALL = between(0, 72)


def found_in(series: Series, *, rule: ThresholdRule = LASTING, limit: float = 70) -> Exceedances:
    """Return what a series did in 72 hours."""
    return find_exceedances(series, ALL, limit=limit, rule=rule, period_s=15)


@pytest.mark.parametrize("begins_minute", [0, 4, 7, 14])
@pytest.mark.parametrize(("minutes", "verdict"), [(65, Verdict.FAILED), (45, Verdict.PASSED)])
def test_a_plateau_of_65_minutes_fails_and_one_of_45_does_not(
    minutes: float, verdict: Verdict, begins_minute: int
) -> None:
    """Wherever it begins in the quarter of an hour; both are named with their figures."""
    found = found_in(plateau(minutes, 10 + begins_minute / 60))
    answer = judge_threshold("wf001", "CPU use", found)

    assert answer.verdict is verdict
    assert f"{minutes * 4:,} of 17,280 samples above 70 %" in answer.text
    assert answer.measured["samples_over"] == minutes * 4
    assert len(answer.details) == 1


def test_the_figures_of_a_plateau() -> None:
    """An hour and five minutes from ten o'clock: four quarters over, the fifth only a third."""
    found = found_in(plateau(65))
    answer = judge_threshold("wf001", "CPU use", found)

    assert [(one.began_ms, one.ended_ms, one.worst, one.is_open) for one in found.episodes] == [
        (at_hour(10), at_hour(11), 75.0, False)
    ]
    assert found.breaches == (Interval(at_hour(10), at_hour(11)),)
    assert answer.text == (
        "wf001: CPU use: 260 of 17,280 samples above 70 %; 4 of 288 quarters of an hour on average, 1 episodes, the "
        "longest 60 min, the worst 75.0 %, 60 min in the worst 24 h. Expected: less than 60 min at once, and less than "
        "120 min in any 24 h"
    )
    assert answer.details == ("2026-12-07 13:00 UTC to 2026-12-07 14:00 UTC: 60 min, the worst 75.0 %",)


def test_short_episodes_of_one_day_add_up() -> None:
    """Four of half an hour within 24 hours are two hours; with the last a day later they are not."""

    def peaks(*begins_h: float) -> Series:
        return series_of(lambda h: np.where(np.any([(h >= b) & (h < b + 0.5) for b in begins_h], axis=0), 90, 10), 72)

    together = found_in(peaks(10, 15, 20, 33.5))
    apart = found_in(peaks(10, 15, 20, 34))

    assert (together.day_over_ms, together.day_ended_ms, together.longest_ms) == (2 * HOUR, at_hour(34), HOUR // 2)
    assert together.breaches == (Interval(at_hour(33.75), at_hour(34)),)
    assert (apart.day_over_ms, apart.breaches, len(apart.episodes)) == (3 * HOUR // 2, (), 4)
    assert not found_in(peaks(10, 15, 20, 33.5), rule=FOR_AN_HOUR).breaches


def test_one_quarter_is_enough_for_memory_and_disk() -> None:
    """Nothing is left for a peak there."""
    series = series_of(lambda h: np.where((h >= 5) & (h < 5.25), 86.0, 60.0), 72)
    answer = judge_threshold("wf001", "memory", found_in(series, rule=AT_ONCE, limit=80))

    assert answer.verdict is Verdict.FAILED
    assert "Expected: no quarter of an hour above it" in answer.text
    assert judge_threshold("wf001", "CPU use", found_in(series, limit=80)).passed


def test_a_mean_at_the_limit_is_not_over_it() -> None:
    """Over is more than the limit."""
    assert found_in(series_of(lambda h: 0 * h + 70.0, 72)).bins_over == 0


@pytest.mark.parametrize(("kept", "counts"), [(48, True), (47, False)])
def test_a_bin_counts_with_four_fifths_of_its_samples(kept: int, counts: bool) -> None:
    """48 of 60 at 15 seconds; with fewer it is neither over nor below."""
    at = [START + number * 15_000 for number in range(kept)]
    bins = bins_of(points_of(Series(array("q", at), array("d", [90.0] * kept)), ALL), 15)

    assert (len(bins), bins.left_out) == ((1, 0) if counts else (0, 1))


def test_all_three_samples_of_five_minutes_are_needed() -> None:
    """80 % of three samples are 2.4."""
    at = [START, START + 5 * MINUTE, START + 10 * MINUTE, START + BIN_MS, START + BIN_MS + 5 * MINUTE]
    bins = bins_of(points_of(Series(array("q", at), array("d", [1.0, 2.0, 6.0, 9.0, 9.0])), ALL), 300)

    assert (list(bins.means), bins.left_out) == ([3.0], 1)


def test_two_bins_without_samples_end_no_episode_and_add_nothing() -> None:
    """A restart of the sampler hides no plateau; a longer silence proves none."""

    def with_hole(minutes: float) -> Exceedances:
        series = series_of(lambda h: np.where((h >= 10) & (h < 12), 75.0, 30.0), 72)
        kept = [place for place, at in enumerate(series.at_ms) if not 10.5 <= (at - START) / HOUR < 10.5 + minutes / 60]
        return found_in(
            Series(array("q", [series.at_ms[i] for i in kept]), array("d", [series.values[i] for i in kept]))
        )

    short, long = with_hole(30), with_hole(60)

    assert [one.over_ms for one in short.episodes] == [90 * MINUTE]
    assert short.breaches
    assert [one.over_ms for one in long.episodes] == [30 * MINUTE, 30 * MINUTE]
    assert not long.breaches


def test_an_episode_that_reaches_the_end_is_open() -> None:
    """So that a message about its end is not sent too early."""
    assert [one.is_open for one in found_in(plateau(120, 70.0)).episodes] == [True]
    assert judge_threshold("h", "CPU use", found_in(plateau(120, 70.0))).details[0].startswith("since 2026-12-10 01:00")


def test_nothing_sampled_is_unknown() -> None:
    """And so is a handful of samples."""
    few = Series(array("q", [START]), array("d", [99.0]))
    for series in (Series(), few):
        answer = judge_threshold("wf001", "CPU use", found_in(series))
        assert answer.verdict is Verdict.UNKNOWN
        assert "not enough data" in answer.text
