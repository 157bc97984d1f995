"""One row of the bench: ours, the peer's, the ratio and whether the goal is met."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """What was measured; `theirs` is None where there is no peer and `ours` is held against `goal` itself.

    `goal` is a limit on the ratio ours / theirs, or on `ours` without a peer or when it is `absolute` (the peer's
    figure is then shown next to it); `better` says in which direction.
    """

    id: str
    work: str
    peer: str
    ours: float
    theirs: float | None
    unit: str
    goal: float
    better: str  # more | less
    runs: int
    spread: float  # largest minus smallest of our runs, in `unit`
    absolute: bool = False

    @property
    def ratio(self) -> float | None:
        """Return ours / theirs."""
        return self.ours / self.theirs if self.theirs else None

    @property
    def met(self) -> bool:
        """Return whether the goal is met."""
        value = self.ours if self.absolute or self.ratio is None else self.ratio
        return value <= self.goal if self.better == "less" else value >= self.goal

    def as_json(self) -> dict[str, Any]:
        """Return the row as it is in reports/bench.json."""
        return {**asdict(self), "ratio": self.ratio, "met": self.met, "machine": machine()}


def machine() -> str:
    """Return what the figures were measured on, without its name."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def median_and_spread(figures: list[float]) -> tuple[float, float]:
    """Return the median and the distance between the smallest and the largest figure."""
    return statistics.median(figures), max(figures) - min(figures)
