"""What a run did, deed by deed: done, failed, undone, and begun without an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.journal import Record

BEGINS: Final = {"intent": "outcome", "undo_intent": "undo_outcome"}
"""The record that a deed begins with, and the one it ends with."""

KINDS: Final = {
    ("outcome", True): "deed",
    ("outcome", False): "failed",
    ("undo_outcome", True): "undo",
    ("undo_outcome", False): "failed",
}
WORDS: Final = {"deed": "done", "failed": "failed", "undo": "undone", "open": "begun, no end on record"}


@dataclass(frozen=True)
class Bar:
    """One deed on the timeline, in seconds since the run began."""

    service: str
    key: str
    start_s: float
    end_s: float
    kind: str  # deed | failed | undo | open
    undo: bool = False

    def text(self) -> str:
        """Return it in words."""
        return f"{self.service}: {'undo of ' if self.undo else ''}{self.key}, {self.end_s - self.start_s:.1f} s, {WORDS[self.kind]}"


def bars_of(records: Sequence[Record]) -> tuple[Bar, ...]:
    """Return the deeds of a run in the order in which they began; one without an end lasts until the last record."""
    begin = datetime.fromisoformat(records[0].at)
    last_s = (datetime.fromisoformat(records[-1].at) - begin).total_seconds()
    begun: dict[tuple[str, str, str], float] = {}
    bars = []
    for record in records:
        service, key = record.service or "", record.key or ""
        since = (datetime.fromisoformat(record.at) - begin).total_seconds()
        if record.kind in BEGINS:
            begun[service, key, BEGINS[record.kind]] = since
        elif (service, key, record.kind) in begun:
            kind = KINDS[record.kind, bool(record.body.get("ok"))]
            bars.append(Bar(service, key, begun.pop((service, key, record.kind)), since, kind, undo=record.kind == "undo_outcome"))
    bars += [Bar(service, key, since, last_s, "open", undo=end == "undo_outcome") for (service, key, end), since in begun.items()]
    return tuple(sorted(bars, key=lambda bar: bar.start_s))
