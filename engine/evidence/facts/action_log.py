"""What a run did, action by action: done, failed, undone, and begun without an end; how long it took and was expected
to
take.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.i18n.language import ENGLISH, Language, term
from engine.journal.journal import Record
from engine.journal.kinds import RecordKind

BEGINS: Final[Mapping[str, str]] = {
    RecordKind.INTENT: RecordKind.OUTCOME,
    RecordKind.UNDO_INTENT: RecordKind.UNDO_OUTCOME,
}
"""The record that an action begins with, and the one it ends with."""

KINDS: Final[Mapping[tuple[str, bool], str]] = {
    (RecordKind.OUTCOME, True): "action",
    (RecordKind.OUTCOME, False): "failed",
    (RecordKind.UNDO_OUTCOME, True): "undo",
    (RecordKind.UNDO_OUTCOME, False): "failed",
}
WORDS: Final = {
    "action": term("done"),
    "failed": term("failed"),
    "undo": term("undone"),
    "open": term("begun, no end on record"),
}


@dataclass(frozen=True)
class Bar:
    """One action on the timeline, in seconds since the run began."""

    service: str
    key: str
    start_s: float
    end_s: float
    kind: str  # action | failed | undo | open
    undo: bool = False
    estimate_s: float | None = None

    @property
    def taken_s(self) -> float:
        """Return how long it took."""
        return self.end_s - self.start_s

    def text(self, language: Language = ENGLISH) -> str:
        """Return it in words."""
        what = language.say("undo of {action}", action=self.key) if self.undo else self.key
        return f"{self.service}: {what}, {language.number(self.taken_s, 1)} s, {language.say(WORDS[self.kind])}"


@dataclass(frozen=True)
class Course:
    """How one move went in this run: its actions, and, of those with an estimate, the time taken next to the time
    expected.
    """

    service: str
    bars: tuple[Bar, ...]

    @property
    def start_s(self) -> float:
        """Return when its first action began."""
        return self.bars[0].start_s

    @property
    def taken_s(self) -> float:
        """Return how long it took from its first action to the end of its last."""
        return max(bar.end_s for bar in self.bars) - self.start_s

    @property
    def foreseen(self) -> tuple[Bar, ...]:
        """Return the actions that were done and had an estimate: only these can be compared."""
        return tuple(bar for bar in self.bars if bar.estimate_s is not None and bar.kind == "action")

    @property
    def estimate_s(self) -> float | None:
        """Return what the comparable actions were expected to take, None when there is none."""
        return sum(bar.estimate_s or 0.0 for bar in self.foreseen) if self.foreseen else None

    @property
    def compared_s(self) -> float:
        """Return what the comparable actions took."""
        return sum(bar.taken_s for bar in self.foreseen)


def bars_of(records: Sequence[Record]) -> tuple[Bar, ...]:
    """Return the actions of a run in the order in which they began; one without an end lasts until the last record."""
    begin = datetime.fromisoformat(records[0].at)
    last_s = (datetime.fromisoformat(records[-1].at) - begin).total_seconds()
    begun: dict[tuple[str, str, str], tuple[float, float | None]] = {}
    bars = []
    for record in records:
        if record.kind not in BEGINS and record.kind not in BEGINS.values():
            continue
        service, key = record.service or "", record.key or ""
        now_s = (datetime.fromisoformat(record.at) - begin).total_seconds()
        if record.kind in BEGINS:
            begun[service, key, BEGINS[record.kind]] = (now_s, record.body.get("estimate_s"))
        elif (service, key, record.kind) in begun:
            since_s, estimate_s = begun.pop((service, key, record.kind))
            kind = KINDS[record.kind, bool(record.body.get("ok"))]
            bars.append(
                Bar(
                    service,
                    key,
                    since_s,
                    now_s,
                    kind,
                    undo=record.kind == RecordKind.UNDO_OUTCOME,
                    estimate_s=estimate_s,
                )
            )
    bars += [
        Bar(service, key, since_s, last_s, "open", undo=end == "undo_outcome", estimate_s=estimate_s)
        for (service, key, end), (since_s, estimate_s) in begun.items()
    ]
    return tuple(sorted(bars, key=lambda bar: bar.start_s))


def courses_of(bars: Iterable[Bar]) -> tuple[Course, ...]:
    """Return how each move went, in the order in which they began."""
    by_service: dict[str, list[Bar]] = {}
    for bar in bars:
        by_service.setdefault(bar.service, []).append(bar)
    return tuple(Course(service, tuple(mine)) for service, mine in by_service.items())
