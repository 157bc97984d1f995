"""Days until full: leaks are found, warm caches and backups are none, and no figure comes without its days of data."""

from __future__ import annotations

import math

import numpy as np
import pytest

from checks.monitor.growth import find_growth, first_days, judge_growth
from checks.monitor.hours import Of
from engine.verdict import Verdict
from engine.watch.model import Metric
from tests.fakes.soaks import HOUR, START, ZONE, hourly

PERCENT = Metric.MEMORY_PERCENT


def leak(seed: int, hours: int = 72, a_day: float = 2.5, level: float = 62.0, cycle: float = 0.0) -> np.ndarray:
    """Return hourly minima of a memory that grows, with noise and a daily rhythm."""
    at = np.arange(hours)
    random = np.random.default_rng(seed)
    return level + a_day * at / 24 + cycle * np.sin(at / 24 * 2 * np.pi) + random.normal(0, 0.15, hours)


def test_the_rise_by_hand() -> None:
    """Half a point each hour from 10: 12 a day, the highest 45.5, a limit of 81.5 in three days."""
    found = find_growth(hourly(10 + 0.5 * np.arange(72)), 81.5, ZONE, Of.LEAST)

    assert (found.is_growing, found.rise, found.highest, found.p50) == (True, 12.0, 45.5, 3.0)
    assert (found.data_days, found.within_14) == (3.0, None)
    answer = judge_growth("wf001", "memory", PERCENT, found, limit=81.5, within_days=14)
    assert answer.verdict is Verdict.FAILED
    assert answer.text == (
        "wf001: memory at 45.5 % of 81.5 %, it grows by 12.0 % a day: reached in 3.0 days (from 3.0 days of data). "
        "Expected: more than 14 days. Find out what grows, or enlarge it"
    )


@pytest.mark.parametrize("cycle", [0.0, 8.0])
def test_a_leak_of_two_and_a_half_points_a_day_is_found_within_72_hours(cycle: float) -> None:
    """In 38 of 40 at least, and the days until 80 % are within 40 % of the truth."""
    good = 0
    for seed in range(40):
        values = leak(seed, cycle=cycle)
        found = find_growth(hourly(values), 80.0, ZONE, Of.LEAST)
        truth = (80.0 - values[-24:].max()) / 2.5
        good += found.is_growing and abs(found.p50 - truth) <= 0.4 * truth and found.is_within(14)

    assert good >= 38


@pytest.mark.parametrize(
    "kind",
    ["stable", "noisy", "warm"],
)
def test_what_does_not_grow_is_no_leak(kind: str) -> None:
    """Level, noise, and a cache that warms up on the first day and then stays."""
    wrong = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        at = np.arange(72)
        values = {
            "stable": 60 + random.normal(0, 0.1, 72),
            "noisy": 60 + random.normal(0, 4, 72),
            "warm": 60 - 20 * np.exp(-at / 6) + random.normal(0, 0.15, 72),
        }[kind]
        wrong += find_growth(hourly(values), 80.0, ZONE, Of.LEAST).is_growing

    assert wrong <= 2


def test_with_72_hours_the_day_before_must_confirm() -> None:
    """Two days flat and one that rises are not growing yet; of 48 hours the last day alone counts."""
    values = np.concatenate((np.full(48, 50.0), 51 + np.arange(24) * 0.1))

    assert not find_growth(hourly(values), 80, ZONE, Of.LEAST).is_growing
    assert find_growth(hourly(values[24:]), 80, ZONE, Of.LEAST).is_growing


@pytest.mark.parametrize("hours", [0, 24, 47])
def test_less_than_48_hours_are_not_enough(hours: int) -> None:
    """Whatever the slope."""
    answer = judge_growth(
        "wf001", "memory", PERCENT, find_growth(hourly(np.arange(hours)), 80, ZONE, Of.LEAST), limit=80, within_days=14
    )

    assert answer.verdict is Verdict.UNKNOWN
    assert f"{hours / 24:.1f} days of data; expected 2" in answer.text


def test_a_backup_that_comes_and_goes_fills_no_disk() -> None:
    """60 of 400 GB every night, for three weeks and for three days."""
    values = 200 + np.array([60 * (hour % 24 < 3) + hour * 0.0 for hour in range(24 * 21)])
    for part in (values, values[:72]):
        found = find_growth(hourly(part), 340, ZONE, Of.PEAK)
        assert math.isinf(found.p50)
        assert judge_growth("h", "disk /", PERCENT, found, limit=340, within_days=60).passed


def test_the_interval_holds_the_truth() -> None:
    """28 days of 1 point a day with noise: the first day at the limit is between P10 and P90 in at least 28 of 40."""
    held = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        steps = random.normal(1.0, 2.0, 28 + 200)
        peaks = 100 + np.cumsum(steps)
        truth = int(np.argmax(peaks[28:] >= peaks[27] + 40)) + 1
        found = find_growth(hourly(np.repeat(peaks[:28], 24)), peaks[27] + 40, ZONE, Of.PEAK)
        held += found.p10 <= truth <= found.p90

    assert held >= 28


def test_a_constant_rise_has_no_spread() -> None:
    """Two a day, 20 to go: the tenth day, in all paths, and the text says from how much data."""
    daily = np.repeat(50 + 2.0 * np.arange(14), 24)
    found = find_growth(hourly(daily), 96.0, ZONE, Of.PEAK)
    answer = judge_growth("wf001", "disk /", PERCENT, found, limit=96, within_days=14)

    assert (found.p10, found.p50, found.p90, found.within_14, found.within_60) == (10, 10, 10, 1.0, 1.0)
    assert answer.verdict is Verdict.FAILED
    assert "within 14 days: 100%" in answer.text
    assert "(from 14.0 days of data)" in answer.text


def test_fourteen_days_and_sixty_days_are_two_questions() -> None:
    """A limit that is 30 days away fails the one and passes the other."""
    found = find_growth(hourly(np.repeat(np.arange(20.0), 24)), 49.0, ZONE, Of.PEAK)

    assert (found.p50, found.within_14, found.within_60) == (30, 0.0, 1.0)
    assert judge_growth("h", "disk", PERCENT, found, limit=49, within_days=14).passed
    assert judge_growth("h", "disk", PERCENT, found, limit=49, within_days=60).verdict is Verdict.FAILED


def test_the_same_data_give_the_same_days() -> None:
    """The random numbers come from the data, so that the verdict can be computed again."""
    differences = np.random.default_rng(1).normal(0.5, 2, 27)

    assert list(first_days(50.0, differences, 80.0)) == list(first_days(50.0, differences, 80.0))
    assert list(first_days(50.0, differences, 80.0)) != list(first_days(50.0, differences[::-1].copy(), 80.0))
    assert set(first_days(80.0, differences, 80.0)) == {0.0}


def test_a_missing_day_makes_no_jump() -> None:
    """The difference over a gap is no difference of a day."""
    values = {at: v for at, v in hourly(np.repeat(2.0 * np.arange(21), 24)).items() if (at - START) // (24 * HOUR) != 9}

    assert find_growth(values, 1000, ZONE, Of.PEAK).rise == 2.0
