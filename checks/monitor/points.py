"""The samples of a series as arrays: in the order of time, one for each moment, within the time that is judged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checks.monitor.times import SECOND_MS
from engine.watch.model import Interval, Series

Moments = NDArray[np.int64]
Values = NDArray[np.float64]
NEARLY: Final = 1e-9


class Points(NamedTuple):
    """Moments in milliseconds of the Unix epoch, ascending and each once, and the values at them."""

    at_ms: Moments
    values: Values


def points_of(series: Series, between: Interval) -> Points:
    """Return the samples of a time; the order in which they came, and a sample that came twice, change nothing.

    Values that are no number are left out. Of two values at one moment the higher counts.
    """
    at_ms = np.frombuffer(series.at_ms, dtype=np.int64)
    values = np.frombuffer(series.values, dtype=np.float64)
    if at_ms.size > 1 and not bool(np.all(np.diff(at_ms) > 0)):
        order = np.lexsort((values, at_ms))
        at_ms, values = at_ms[order], values[order]
    kept = (at_ms >= between.from_ms) & (at_ms < between.to_ms) & np.isfinite(values)
    at_ms, values = at_ms[kept], values[kept]
    is_last = np.append(np.diff(at_ms) > 0, True) if at_ms.size else np.zeros(0, dtype=bool)
    return Points(at_ms[is_last], values[is_last])


def groups_of(points: Points, step_ms: int, offset_ms: int = 0) -> Iterator[tuple[int, Values]]:
    """Yield the begin of each step of time that has samples, and its values, in the order of time."""
    if not points.at_ms.size:
        return
    numbers = (points.at_ms - offset_ms) // step_ms
    bounds = np.flatnonzero(np.diff(numbers)) + 1
    first = np.concatenate(([0], bounds))
    for place, values in zip(first, np.split(points.values, bounds), strict=True):
        yield int(numbers[place]) * step_ms + offset_ms, values


def samples_needed(step_ms: int, period_s: float, share: float) -> int:
    """Return how many samples a step of time must have to count: a share of those that its period gives, at least one.

    Raises ValueError for a period that is not above zero.
    """
    if not period_s > 0:
        raise ValueError(f"a period of {period_s} s; expected more than 0")
    return max(1, int(np.ceil(share * step_ms / (period_s * SECOND_MS) - NEARLY)))
