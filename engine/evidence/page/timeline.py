"""The timeline of a run as inline SVG: each move's actions and undos as bars, what was expected below, the measured
outage marked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.evidence.facts.action_log import WORDS, Bar, Course
from engine.evidence.page.page import Page

WIDTH: Final = 1000
LABEL: Final = 110
LANE: Final = 44
TICKS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200)


@dataclass(frozen=True)
class Box:
    """A rectangle with its words."""

    x: float
    y: float
    width: float
    height: float
    title: str
    kind: str  # action | failed | undo | open | estimate | outage


@dataclass(frozen=True)
class Timeline:
    """The drawing: boxes, lanes and ticks in SVG units, and the same in words."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    lanes: tuple[tuple[float, str], ...]
    ticks: tuple[tuple[float, str], ...]
    words: str


@dataclass(frozen=True)
class _Scale:
    """From seconds and services to places in the drawing."""

    span_s: float
    lanes: dict[str, int]

    @property
    def per_s(self) -> float:
        return (WIDTH - LABEL - 20) / self.span_s

    def x(self, second: float) -> float:
        return LABEL + second * self.per_s

    def width(self, seconds: float, least: float = 1.0) -> float:
        return max(seconds * self.per_s, least)


def timeline_of(page: Page) -> Timeline | None:
    """Return the timeline, None when no action was done."""
    if not page.bars:
        return None
    courses = page.courses
    lanes = {course.service: 10 + position * LANE for position, course in enumerate(courses)}
    scale = _Scale(max([1.0, *(bar.end_s for bar in page.bars)]), lanes)
    boxes = [_box(page, bar, scale) for bar in page.bars]
    return Timeline(
        WIDTH, 34 + LANE * len(lanes), (*boxes, *_estimates(page, scale), *_outages(page, scale)),
        tuple((place + 13, service) for service, place in lanes.items()), _ticks(scale),
        "; ".join(_words(page, course) for course in courses),
    )  # fmt: skip


def _box(page: Page, bar: Bar, scale: _Scale) -> Box:
    return Box(
        scale.x(bar.start_s), scale.lanes[bar.service], scale.width(bar.taken_s), 16, bar.text(page.language), bar.kind
    )


def _estimates(page: Page, scale: _Scale) -> Iterator[Box]:
    """Yield a thin line below each action as long as it was expected to take."""
    for bar in page.bars:
        if bar.estimate_s:
            lasting = min(bar.estimate_s, scale.span_s - bar.start_s)
            words = page.language.say(
                "{action}: about {seconds} s expected", action=bar.key, seconds=page.language.number(bar.estimate_s)
            )
            yield Box(scale.x(bar.start_s), scale.lanes[bar.service] + 18, scale.width(lasting), 3, words, "estimate")


def _outages(page: Page, scale: _Scale) -> Iterator[Box]:
    for service, outage in page.outages.items():
        if service not in scale.lanes or not outage.get("to_at"):
            continue
        begin = (datetime.fromisoformat(str(outage["from_at"])) - page.started_at).total_seconds()
        if 0 <= begin <= scale.span_s:
            words = page.language.say(
                "{service}: outage {seconds} s",
                service=service,
                seconds=page.language.number(float(outage["seconds"]), 1),
            )
            yield Box(
                scale.x(begin),
                scale.lanes[service] + 23,
                scale.width(float(outage["seconds"]), 2.0),
                8,
                words,
                "outage",
            )


def _ticks(scale: _Scale) -> tuple[tuple[float, str], ...]:
    step = next((tick for tick in TICKS if scale.span_s / tick <= 10), TICKS[-1])  # noqa: PLR2004 at most ten ticks
    return tuple((scale.x(second), _clock(second)) for second in range(0, int(scale.span_s) + 1, step))


def _clock(second: int) -> str:
    return f"{second // 60}:{second % 60:02d}"


def _words(page: Page, course: Course) -> str:
    language, outage = page.language, page.outages.get(course.service)
    counted = Counter(WORDS[bar.kind] for bar in course.bars)
    kinds = ", ".join(f"{language.number(count)} {language.say(word)}" for word, count in counted.items())
    words = language.several(
        "{service}: {number} action from {start} s to {end} s after the start: {kinds}",
        "{service}: {number} actions from {start} s to {end} s after the start: {kinds}",
        len(course.bars),
        service=course.service,
        start=language.number(course.start_s),
        end=language.number(course.start_s + course.taken_s),
        kinds=kinds,
    )
    return words + (
        language.say("; outage {seconds} s", seconds=language.number(float(outage["seconds"]), 1)) if outage else ""
    )
