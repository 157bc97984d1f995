"""Synthetic soaks: series of known shape, and the records of a watch in which nothing happens."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from checks.monitor.coverage import HostWatch
from checks.monitor.stability import REQUIRED, WatchedMove, WatchRecords, WatchResult
from engine.verdict import Severity, Verdict
from engine.watch.model import Interval, Series

MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
START: Final = int(datetime(2026, 12, 7, 3, tzinfo=UTC).timestamp()) * 1000
"""A Monday, midnight in São Paulo."""
ZONE: Final = "America/Sao_Paulo"
PERIOD_S: Final = 15.0


def series_of(values: Callable[[np.ndarray], np.ndarray], hours: float, period_s: float = PERIOD_S) -> Series:
    """Return samples from START on; `values` gives them for hours since START."""
    at = np.arange(START, START + int(hours * HOUR), int(period_s * 1000), dtype=np.int64)
    return Series(array("q", at.tolist()), array("d", values((at - START) / HOUR).tolist()))


def plateau(minutes: float, begins_h: float = 10.0, high: float = 75.0, low: float = 30.0) -> Series:
    """Return 72 hours at `low` percent with a plateau in them."""
    begin, end = begins_h - 1e-9, begins_h + minutes / 60 - 1e-9
    return series_of(lambda h: np.where((h >= begin) & (h < end), high, low), 72)


def hourly(values: Iterable[float], start: int = START) -> dict[int, float]:
    """Return one value an hour from a moment on."""
    return {start + number * HOUR: float(value) for number, value in enumerate(values)}


def between(from_h: float, to_h: float) -> Interval:
    """Return a time in hours since START."""
    return Interval(START + int(from_h * HOUR), START + int(to_h * HOUR))


def at_hour(hours: float) -> int:
    """Return a moment so many hours after START."""
    return START + int(hours * HOUR)


def good_results(at_ms: int, **changed: Verdict) -> tuple[WatchResult, ...]:
    """Return PASSED for each result that is required, except those changed (with "_" for "-")."""
    return tuple(
        WatchResult(key, "", changed.get(key.replace("-", "_"), Verdict.PASSED), Severity.BLOCKER, at_ms)
        for key in REQUIRED
    )


def quiet_watch(hours: float = 200.0, **changes: Any) -> WatchRecords:
    """Return a watch of two targets that were sampled all the time since the last commit, at START."""
    whole = (between(-24, hours),)
    records = WatchRecords(
        (WatchedMove("redis", True, START - 2 * HOUR, "done"), WatchedMove("n8n", True, START, "done")),
        (HostWatch("wf001", whole, 0.1), HostWatch("wf002", whole, -0.2)),
        (),
        good_results(START + HOUR),
        PERIOD_S,
    )
    return replace(records, **changes)
