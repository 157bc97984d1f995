"""How much of the time a host was watched, each gap, and whether its clock can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from checks.monitor.intervals import common, gaps, length_ms, longest_pause_ms, merged, within
from checks.monitor.times import HOUR_MS, MINUTE_MS, moment
from engine.finding import say
from engine.verdict import Judgement, failed, passed, unknown
from engine.watch.model import Interval

LONGEST_GAP_MS: Final = 12 * HOUR_MS
"""A longer gap restarts the clock: too much can happen in it."""
LARGEST_OFFSET_S: Final = 2.0
FRESH_MS: Final = 15 * MINUTE_MS
SHOWN: Final = 20


@dataclass(frozen=True)
class HostWatch:
    """When a host was sampled, by its own clock corrected to ours.

    `needed_until_ms`: a source is watched while it is on; None is for ever. `offset_s` is how far its clock is ahead of
    ours, None when it was not measured.
    """

    host: str
    watched: tuple[Interval, ...]
    offset_s: float | None
    needed_until_ms: int | None = None

    @property
    def has_good_clock(self) -> bool:
        """Return whether its clock was measured and differs by at most 2 s."""
        return self.offset_s is not None and abs(self.offset_s) <= LARGEST_OFFSET_S


def corrected_ms(at_ms: int, offset_s: float) -> int:
    """Return by our clock a moment that a host's clock gave; `offset_s` is how far that one is ahead."""
    return at_ms - round(offset_s * 1000)


def watched_by_all(hosts: Sequence[HostWatch], between: Interval, period_s: float) -> tuple[Interval, ...]:
    """Return the times at which every host that is needed then was sampled; none of no hosts.

    A pause of at most max(3 periods, 5 minutes) is no gap, on each host separately.
    """
    return common([_covered(one, between, period_s) for one in hosts])


def _covered(one: HostWatch, between: Interval, period_s: float) -> tuple[Interval, ...]:
    """Return when a host was sampled, and the time in which it need not be."""
    pause = longest_pause_ms(period_s)
    sampled = within(merged(one.watched, pause), between)
    free = () if one.needed_until_ms is None else within((Interval(one.needed_until_ms, between.to_ms),), between)
    return _closed(merged((*sampled, *free)), between, pause)


def _closed(covered: tuple[Interval, ...], between: Interval, pause_ms: int) -> tuple[Interval, ...]:
    """Return the same without pauses at both ends: the next sample is not due yet."""
    small = (gap for gap in gaps(covered, between) if gap.length_ms <= pause_ms)
    return merged((*covered, *small)) if covered else ()


def judge_watched(one: HostWatch, between: Interval, period_s: float) -> Judgement:
    """Judge whether a host was sampled since the clock began; each gap is listed with its begin and end.

    Gaps do not fail: they are not counted as watched. No sample in the last 15 minutes fails.
    """
    if one.offset_s is None:
        return unknown(
            say(
                "{host}: the offset of its clock is unknown, so the times of its samples are too. Expected: at "
                "most {most:g} s. Try: ssh {host} timedatectl",
                host=one.host,
                most=LARGEST_OFFSET_S,
            )
        )
    if not one.has_good_clock:
        return unknown(
            say(
                "{host}: its clock is {offset:.1f} s off, so the times of its samples are not certain. Expected: at "
                "most {most:g} s. Try: ssh {host} timedatectl",
                host=one.host,
                offset=one.offset_s,
                most=LARGEST_OFFSET_S,
            ),
            clock_offset_s=round(one.offset_s, 3),
        )
    needed = Interval(between.from_ms, min(between.to_ms, one.needed_until_ms or between.to_ms))
    covered = within(_covered(one, between, period_s), needed)
    missing = gaps(covered, needed)
    if needed.length_ms <= 0:
        return passed(say("{host}: was switched off before the clock began", host=one.host))
    share = length_ms(covered) / needed.length_ms
    seen = say(
        "{host}: watched {watched:.1f} of {hours:.1f} h ({share:.1%}), {count} gaps, the longest {longest:.1f} h",
        host=one.host,
        watched=length_ms(covered) / HOUR_MS,
        hours=needed.length_ms / HOUR_MS,
        share=share,
        count=len(missing),
        longest=max((gap.length_ms for gap in missing), default=0) / HOUR_MS,
    )
    lines = tuple(gap_text(gap) for gap in missing[:SHOWN])
    figures = {"watched_share": round(share, 5), "gaps": len(missing), "clock_offset_s": round(one.offset_s, 3)}
    if missing and missing[-1].to_ms == needed.to_ms and missing[-1].length_ms > FRESH_MS:
        return failed(
            say(
                "{seen}; no sample since {since}. Expected: one every {period:g} s. "
                "Try: ssh {host} docker ps --filter label=longshore.role=watch",
                seen=seen,
                since=moment(missing[-1].from_ms),
                period=period_s,
                host=one.host,
            ),
            lines,
            **figures,
        )
    return passed(seen, lines, **figures)


def gap_text(gap: Interval) -> str:
    """Return one gap as a line."""
    return say(
        "no samples from {begin} to {end}, {hours:.1f} h",
        begin=moment(gap.from_ms),
        end=moment(gap.to_ms),
        hours=gap.length_ms / HOUR_MS,
    )
