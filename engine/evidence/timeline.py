"""The timeline of a run as inline SVG: each move's deeds and undos as bars, the measured outage marked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.evidence.deeds import WORDS
from engine.evidence.view import Page

WIDTH: Final = 900
LABEL: Final = 120
LANE: Final = 40
TICKS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200)


@dataclass(frozen=True)
class Box:
    """A rectangle with its words."""

    x: float
    y: float
    width: float
    height: float
    title: str
    kind: str  # deed | failed | undo | open | outage


@dataclass(frozen=True)
class Timeline:
    """The drawing: boxes, lanes and ticks in SVG units, and the same in words."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    lanes: tuple[tuple[float, str], ...]
    ticks: tuple[tuple[float, str], ...]
    words: str


def timeline_of(page: Page) -> Timeline | None:
    """Return the timeline, None when no deed was done."""
    if not page.bars:
        return None
    span = max([1.0, *(bar.end_s for bar in page.bars)])
    scale = (WIDTH - LABEL - 20) / span
    services = list(dict.fromkeys(bar.service for bar in page.bars))
    lane = {service: 10 + position * LANE for position, service in enumerate(services)}
    boxes = [
        Box(
            LABEL + bar.start_s * scale, lane[bar.service], max((bar.end_s - bar.start_s) * scale, 1.0), 16,
            bar.text(), bar.kind,
        )
        for bar in page.bars
    ]  # fmt: skip
    boxes += _outages(page, lane, scale, span)
    return Timeline(
        WIDTH, 34 + LANE * len(services), tuple(boxes),
        tuple((lane[service] + 13, service) for service in services), _ticks(span, scale),
        "; ".join(_words(page, service) for service in services),
    )  # fmt: skip


def _outages(page: Page, lane: dict[str, int], scale: float, span: float) -> list[Box]:
    boxes = []
    for service, outage in page.outages.items():
        if service not in lane or not outage.get("to_at"):
            continue
        begin = (datetime.fromisoformat(str(outage["from_at"])) - page.started_at).total_seconds()
        if 0 <= begin <= span:
            width = max(float(outage["seconds"]) * scale, 2.0)
            boxes.append(Box(LABEL + begin * scale, lane[service] + 19, width, 8, f"{service}: outage {outage['seconds']:.1f} s", "outage"))
    return boxes


def _ticks(span: float, scale: float) -> tuple[tuple[float, str], ...]:
    step = next((tick for tick in TICKS if span / tick <= 10), TICKS[-1])  # noqa: PLR2004 at most ten ticks
    return tuple((LABEL + second * scale, _clock(second)) for second in range(0, int(span) + 1, step))


def _clock(second: int) -> str:
    return f"{second // 60}:{second % 60:02d}"


def _words(page: Page, service: str) -> str:
    bars = [bar for bar in page.bars if bar.service == service]
    outage = page.outages.get(service)
    counted = Counter(WORDS[bar.kind] for bar in bars)
    told = ", ".join(f"{count} {word}" for word, count in counted.items()) + (f"; outage {float(outage['seconds']):.1f} s" if outage else "")
    return f"{service}: {len(bars)} actions from {bars[0].start_s:.0f} s to {max(bar.end_s for bar in bars):.0f} s after the start: {told}"
