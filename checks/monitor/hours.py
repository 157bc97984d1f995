"""One value for each hour, and the hours of the day and the days of the week to which they belong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from checks.monitor.points import groups_of, points_of, samples_needed
from checks.monitor.times import HOUR_MS, SECOND_MS
from engine.watch.model import Interval, Rollup, Series

SHARE: Final = 0.75
"""An hour with fewer of its samples does not count; a day with fewer of its hours does not count."""
DAY_HOURS: Final = 18
SATURDAY: Final = 5

Hourly = Mapping[int, float]
"""Values by the full hour (UTC) at which they begin, in milliseconds of the Unix epoch."""


class Of(StrEnum):
    """Which value stands for an hour."""

    MEDIAN = "median"
    PEAK = "peak"
    LEAST = "least"


class LocalHour(NamedTuple):
    """An hour in the plan's time zone."""

    hour: int
    day: date
    is_weekend: bool


def hourly_values(series: Series, between: Interval, period_s: float, of: Of) -> dict[int, float]:
    """Return one value for each full hour within a time that has at least 75 % of its samples."""
    needed = samples_needed(HOUR_MS, period_s, SHARE)
    choose: Any = {Of.MEDIAN: np.median, Of.PEAK: np.max, Of.LEAST: np.min}[of]
    return {
        begin: float(choose(values))
        for begin, values in groups_of(points_of(series, between), HOUR_MS)
        if values.size >= needed and _is_within(begin, between)
    }


def values_of_rollups(rollups: Mapping[int, Rollup], between: Interval, period_s: float, of: Of) -> dict[int, float]:
    """Return the same from the roll-ups of hours."""
    needed = samples_needed(HOUR_MS, period_s, SHARE)
    name = {Of.MEDIAN: "median", Of.PEAK: "most", Of.LEAST: "least"}[of]
    return {
        begin: float(getattr(rollup, name))
        for begin, rollup in sorted(rollups.items())
        if rollup.n >= needed and _is_within(begin, between)
    }


def local_hours(hours: Iterable[int], zone: str) -> dict[int, LocalHour]:
    """Return for each hour which hour of which day it is in a zone; summer time moves it, and no hour is lost by it."""
    return {hour: _local(hour, zone) for hour in hours}


@lru_cache(maxsize=65536)
def _local(hour_ms: int, zone: str) -> LocalHour:
    local = datetime.fromtimestamp(hour_ms // SECOND_MS, UTC).astimezone(ZoneInfo(zone))
    return LocalHour(local.hour, local.date(), local.weekday() >= SATURDAY)


def _is_within(hour_ms: int, between: Interval) -> bool:
    """Return whether the whole hour is within a time: a part of one says something else than a whole one."""
    return between.from_ms <= hour_ms and hour_ms + HOUR_MS <= between.to_ms
