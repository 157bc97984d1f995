"""Values of metrics as messages write them."""

from __future__ import annotations

from typing import Final

from engine.finding import say
from engine.watch.model import Metric

MIB: Final = 1024**2
MEGA: Final = 1e6


def value_of(metric: Metric, value: float) -> str:
    """Return a value of a metric with its unit."""
    name = metric.value
    if name.endswith("_percent"):
        return say("{value:.1f} %", value=value)
    if name.endswith("_bytes_s"):
        return say("{value:,.2f} MB/s", value=value / MEGA)
    if name.endswith("_bytes"):
        return say("{value:,.0f} MiB", value=value / MIB)
    if metric is Metric.CPU_CORES:
        return say("{value:.3f} processors", value=value)
    if name.endswith("_s"):
        return say("{value:,.1f} a second", value=value)
    return say("{value:,.2f}", value=value)
