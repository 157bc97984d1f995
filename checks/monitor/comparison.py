"""Is a metric as it was before: hours compared with the same hours of the day, by ranks.

Samples of five minutes are no independent samples, and days have a rhythm: a plain rank test calls two of three quiet
weeks changed. Here each hour of the day is a stratum of its own (van Elteren 1960), the variance is multiplied by what
the autocorrelation of the baseline costs, and a change must be large as well as improbable.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np

from checks.monitor.hours import DAY_HOURS, Hourly, LocalHour, local_hours
from checks.monitor.points import Values
from checks.monitor.times import HOUR_MS
from engine.config.plan import WatchComparison
from engine.finding import say
from engine.watch.model import Metric

LARGEST_P: Final = 0.01
LEAST_DELTA: Final = 0.474
"""Cliff's delta from which an effect counts as large (Romano et al. 2006)."""
HIGHEST_RHO: Final = 0.9
FEWEST_STRATA: Final = 18
FEWEST_HOURS: Final = 48
FEWEST_DAYS: Final = 2
SHARE: Final = 0.10

Stratum = tuple[int, bool]
"""The hour of the day, and whether it is one of a weekend where these are kept apart."""


class Change(StrEnum):
    """What became of a metric."""

    HIGHER = "higher"
    LOWER = "lower"
    SAME = "same"
    NOT_ENOUGH_DATA = "not_enough_data"


@dataclass(frozen=True)
class Comparison:
    """A change with each figure behind it; `before` and `after` are medians over all hours, in the metric's unit.

    `z`, `p` (two-sided), `rho` and `f`: the stratified rank test and its correction for autocorrelation. `a` is the
    probability that an hour after is higher than the same hour before, `delta` = 2a - 1. `shift` is the median of what
    the hours after are above the median of their stratum before; `needed` what it must be for a change.
    """

    change: Change
    missing: tuple[str, ...] = ()
    hours_before: int = 0
    hours_after: int = 0
    strata: int = 0
    is_by_weekend: bool = False
    before: float = math.nan
    after: float = math.nan
    z: float = math.nan
    p: float = math.nan
    rho: float = math.nan
    f: float = math.nan
    a: float = math.nan
    delta: float = math.nan
    shift: float = math.nan
    needed: float = math.nan

    @property
    def figures(self) -> dict[str, float]:
        """Return the figures that are known, for a record."""
        names = ("before", "after", "z", "p", "rho", "f", "a", "delta", "shift", "needed")
        known = {name: float(getattr(self, name)) for name in names if math.isfinite(getattr(self, name))}
        return {"hours_before": self.hours_before, "hours_after": self.hours_after, "strata": self.strata, **known}


@dataclass(frozen=True)
class Floors:
    """The smallest shift that counts as a change, whatever the statistics say; besides it must be 10 % of the median
    before.
    """

    points: float = 5.0
    """Percent points of processors, memory, disk time, pressure and links."""
    cores: float = 0.05
    """Processor-seconds per second of a container: 5 points of one processor."""
    container_memory_bytes: float = 64 * 1024**2
    bytes_s: float = 1e6

    def of(self, metric: Metric) -> float:
        """Return the floor of a metric in its own unit; 0 where none is set."""
        if metric.value.endswith("_percent"):
            return self.points
        if metric.value.endswith("_bytes_s"):
            return self.bytes_s
        return {
            Metric.CPU_CORES: self.cores,
            Metric.MEMORY_BYTES: self.container_memory_bytes,
            Metric.ANON_BYTES: self.container_memory_bytes,
        }.get(metric, 0.0)


def floors_of(rules: WatchComparison) -> Floors:
    """Return the floors that a plan sets."""
    return Floors(rules.points, rules.points / 100, rules.container_memory_mib * 1024**2, rules.mb_s * 1e6)


class _Ranked(NamedTuple):
    """One stratum: hours after (n) and before (m), the rank sum of those after, its variance, A."""

    n: int
    m: int
    excess: float
    variance: float
    a: float

    @property
    def weight(self) -> float:
        return 1.0 / (self.n + self.m + 1)


@dataclass(frozen=True)
class _Sides:
    """The values of both sides by stratum, and the hours of those before; only strata that can be compared."""

    before: Mapping[Stratum, Values]
    after: Mapping[Stratum, Values]
    hours: Mapping[int, Stratum] = field(default_factory=dict)


def compare_hours(before: Hourly, after: Hourly, *, zone: str, floor: float) -> Comparison:
    """Compare hourly values (medians: the level; maxima: the peaks) with those of a baseline.

    `zone` is the plan's time zone, `floor` the smallest shift that counts, in the metric's unit. The order of the hours
    changes nothing. Raises ZoneInfoNotFoundError for an unknown zone.
    """
    places = local_hours({*before, *after}, zone)
    by_weekend = _is_by_weekend([places[hour] for hour in before], [places[hour] for hour in after])
    strata = {hour: (place.hour, by_weekend and place.is_weekend) for hour, place in places.items()}
    sides = _sides(before, after, strata)
    about = Comparison(
        Change.NOT_ENOUGH_DATA,
        tuple(_missing(before, after, len(sides.before))),
        len(before),
        len(after),
        len(sides.before),
        by_weekend,
        *(float(np.median(list(values.values()))) if values else math.nan for values in (before, after)),
    )
    return about if about.missing else _judged(about, before, sides, floor)


