"""How many days until a disk or a memory is full.

With 14 days or more: paths into the future, drawn in blocks of a week from the differences between days (Künsch 1989).
With 48 hours to 14 days: the rise against the same hour of the day before, which a daily rhythm does not disturb and a
cache that is warm stops. A slope through the samples is not used: its interval held the truth in 7 of 20 trials.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Final

import numpy as np

from checks.monitor.hours import DAY_HOURS, Hourly, Of, local_hours
from checks.monitor.points import Values
from checks.monitor.times import DAY_MS, HOUR_MS
from checks.monitor.units import value_of
from engine.finding import say
from engine.verdict import Judgement, failed, passed, unknown
from engine.watch.model import Metric

PATHS: Final = 400
BLOCK_DAYS: Final = 7
FEWEST_DAYS: Final = 14
HORIZON_DAYS: Final = 365
SOON_DAYS: Final = 14
LATER_DAYS: Final = 60
FEWEST_HOURS: Final = 48
CONFIRMED_HOURS: Final = 72
RISING: Final = 0.90


@dataclass(frozen=True)
class Growth:
    """When a limit will be reached, in days from the last value; infinite: not within a year.

    `data_days` is what it was computed from. `p10`, `p50`, `p90`: so many of 100 paths reach the limit by then; with
    less than 14 days all three are the one estimate. `within_14` and `within_60` are probabilities, None where there
    are too few days to give any. `rise` is in the unit of the values, a day.
    """

    missing: str = ""
    data_days: float = 0.0
    highest: float = math.nan
    rise: float = 0.0
    is_growing: bool = False
    p10: float = math.inf
    p50: float = math.inf
    p90: float = math.inf
    within_14: float | None = None
    within_60: float | None = None

    def is_within(self, days: int) -> bool:
        """Return whether the limit will more probably than not be reached within 14 or 60 days."""
        return self.p50 <= days


def find_growth(values: Hourly, limit: float, zone: str, of: Of) -> Growth:
    """Return when hourly values reach a limit: maxima of a disk (`of` PEAK), minima of a memory (`of` LEAST).

    Days are those of the plan's time zone; one with fewer than 18 hours does not count.
    """
    daily = daily_values(values, zone, of)
    differences = _differences(daily)
    if len(daily) >= FEWEST_DAYS and differences.size >= BLOCK_DAYS:
        return _by_paths(len(daily), list(daily.values())[-1], differences, limit)
    return _by_rises(values, limit)


def daily_values(values: Hourly, zone: str, of: Of) -> dict[date, float]:
    """Return the peak or the least of each day that has at least 18 hours, in the order of days."""
    days: dict[date, list[float]] = defaultdict(list)
    for hour, place in local_hours(sorted(values), zone).items():
        days[place.day].append(values[hour])
    choose = min if of is Of.LEAST else max
    return {day: choose(each) for day, each in days.items() if len(each) >= DAY_HOURS}


def _differences(daily: Mapping[date, float]) -> Values:
    """Return the differences between days that follow each other; none over a missing day."""
    days, values = list(daily), np.array(list(daily.values()))
    follows = [(later - day).days == 1 for day, later in pairwise(days)]
    differences: Values = np.diff(values)[np.array(follows, dtype=bool)]
    return differences


def _by_paths(days: int, last: float, differences: Values, limit: float) -> Growth:
    first = first_days(last, differences, limit)
    p10, p50, p90 = (float(value) for value in np.quantile(first, (0.1, 0.5, 0.9), method="inverted_cdf"))
    within = [float(np.mean(first <= soon)) for soon in (SOON_DAYS, LATER_DAYS)]
    return Growth("", days, last, float(differences.mean()), math.isfinite(p50), p10, p50, p90, *within)


def first_days(last: float, differences: Values, limit: float) -> Values:
    """Return for each of 400 paths the first day on which it is at the limit, infinite when not within a year.

    Each path is a resample of the daily differences in circular blocks of a week. The mean of another resample, as long
    as the data, replaces the mean of the differences: how fast it grows is as uncertain as how much it varies. The
    random numbers come from the data: the same data give the same days.
    """
    if last >= limit:
        return np.zeros(PATHS)
    data = np.concatenate((differences, (last, limit)))
    seed = int.from_bytes(hashlib.sha256(data.astype("<f8").tobytes()).digest()[:8], "big")
    random = np.random.default_rng(seed)
    steps = _resample(random, differences, HORIZON_DAYS)
    drift = _resample(random, differences, differences.size).mean(axis=1) - differences.mean()
    paths = last + np.cumsum(steps + drift[:, None], axis=1)
    reached = paths >= limit
    days: Values = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.inf)
    return days


def _resample(random: np.random.Generator, differences: Values, length: int) -> Values:
    """Return 400 rows of so many differences, drawn in blocks that may begin anywhere and end at the other end."""
    blocks = math.ceil(length / BLOCK_DAYS)
    starts = random.integers(0, differences.size, (PATHS, blocks, 1))
    places = (starts + np.arange(BLOCK_DAYS)) % differences.size
    drawn: Values = differences[places.reshape(PATHS, -1)[:, :length]]
    return drawn


def _by_rises(values: Hourly, limit: float) -> Growth:
    if not values:
        return Growth(_too_few(0))
    end = max(values)
    span = (end - min(values)) // HOUR_MS + 1
    highest = max(value for hour, value in values.items() if hour > end - DAY_MS)
    last, before = _rises(values, end), _rises(values, end - DAY_MS)
    days = span * HOUR_MS / DAY_MS
    if span < FEWEST_HOURS or len(last) < DAY_HOURS:
        return Growth(_too_few(days), days, highest)
    grows = _is_rising(last) and (span < CONFIRMED_HOURS or (len(before) >= DAY_HOURS and _is_rising(before)))
    rise = float(np.median(last))
    if highest >= limit:
        return Growth("", days, highest, rise, grows, 0.0, 0.0, 0.0)
    left = (limit - highest) / rise if grows else math.inf
    return Growth("", days, highest, rise, grows, left, left, left)


def _rises(values: Hourly, end: int) -> list[float]:
    """Return the rises of the 24 hours up to one, each against the same hour a day before."""
    return [
        values[hour] - values[hour - DAY_MS]
        for hour in range(end - DAY_MS + HOUR_MS, end + HOUR_MS, HOUR_MS)
        if hour in values and hour - DAY_MS in values
    ]


def _is_rising(rises: Sequence[float]) -> bool:
    return sum(rise > 0 for rise in rises) >= RISING * len(rises)


def _too_few(days: float) -> str:
    return say(
        "{days:.1f} days of data; expected {needed:.0f}, and 18 hours of each", days=days, needed=FEWEST_HOURS / 24
    )


def judge_growth(
    subject: str, what: str, metric: Metric, found: Growth, *, limit: float, within_days: int
) -> Judgement:
    """Judge whether a limit will be reached within so many days (14 or 60); `what` is a noun ("memory", "disk /data").

    No number of days and no percentage is given without the days of data that it was computed from.
    """
    if found.missing:
        return unknown(
            say(
                "{subject}: not enough data for the growth of {what}: {missing}",
                subject=subject,
                what=what,
                missing=found.missing,
            ),
            days_of_data=round(found.data_days, 1),
        )
    seen = say(
        "{subject}: {what} at {highest} of {limit}, {when} (from {days:.1f} days of data)",
        subject=subject,
        what=what,
        highest=value_of(metric, found.highest),
        limit=value_of(metric, limit),
        when=_when(metric, found),
        days=found.data_days,
    )
    figures: dict[str, float] = {"days_of_data": round(found.data_days, 1), "rise_a_day": found.rise}
    figures |= {
        name: value
        for name, value in (("p10_days", found.p10), ("p50_days", found.p50), ("p90_days", found.p90))
        if math.isfinite(value)
    }
    if found.within_14 is not None and found.within_60 is not None:
        figures |= {"within_14_days": found.within_14, "within_60_days": found.within_60}
    if found.is_within(within_days):
        return failed(
            say(
                "{seen}. Expected: more than {days} days. Find out what grows, or enlarge it",
                seen=seen,
                days=within_days,
            ),
            (),
            **figures,
        )
    return passed(seen, (), **figures)


def _when(metric: Metric, found: Growth) -> str:
    if found.within_14 is not None and found.within_60 is not None:
        return say(
            "reached in {p50} ({p10} to {p90} in 80 of 100 paths); within 14 days: {soon:.0%}, within 60 days: "
            "{later:.0%}; {rise} a day on average",
            p50=_days(found.p50),
            p10=_days(found.p10),
            p90=_days(found.p90),
            soon=found.within_14,
            later=found.within_60,
            rise=value_of(metric, found.rise),
        )
    if not found.is_growing:
        return say("it is not growing: {rise} in a day", rise=value_of(metric, found.rise))
    return say("it grows by {rise} a day: reached in {days}", rise=value_of(metric, found.rise), days=_days(found.p50))


def _days(days: float) -> str:
    return say("{days:.1f} days", days=days) if math.isfinite(days) else say("more than 365 days")
