"""Counts: the exact binomial test, by hand and against SciPy."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from checks.monitor.counts import Count, compare_counts, judge_counts, upper_tail
from engine.verdict import Verdict
from tests.fakes.soaks import DAY, HOUR


def test_five_errors_where_there_was_none() -> None:
    """Equal times: 0.5 ** 5 = 0.03 is no proof; a baseline of 14 days against one of three: (3/17) ** 5 is."""
    equal = compare_counts(Count(0, DAY), Count(5, DAY))
    longer = compare_counts(Count(0, 14 * DAY), Count(5, 3 * DAY))

    assert equal.p == pytest.approx(1 / 32)
    assert equal.is_more is False
    assert longer.p == pytest.approx((3 / 17) ** 5)
    assert longer.is_more is True
    assert math.isinf(longer.ratio)
    assert (
        "5 log errors in 72.0 h, before 0 in 336.0 h; none before, p 0.0002"
        in judge_counts("redis", "log errors", longer).text
    )


def test_four_are_too_few_and_less_than_twice_is_not_more() -> None:
    """Each limit by itself."""
    assert compare_counts(Count(0, 100 * DAY), Count(4, 3 * DAY)).is_more is False
    often = compare_counts(Count(10_000, DAY), Count(19_000, DAY))
    assert often.p < 1e-9
    assert often.is_more is False
    assert compare_counts(Count(10_000, DAY), Count(20_000, DAY)).is_more is True


@pytest.mark.parametrize(
    ("least", "number", "share"),
    [(1, 1, 0.5), (3, 10, 0.2), (9, 10, 0.5), (2, 10, 0.9), (501_500, 1_000_000, 0.5), (176_000, 1_000_000, 3 / 17)],
)
def test_the_tail_is_scipys(least: int, number: int, share: float) -> None:
    """Also of a million log lines."""
    assert upper_tail(least, number, share) == pytest.approx(stats.binom.sf(least - 1, number, share), rel=1e-6)


def test_ends_of_the_tail() -> None:
    """All, none, and nothing counted at all."""
    assert upper_tail(0, 0, 0.5) == 1.0
    assert upper_tail(3, 2, 0.5) == 0.0
    none = compare_counts(Count(0, DAY), Count(0, DAY))
    assert (none.p, none.ratio, none.is_more) == (1.0, 1.0, False)
    assert judge_counts("redis", "restarts", none).passed


def test_no_time_is_not_enough_data() -> None:
    """Nothing compared is not a pass."""
    answer = judge_counts("redis", "restarts", compare_counts(Count(0, 0), Count(9, HOUR)))

    assert answer.verdict is Verdict.UNKNOWN
    assert "0.0 h before and 1.0 h after" in answer.text
    with pytest.raises(ValueError, match="-1 events"):
        Count(-1, 1)
