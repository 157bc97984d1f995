"""Arithmetic of times: merged, cut, common to several hosts, and the gaps between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from checks.monitor.times import MINUTE_MS, SECOND_MS
from engine.watch.model import Interval

PERIODS: Final = 3
LEAST_GAP_MS: Final = 5 * MINUTE_MS


def longest_pause_ms(period_s: float) -> int:
    """Return how far samples may be apart before the time between them is a gap: three periods, at least 5 minutes."""
    return max(int(PERIODS * period_s * SECOND_MS), LEAST_GAP_MS)


def watched_from(at_ms: Iterable[int], period_s: float) -> tuple[Interval, ...]:
    """Return the times that samples cover; the last one before a gap covers one period."""
    return merged((Interval(at, at + int(period_s * SECOND_MS)) for at in at_ms), longest_pause_ms(period_s))


def merged(intervals: Iterable[Interval], pause_ms: int = 0) -> tuple[Interval, ...]:
    """Return intervals in the order of time; those at most `pause_ms` apart become one, empty ones are left out."""
    found: list[Interval] = []
    for one in sorted(intervals):
        if one.length_ms <= 0:
            continue
        if found and one.from_ms - found[-1].to_ms <= pause_ms:
            found[-1] = Interval(found[-1].from_ms, max(found[-1].to_ms, one.to_ms))
        else:
            found.append(one)
    return tuple(found)


def within(intervals: Iterable[Interval], between: Interval) -> tuple[Interval, ...]:
    """Return what of merged intervals is in a time."""
    cut = (Interval(max(one.from_ms, between.from_ms), min(one.to_ms, between.to_ms)) for one in intervals)
    return tuple(one for one in cut if one.length_ms > 0)


def common(sides: Sequence[Sequence[Interval]]) -> tuple[Interval, ...]:
    """Return the times that are in all of these merged intervals; none of no sides."""
    if not sides:
        return ()
    found = tuple(sides[0])
    for side in sides[1:]:
        found = tuple(piece for one in side for piece in within(found, one))
    return merged(found)


def gaps(intervals: Iterable[Interval], between: Interval) -> tuple[Interval, ...]:
    """Return the parts of a time that are in none of these merged intervals."""
    found = []
    at = between.from_ms
    for one in within(intervals, between):
        if one.from_ms > at:
            found.append(Interval(at, one.from_ms))
        at = max(at, one.to_ms)
    if at < between.to_ms:
        found.append(Interval(at, between.to_ms))
    return tuple(found)


def length_ms(intervals: Iterable[Interval]) -> int:
    """Return how long merged intervals are together."""
    return sum(one.length_ms for one in intervals)
