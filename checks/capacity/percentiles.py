"""Times and heights of a row of samples: how long somebody looked, and what 95 of 100 stay below. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Final, TypeVar

from engine.journal.samples import Sample

Number = TypeVar("Number", int, float)
SHARE: Final = 0.95
"""A peak that lasts less than a twentieth of the time is ridden out."""
FEWEST: Final = 12
LONGEST: Final = timedelta(hours=2)
"""Samples that lie further apart say nothing of the time between them: nobody looked."""


def high(values: Sequence[Number]) -> Number | None:
    """Return what 95 of 100 values do not pass; None of no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(SHARE * len(ordered)))] if ordered else None


def seen_pairs(samples: Iterable[Sample]) -> Iterator[tuple[Sample, Sample]]:
    """Yield each two samples, in order of time, that follow each other without a gap."""
    return ((one, other) for one, other in pairwise(samples) if timedelta() < other.at - one.at <= LONGEST)


def seen_hours(samples: Iterable[Sample]) -> float:
    """Return the hours that samples, in order of time, cover; gaps are not counted."""
    return sum(((other.at - one.at).total_seconds() for one, other in seen_pairs(samples)), 0.0) / 3600