def _judged(about: Comparison, before: Hourly, sides: _Sides, floor: float) -> Comparison:
    middle = {stratum: float(np.median(values)) for stratum, values in sides.before.items()}
    rho = _autocorrelation({hour: before[hour] - middle[stratum] for hour, stratum in sides.hours.items()})
    f = (1 + rho) / (1 - rho)
    ranked = [_ranked(sides.before[stratum], sides.after[stratum]) for stratum in sorted(sides.before)]
    variance = f * sum(one.weight**2 * one.variance for one in ranked)
    z = sum(one.weight * one.excess for one in ranked) / math.sqrt(variance) if variance > 0 else 0.0
    pairs = sum(one.weight * one.n * one.m for one in ranked)
    a = sum(one.weight * one.n * one.m * one.a for one in ranked) / pairs
    shift = float(np.median(np.concatenate([sides.after[one] - middle[one] for one in sorted(middle)])))
    p, delta, needed = two_sided(z), 2 * a - 1, max(floor, SHARE * abs(about.before))
    changed = p < LARGEST_P and abs(delta) >= LEAST_DELTA and shift * delta > 0 and abs(shift) >= needed
    change = Change.SAME if not changed else Change.HIGHER if shift > 0 else Change.LOWER
    return replace(about, change=change, z=z, p=p, rho=rho, f=f, a=a, delta=delta, shift=shift, needed=needed)


def two_sided(z: float) -> float:
    """Return how probable a standard normal value at least as far from 0 is."""
    return math.erfc(abs(z) / math.sqrt(2))


def ranks_of(values: Values) -> Values:
    """Return the ranks of values, from 1; equal values share the average of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Values = (ends - (counts - 1) / 2)[places]
    return ranks


def _ranked(before: Values, after: Values) -> _Ranked:
    n, m = int(after.size), int(before.size)
    total = n + m
    values = np.concatenate((after, before))
    rank_sum = float(ranks_of(values)[:n].sum())
    ties = np.unique(values, return_counts=True)[1].astype(float)
    tied = float((ties**3 - ties).sum()) / (total * (total - 1))
    return _Ranked(
        n,
        m,
        rank_sum - n * (total + 1) / 2,
        n * m / 12 * (total + 1 - tied),
        (rank_sum - n * (n + 1) / 2) / (n * m),
    )


def _autocorrelation(residuals: Mapping[int, float]) -> float:
    """Return the correlation of ranks an hour apart, cut to 0 to 0.9; hours next to a gap have no partner."""
    hours = sorted(residuals)
    ranks = dict(zip(hours, ranks_of(np.array([residuals[hour] for hour in hours])), strict=True))
    pairs = [(ranks[hour], ranks[hour + HOUR_MS]) for hour in hours if hour + HOUR_MS in ranks]
    one, other = np.array(pairs, dtype=float).reshape(-1, 2).T
    if one.size < 2 or not one.std() or not other.std():  # noqa: PLR2004 of one pair nothing follows
        return 0.0
    return float(min(HIGHEST_RHO, max(0.0, np.corrcoef(one, other)[0, 1])))


def _sides(before: Hourly, after: Hourly, strata: Mapping[int, Stratum]) -> _Sides:
    """Return the strata that have at least two hours before and one after."""
    split: list[dict[Stratum, list[float]]] = [defaultdict(list), defaultdict(list)]
    for side, values in zip(split, (before, after), strict=True):
        for hour in sorted(values):
            side[strata[hour]].append(values[hour])
    usable = {stratum for stratum, values in split[0].items() if len(values) > 1 and split[1].get(stratum)}
    return _Sides(
        {stratum: np.array(split[0][stratum]) for stratum in usable},
        {stratum: np.array(split[1][stratum]) for stratum in usable},
        {hour: strata[hour] for hour in before if strata[hour] in usable},
    )


def _is_by_weekend(before: list[LocalHour], after: list[LocalHour]) -> bool:
    """Return whether both sides have two days of work and two of a weekend; a day has at least 18 hours."""
    for side in (before, after):
        hours: dict[tuple[date, bool], int] = defaultdict(int)
        for place in side:
            hours[place.day, place.is_weekend] += 1
        whole = [key for key, count in hours.items() if count >= DAY_HOURS]
        for weekend in (False, True):
            if sum(1 for _, is_weekend in whole if is_weekend is weekend) < FEWEST_DAYS:
                return False
    return True


def _missing(before: Hourly, after: Hourly, strata: int) -> Iterator[str]:
    if not before:
        yield say("the metric was not read before")
    elif len(before) < FEWEST_HOURS:
        yield say("{hours} hours before; expected {needed}", hours=len(before), needed=FEWEST_HOURS)
    if not after:
        yield say("the metric was not read after")
    elif len(after) < FEWEST_HOURS:
        yield say("{hours} hours after; expected {needed}", hours=len(after), needed=FEWEST_HOURS)
    if strata < FEWEST_STRATA:
        yield say(
            "{strata} hours of the day with two values before and one after; expected {needed}",
            strata=strata,
            needed=FEWEST_STRATA,
        )
