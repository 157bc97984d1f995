"""Is a target as busy as predicted: its own load before the moves, and that of what moved there, by hour of the day.

A target that took over services must be busier than before. Only the difference from the prediction is news.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from checks.monitor.hours import Hourly, local_hours
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed, unknown

POINTS: Final = 10.0
SHARE: Final = 0.25
PERCENTILE: Final = 95
FEWEST_OF_DAY: Final = 18
FEWEST_HOURS: Final = 48


@dataclass(frozen=True)
class Arrival:
    """What moved to a target: its hourly medians on its old host, and how many points of the target a unit of them is.

    Processors: 100 / the target's processors. Bytes of memory: 100 / the target's bytes.
    """

    service: str
    before: Hourly
    points_per_unit: float


@dataclass(frozen=True)
class Forecast:
    """What was predicted for each hour of the day (0 to 23), in percent points; `blind` has no baseline at all."""

    by_hour: Mapping[int, float]
    blind: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kept:
    """How a prediction turned out, in percent points: `off` is the 95th percentile of |actual - predicted|.

    `factor` is the mean of what was measured by the mean of what was predicted for the same hours.
    """

    missing: tuple[str, ...] = ()
    hours: int = 0
    predicted: float = math.nan
    actual: float = math.nan
    off: float = math.nan
    allowed: float = math.nan
    factor: float = math.nan

    @property
    def is_kept(self) -> bool:
        """Return whether the prediction was good; False also when there is not enough data."""
        return not self.missing and self.off <= self.allowed


def predict(host: str, own: Hourly, arrivals: tuple[Arrival, ...], zone: str) -> Forecast:
    """Return the sum of baseline medians for each hour of the day for which the target and every arrival have one."""
    parts = {host: _by_hour(own, 1.0, zone)}
    parts |= {one.service: _by_hour(one.before, one.points_per_unit, zone) for one in arrivals}
    known = set.intersection(*(set(part) for part in parts.values()))
    return Forecast(
        {hour: sum(part[hour] for part in parts.values()) for hour in sorted(known)},
        tuple(name for name, part in parts.items() if not part),
    )


def compare_with_forecast(forecast: Forecast, after: Hourly, zone: str) -> Kept:
    """Compare hourly medians of a target with its prediction."""
    places = local_hours(after, zone)
    hours = [hour for hour in sorted(after) if places[hour].hour in forecast.by_hour]
    missing = []
    if forecast.blind:
        missing.append(say("no baseline of {names}", names=", ".join(forecast.blind)))
    if len(forecast.by_hour) < FEWEST_OF_DAY:
        missing.append(
            say(
                "a prediction for {hours} hours of the day; expected {needed}",
                hours=len(forecast.by_hour),
                needed=FEWEST_OF_DAY,
            )
        )
    if len(hours) < FEWEST_HOURS:
        missing.append(say("{hours} hours after; expected {needed}", hours=len(hours), needed=FEWEST_HOURS))
    if missing:
        return Kept(tuple(missing), len(hours))
    predicted = np.array([forecast.by_hour[places[hour].hour] for hour in hours])
    actual = np.array([after[hour] for hour in hours])
    middle = float(np.median(predicted))
    return Kept(
        (),
        len(hours),
        middle,
        float(np.median(actual)),
        float(np.percentile(np.abs(actual - predicted), PERCENTILE)),
        max(POINTS, SHARE * middle),
        float(actual.mean() / predicted.mean()) if predicted.mean() > 0 else math.nan,
    )


def judge_forecast(host: str, what: str, kept: Kept) -> Judgement:
    """Judge whether a target is as busy as predicted; `what` is a noun ("CPU use", "memory use")."""
    if kept.missing:
        return unknown(
            say(
                "{host}: not enough data to compare {what} with its prediction: {missing}",
                host=host,
                what=what,
                missing=joined("; ", kept.missing),
            ),
            hours=kept.hours,
        )
    seen = say(
        "{host}: {what} {actual:.1f} %, predicted {predicted:.1f} % (medians of {hours} hours); 95 of 100 hours differ "
        "by at most {off:.1f} points, allowed {allowed:.1f}; factor actual/predicted {factor}",
        host=host,
        what=what,
        actual=kept.actual,
        predicted=kept.predicted,
        hours=kept.hours,
        off=kept.off,
        allowed=kept.allowed,
        factor=say("not known (0 % was predicted)") if math.isnan(kept.factor) else f"{kept.factor:.2f}",
    )
    figures: dict[str, float] = {
        "predicted_percent": round(kept.predicted, 2),
        "actual_percent": round(kept.actual, 2),
        "off_points": round(kept.off, 2),
        **({} if math.isnan(kept.factor) else {"factor": round(kept.factor, 3)}),
    }
    if kept.is_kept:
        return passed(seen, (), **figures)
    return failed(
        say(
            "{seen}. Expected: as predicted. Something else runs on {host}, or a service needs another amount than on "
            "its old host. Try: ssh {host} docker stats --no-stream",
            seen=seen,
            host=host,
        ),
        (),
        **figures,
    )


def _by_hour(values: Hourly, factor: float, zone: str) -> dict[int, float]:
    found: dict[int, list[float]] = defaultdict(list)
    for hour, place in local_hours(values, zone).items():
        found[place.hour].append(values[hour] * factor)
    return {hour: float(np.median(each)) for hour, each in found.items()}
