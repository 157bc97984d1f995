"""Quarters of an hour: their means, and which of them have enough samples to count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from checks.monitor.points import Moments, Points, Values, samples_needed
from checks.monitor.times import MINUTE_MS

BIN_MS: Final = 15 * MINUTE_MS
SHARE: Final = 0.80
"""A bin with fewer of its samples does not count: it is neither over a limit nor below it."""


@dataclass(frozen=True)
class Bins:
    """The bins that count, in the order of time: begins in milliseconds of the Unix epoch, and means."""

    begins_ms: Moments
    means: Values
    left_out: int
    """Bins that have samples, but too few to count."""

    def __len__(self) -> int:
        return int(self.begins_ms.size)


def bins_of(points: Points, period_s: float, offset_ms: int = 0) -> Bins:
    """Return the bins of 15 minutes that have at least 80 % of the samples that their period gives.

    Bins begin with the quarters of the hour, or `offset_ms` later.
    """
    if not points.at_ms.size:
        return Bins(points.at_ms, points.values, 0)
    numbers = (points.at_ms - offset_ms) // BIN_MS
    first = np.concatenate(([0], np.flatnonzero(np.diff(numbers)) + 1))
    counts = np.diff(np.append(first, numbers.size))
    means = np.add.reduceat(points.values, first) / counts
    counted = counts >= samples_needed(BIN_MS, period_s, SHARE)
    begins = numbers[first] * BIN_MS + offset_ms
    return Bins(begins[counted], means[counted], int(np.count_nonzero(~counted)))
