"""Level and peak against the same hours of the day before: the formulas by hand, and what must not fool the rule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import pytest
from scipy import stats

from checks.monitor.comparison import Change, Comparison, Floors, compare_hours, floors_of, ranks_of, two_sided
from checks.monitor.hours import Of, hourly_values, local_hours, values_of_rollups
from checks.monitor.likeness import judge_likeness
from engine.config.plan import WatchComparison
from engine.verdict import Verdict
from engine.watch.model import Metric, Rollup
from tests.fakes.soaks import DAY, HOUR, START, ZONE, between, hourly, series_of

BEFORE: Final = START - 14 * DAY
FIGURES: Final = ("before", "after", "z", "p", "rho", "f", "a", "delta", "shift", "needed")


def compared(before: np.ndarray, after: np.ndarray, floor: float = 0.0, begin: int = START) -> Comparison:
    """Compare two rows of hourly values; those before begin 14 days earlier, those after on a Monday."""
    return compare_hours(hourly(before, BEFORE), hourly(after, begin), zone=ZONE, floor=floor)


def noise(seed: int, hours: int, rho: float = 0.0) -> np.ndarray:
    """Return noise of variance 1 with an autocorrelation."""
    random = np.random.default_rng(seed)
    values = random.normal(size=hours)
    for at in range(1, hours):
        values[at] = rho * values[at - 1] + math.sqrt(1 - rho**2) * values[at]
    return values


def test_the_formulas_by_hand() -> None:
    """Every hour 1 and 2 before (two days), 2 and 3 after: n = m = 2, ranks with ties, by hand."""
    found = compare_hours(
        hourly([1.0] * 24 + [2.0] * 24, START - 7 * DAY), hourly([2.0] * 24 + [3.0] * 24), zone=ZONE, floor=0.0
    )

    # ranks of 1, 2, 2, 3 are 1, 2.5, 2.5, 4: W = 6.5, expected 5, T = (8 - 2) / 12 = 0.5, variance 4/12 * (5 - 0.5)
    # residuals -0.5 (a day), then +0.5: 23 pairs low, 1 mixed, 23 high
    one, other = np.array([0.0] * 24 + [1.0] * 23), np.array([0.0] * 23 + [1.0] * 24)
    rho = min(0.9, float(np.corrcoef(one, other)[0, 1]))
    f = (1 + rho) / (1 - rho)
    assert found.rho == pytest.approx(0.9)
    assert found.f == pytest.approx(f) == pytest.approx(19)
    assert found.z == pytest.approx(24 * 0.2 * 1.5 / math.sqrt(f * 24 * 0.04 * 4 / 12 * 4.5))
    assert found.a == pytest.approx((6.5 - 3) / 4)
    assert found.delta == pytest.approx(0.75)
    assert found.shift == pytest.approx(1.0)
    assert (found.before, found.after, found.strata) == (1.5, 2.5, 24)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(found.z)))
    assert found.change is Change.SAME  # Z = 1.38


def test_the_formulas_of_unequal_strata() -> None:
    """Fewer hours after in half of the strata: weights and the variance, written down once more from the definition."""
    random = np.random.default_rng(11)
    before = hourly(random.integers(0, 30, 24 * 9), BEFORE)
    after = hourly(random.integers(5, 35, 24 * 3))
    after |= hourly(random.integers(5, 35, 12), START + 3 * DAY)
    found = compare_hours(before, after, zone=ZONE, floor=0.0)

    top = bottom = a_top = a_bottom = 0.0
    for k in range(24):
        x = [v for at, v in after.items() if ((at - START) // HOUR) % 24 == k]
        y = [v for at, v in before.items() if ((at - BEFORE) // HOUR) % 24 == k]
        n, m, size = len(x), len(y), len(x) + len(y)
        rank_sum = stats.rankdata([*x, *y])[:n].sum()
        tied = sum(t**3 - t for t in np.unique([*x, *y], return_counts=True)[1]) / (size * (size - 1))
        w = 1 / (size + 1)
        top += w * (rank_sum - n * (size + 1) / 2)
        bottom += w**2 * n * m / 12 * (size + 1 - tied)
        a_top += w * n * m * (rank_sum - n * (n + 1) / 2) / (n * m)
        a_bottom += w * n * m
    assert found.hours_after == 84
    assert found.z == pytest.approx(top / math.sqrt(found.f * bottom))
    assert found.a == pytest.approx(a_top / a_bottom)


def test_a_tenth_of_the_baseline_is_needed_where_it_is_more_than_the_floor() -> None:
    """6 points of 80 are over the floor of 5 and below a tenth."""
    quiet = noise(8, 24 * 14) * 0.1
    found = compared(80 + quiet, 86 + quiet[:72], floor=5.0)

    assert found.needed == pytest.approx(8.0, abs=0.1)
    assert (found.change, found.delta) == (Change.SAME, 1.0)
    assert compared(40 + quiet, 46 + quiet[:72], floor=5.0).change is Change.HIGHER


def test_the_normal_tail_and_the_ranks_are_scipys() -> None:
    """Without its start-up of seconds."""
    for z in (0.0, 0.5, 2.5758, -3.0, 8.0):
        assert two_sided(z) == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-12)
    values = np.array([3.0, 1.0, 3.0, 2.0, 2.0, 2.0])
    assert list(ranks_of(values)) == list(stats.rankdata(values))


def test_one_stratum_is_the_test_of_mann_and_whitney() -> None:
    """A is its statistic by n m; days without a rhythm make every stratum alike."""
    before, after = np.tile([1.0, 5.0, 2.0, 8.0], (24, 1)).T.ravel(), np.tile([4.0, 9.0, 2.0], (24, 1)).T.ravel()
    found = compared(before, after)
    expected = stats.mannwhitneyu([4, 9, 2], [1, 5, 2, 8]).statistic

    assert found.a == pytest.approx(expected / 12)


@pytest.mark.parametrize(("factor", "change"), [(1.5, Change.HIGHER), (0.5, Change.LOWER), (1.0, Change.SAME)])
def test_a_real_change_is_seen(factor: float, change: Change) -> None:
    """Half as much again and half as much, with a daily rhythm and noise."""
    day = 20 + 10 * np.sin(np.arange(24 * 14) / 24 * 2 * np.pi)
    found = compared(day + noise(1, 24 * 14, 0.5), factor * (day[: 24 * 3] + noise(2, 72, 0.5)), floor=5.0)

    assert found.change is change
    assert found.strata == 24


def test_autocorrelated_noise_is_no_change() -> None:
    """Of 60 quiet weeks with slow noise a plain rank test calls most changed, ours at most 3 (5 %)."""
    plain = ours = 0
    for seed in range(60):
        values = 20 + 6 * noise(seed, 24 * 17, 0.95)
        before, after = values[: 24 * 14], values[24 * 14 :]
        plain += stats.mannwhitneyu(after, before).pvalue < 0.01
        ours += compared(before, after, floor=5.0).change is not Change.SAME

    assert plain > 30
    assert ours <= 3


def test_what_is_improbable_but_small_is_no_change() -> None:
    """The effect sizes do that work: a tenth of a point on all hours has a p of nothing."""
    day = 20 + 10 * np.sin(np.arange(24 * 14) / 24 * 2 * np.pi)
    found = compared(day + noise(1, 24 * 14) * 0.01, day[:72] + 0.1, floor=5.0)

    assert found.p < 1e-6
    assert found.delta > 0.9
    assert found.change is Change.SAME


def test_what_is_often_higher_but_not_by_much_is_no_change() -> None:
    """A shift over the floor with a delta below 0.474: values that mostly overlap."""
    found = compared(20 + 20 * noise(3, 24 * 14), 32 + 20 * noise(4, 72), floor=2.0)

    assert found.p < 0.01
    assert 0.1 < found.delta < 0.474
    assert found.shift > found.needed
    assert found.change is Change.SAME


def test_the_rhythm_of_the_day_is_no_change() -> None:
    """The time after has more nights than the baseline: strata compare nights with nights."""
    hours = np.arange(24 * 14)
    day = np.where(hours % 24 < 12, 60.0, 10.0) + noise(5, 24 * 14)
    before = {at: value for at, value in hourly(day, BEFORE).items() if ((at - BEFORE) // HOUR) % 24 >= 8}
    before |= {at: value for at, value in hourly(day, BEFORE).items() if ((at - BEFORE) // DAY) < 3}
    after = {at: value for at, value in hourly(day[: 24 * 6]).items() if ((at - START) // HOUR) % 24 < 18}
    found = compare_hours(before, after, zone=ZONE, floor=5.0)

    assert stats.mannwhitneyu(list(after.values()), list(before.values())).pvalue < 1e-6
    assert found.change is Change.SAME
    assert abs(found.shift) < 1


def test_weekends_are_compared_with_weekends_where_both_sides_have_them() -> None:
    """Quiet weekends before and after: no change; with three days after, one stratum an hour."""
    is_weekend = np.array([(hour // 24) % 7 >= 5 for hour in range(24 * 14)])
    before = np.where(is_weekend, 5.0, 50.0) + noise(6, 24 * 14)
    saturday_on = START + 3 * DAY
    after = before[24 * 3 : 24 * 9]
    found = compared(before, after, floor=5.0, begin=saturday_on)

    assert (found.change, found.is_by_weekend, found.strata) == (Change.SAME, True, 48)
    assert not compared(before, before[:72]).is_by_weekend


def test_peaks_see_what_medians_do_not() -> None:
    """The level is the same, the maxima are not."""

    def hour(peak: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda h: np.where((h * 60) % 60 < 3, peak, 20.0)

    level, peaks = (
        compare_hours(
            hourly_values(series_of(hour(25), 96, 60), between(0, 96), 60, of),
            {
                at + 7 * DAY: value
                for at, value in hourly_values(series_of(hour(90), 72, 60), between(0, 72), 60, of).items()
            },
            zone=ZONE,
            floor=5.0,
        )
        for of in (Of.MEDIAN, Of.PEAK)
    )
    assert level.change is Change.SAME
    assert peaks.change is Change.HIGHER


def test_constant_values_are_the_same() -> None:
    """All values tied: no variance, no division by zero, no change."""
    found = compared(np.full(96, 3.0), np.full(72, 3.0))

    assert (found.change, found.z, found.p, found.delta) == (Change.SAME, 0.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("before", "after", "missing"),
    [
        (0, 72, ("the metric was not read before", "0 hours of the day with two values before and one after")),
        (96, 0, ("the metric was not read after", "0 hours of the day")),
        (47, 72, ("47 hours before; expected 48",)),
        (96, 47, ("47 hours after; expected 48",)),
    ],
)
def test_not_enough_data_is_a_verdict(before: int, after: int, missing: tuple[str, ...]) -> None:
    """It says what is missing, and never that nothing changed."""
    found = compared(np.arange(before), np.arange(after))
    answer = judge_likeness("redis", "CPU", Metric.CPU_CORES, found)

    assert found.change is Change.NOT_ENOUGH_DATA
    assert answer.verdict is Verdict.UNKNOWN
    assert all(any(part in line for line in found.missing) for part in missing)
    assert missing[0] in answer.text


def test_seventeen_hours_of_the_day_are_not_enough() -> None:
    """Eighteen are."""

    def with_hours(count: int) -> Change:
        values = hourly(np.arange(24 * 5) % 7, BEFORE)
        chosen = {at: value for at, value in values.items() if ((at - BEFORE) // HOUR) % 24 < count}
        return compare_hours(chosen, {at + 10 * DAY: v for at, v in chosen.items()}, zone=ZONE, floor=1.0).change

    assert with_hours(17) is Change.NOT_ENOUGH_DATA
    assert with_hours(18) is Change.SAME


def test_every_figure_is_in_the_text() -> None:
    """Who reads it can compute it again."""
    found = compared(np.tile([10.0, 12.0], 24 * 7), np.tile([30.0, 32.0, 31.0], 24), floor=5.0)
    answer = judge_likeness("redis on wf001", "disk time", Metric.DISK_BUSY_PERCENT, found)

    assert answer.verdict is Verdict.FAILED
    assert answer.text == (
        "redis on wf001: disk time is higher: median 31.0 % after, 11.0 % before, shift 20.0 %; "
        f"p {found.p:.4f} (a change: below 0.01), Z {found.z:.2f}, delta 1.000 (at least 0.474), A 1.000, a shift of "
        "at least 5.0 %; 72 hours against 336 in 24 strata, autocorrelation 0.00, factor 1.0. Expected: as before, or "
        "a reason. Compare the service's own metrics and its log"
    )
    assert set(answer.measured) == {"hours_before", "hours_after", "strata", *FIGURES}
    assert judge_likeness("x", "y", Metric.CPU_CORES, found, wrong={Change.LOWER}).passed


def test_hours_follow_summer_time() -> None:
    """The night in which clocks go back has its hour twice; none is lost."""
    begin = 1_729_983_600_000  # 2024-10-26 23:00 UTC, 01:00 in Berlin, summer time
    hours = [begin + number * HOUR for number in range(4)]

    assert [place.hour for place in local_hours(hours, "Europe/Berlin").values()] == [1, 2, 2, 3]


def test_an_hour_counts_with_three_quarters_of_its_samples() -> None:
    """And only as a whole: nothing is taken from an hour that is not over."""
    values = hourly_values(series_of(lambda h: h, 3, 300), between(0, 2.5), 300, Of.MEDIAN)
    rollups = {
        START: Rollup(9, 1, 2, 3, 4, 4),
        START + HOUR: Rollup(8, 1, 2, 3, 4, 4),
        START + 2 * HOUR: Rollup(12, 0, 0, 0, 0, 0),
    }

    assert list(values) == [START, START + HOUR]
    assert values_of_rollups(rollups, between(0, 2.5), 300, Of.PEAK) == {START: 4.0}
    assert values_of_rollups(rollups, between(0.5, 3), 300, Of.LEAST) == {START + 2 * HOUR: 0.0}


def test_the_plan_sets_the_floors() -> None:
    """Each in the unit of its metric."""
    assert floors_of(WatchComparison()) == Floors()
    floors = floors_of(WatchComparison(points=10, container_memory_mib=128, mb_s=2))
    assert [floors.of(one) for one in (Metric.CPU_PERCENT, Metric.CPU_CORES, Metric.MEMORY_BYTES)] == [
        10, 0.1, 128 * 1024**2
    ]  # fmt: skip
    assert (floors.of(Metric.WRITTEN_BYTES_S), floors.of(Metric.LOAD)) == (2e6, 0)
