"""Limits that were exceeded: for how long, how often, how far; and whether that is too long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from checks.monitor.bins import BIN_MS, Bins, bins_of
from checks.monitor.points import Moments, points_of
from checks.monitor.times import DAY_MS, HOUR_MS, MINUTE_MS, moment
from engine.finding import say
from engine.verdict import Judgement, failed, passed, unknown
from engine.watch.model import Interval, Series

GRIDS_MS: Final = (0, 5 * MINUTE_MS, 10 * MINUTE_MS)
"""Bins are laid over the time three times, so that a plateau of 65 minutes holds four of them whenever it begins."""
BRIDGED: Final = 2
"""So many bins in a row that do not count end no episode; they add nothing to its length either."""
SHOWN: Final = 10


@dataclass(frozen=True)
class ThresholdRule:
    """How long a limit may be exceeded: less than `longest_ms` at once, less than `day_ms` in any 24 hours."""

    longest_ms: int
    day_ms: int | None = None


LASTING: Final = ThresholdRule(HOUR_MS, 2 * HOUR_MS)
"""For processors and disk time: short peaks are work."""
AT_ONCE: Final = ThresholdRule(BIN_MS)
"""For memory and disk space: nothing is left for a peak."""
FOR_AN_HOUR: Final = ThresholdRule(HOUR_MS)
"""For pressure."""


@dataclass(frozen=True)
class Episode:
    """Bins over a limit in a row, as moments in milliseconds of the Unix epoch; `over_ms` is the length of its bins.

    `is_open`: no bin below the limit has followed. `worst` is the highest mean of a bin.
    """

    began_ms: int
    ended_ms: int
    over_ms: int
    worst: float
    is_open: bool


@dataclass(frozen=True)
class Exceedances:
    """What a series did over a limit. `day_over_ms` is the most of any 24 hours, which end at `day_ended_ms`.

    `breaches` are the times that made the check fail, merged and sorted.
    """

    limit: float
    rule: ThresholdRule
    episodes: tuple[Episode, ...]
    bins: int
    bins_left_out: int
    bins_over: int
    samples: int
    samples_over: int
    day_over_ms: int = 0
    day_ended_ms: int = 0
    breaches: tuple[Interval, ...] = ()

    @property
    def longest_ms(self) -> int:
        """Return the length of the longest episode."""
        return max((one.over_ms for one in self.episodes), default=0)

    @property
    def worst(self) -> float:
        """Return the highest mean of a bin over the limit; the limit when there is none."""
        return max((one.worst for one in self.episodes), default=self.limit)


def find_exceedances(
    series: Series, between: Interval, *, limit: float, rule: ThresholdRule, period_s: float
) -> Exceedances:
    """Return when a series was over a limit in a time; of the three grids of bins the one with the most."""
    points = points_of(series, between)
    over = int(np.count_nonzero(points.values > limit))
    found = []
    for offset_ms in GRIDS_MS:
        bins = bins_of(points, period_s, offset_ms)
        episodes = tuple(_episodes(bins, limit))
        ends = bins.begins_ms[bins.means > limit] + BIN_MS
        day_over, day_ended = _worst_day(ends)
        found.append(
            Exceedances(
                limit,
                rule,
                episodes,
                len(bins),
                bins.left_out,
                int(ends.size),
                int(points.at_ms.size),
                over,
                day_over,
                day_ended,
                tuple(_breaches(episodes, ends, rule)),
            )
        )
    return max(found, key=lambda one: (bool(one.breaches), one.longest_ms, one.day_over_ms))


def judge_threshold(host: str, what: str, found: Exceedances, advice: str = "") -> Judgement:
    """Judge whether a limit was exceeded for too long; `what` is a noun, as in "CPU use", measured in percent.

    `advice` is what to do about a failure, a sentence with a command.
    """
    if not found.bins:
        return unknown(
            say(
                "{host}: not enough data: {what} has {samples:,} samples, and no 15 minutes with 80 % of theirs. "
                "Expected: samples all the time. Try: ssh {host} docker ps --filter label=longshore.role=watch",
                host=host,
                what=what,
                samples=found.samples,
            )
        )
    seen = _seen(what, found)
    lines = tuple(_line(one) for one in sorted(found.episodes, key=lambda one: -one.over_ms)[:SHOWN])
    figures: dict[str, float] = {
        "samples": found.samples,
        "samples_over": found.samples_over,
        "bins": found.bins,
        "bins_over": found.bins_over,
        "longest_minutes": found.longest_ms / MINUTE_MS,
        "worst_percent": round(found.worst, 2),
    }
    if found.breaches:
        return failed(
            say("{host}: {seen}. Expected: {expected}", host=host, seen=seen, expected=_expected(found.rule))
            if not advice
            else say(
                "{host}: {seen}. Expected: {expected}. {advice}",
                host=host,
                seen=seen,
                expected=_expected(found.rule),
                advice=advice,
            ),
            lines,
            **figures,
        )
    return passed(say("{host}: {seen}", host=host, seen=seen), lines, **figures)


def _episodes(bins: Bins, limit: float) -> Iterator[Episode]:
    is_over = bins.means > limit
    places = np.flatnonzero(is_over)
    if not places.size:
        return
    apart = (np.diff(places) > 1) | (np.diff(bins.begins_ms[places]) > (BRIDGED + 1) * BIN_MS)
    for group in np.split(places, np.flatnonzero(apart) + 1):
        last = int(group[-1])
        yield Episode(
            int(bins.begins_ms[group[0]]),
            int(bins.begins_ms[last]) + BIN_MS,
            int(group.size) * BIN_MS,
            float(bins.means[group].max()),
            last == len(bins) - 1,
        )


def _day_sums(ends: Moments) -> Moments:
    """Return, for the end of each bin over the limit, the time over the limit in the 24 hours before it."""
    first = np.searchsorted(ends, ends - DAY_MS, side="right")
    return (np.arange(ends.size) - first + 1) * BIN_MS


def _worst_day(ends: Moments) -> tuple[int, int]:
    if not ends.size:
        return 0, 0
    sums = _day_sums(ends)
    place = int(np.argmax(sums))
    return int(sums[place]), int(ends[place])


def _breaches(episodes: tuple[Episode, ...], ends: Moments, rule: ThresholdRule) -> Iterator[Interval]:
    found = [Interval(one.began_ms, one.ended_ms) for one in episodes if one.over_ms >= rule.longest_ms]
    if rule.day_ms is not None and ends.size:
        found += [Interval(int(end) - BIN_MS, int(end)) for end in ends[_day_sums(ends) >= rule.day_ms]]
    merged: Interval | None = None
    for one in sorted(found):
        if merged is not None and one.from_ms <= merged.to_ms:
            merged = Interval(merged.from_ms, max(merged.to_ms, one.to_ms))
            continue
        if merged is not None:
            yield merged
        merged = one
    if merged is not None:
        yield merged


def _seen(what: str, found: Exceedances) -> str:
    counted = say(
        "{over:,} of {samples:,} samples above {limit:g} %",
        over=found.samples_over,
        samples=found.samples,
        limit=found.limit,
    )
    if not found.episodes:
        return say(
            "{what}: {counted}; none of {bins:,} quarters of an hour on average",
            what=what,
            counted=counted,
            bins=found.bins,
        )
    return say(
        "{what}: {counted}; {over:,} of {bins:,} quarters of an hour on average, {episodes} episodes, the "
        "longest {longest:,.0f} min, the worst {worst:.1f} %, {day:,.0f} min in the worst 24 h",
        what=what,
        counted=counted,
        over=found.bins_over,
        bins=found.bins,
        episodes=len(found.episodes),
        longest=found.longest_ms / MINUTE_MS,
        worst=found.worst,
        day=found.day_over_ms / MINUTE_MS,
    )


def _expected(rule: ThresholdRule) -> str:
    if rule.longest_ms <= BIN_MS:
        return say("no quarter of an hour above it")
    if rule.day_ms is None:
        return say("less than {longest:.0f} min at once", longest=rule.longest_ms / MINUTE_MS)
    return say(
        "less than {longest:.0f} min at once, and less than {day:.0f} min in any 24 h",
        longest=rule.longest_ms / MINUTE_MS,
        day=rule.day_ms / MINUTE_MS,
    )


def _line(one: Episode) -> str:
    if one.is_open:
        return say(
            "since {began}: {minutes:.0f} min, the worst {worst:.1f} %",
            began=moment(one.began_ms),
            minutes=one.over_ms / MINUTE_MS,
            worst=one.worst,
        )
    return say(
        "{began} to {ended}: {minutes:.0f} min, the worst {worst:.1f} %",
        began=moment(one.began_ms),
        ended=moment(one.ended_ms),
        minutes=one.over_ms / MINUTE_MS,
        worst=one.worst,
    )
