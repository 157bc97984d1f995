"""How long clients saw no answer, computed from the probe's lines. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class Outage:
    """From the last good answer before to the first good answer after; `to_at` is None while it lasts.

    Several interruptions are added up: `seconds` is the time without a good answer, not the span. `error_bar_s` is how
    much shorter it may really have been: the probe's period, or the length of a last attempt that hung.
    """

    seconds: float
    error_bar_s: float
    from_at: str
    to_at: str | None
    viewpoint: str
    interruptions: int

    def record(self) -> dict[str, Any]:
        """Return it as JSON-able values for a note."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Outage:
        """Read it back from a note."""
        return cls(**record)


@dataclass(frozen=True)
class _Interruption:
    from_ns: int
    last_bad_ns: int
    to_ns: int | None


def measure_outage(lines: Iterable[str], viewpoint: str, period_s: float = 0.1) -> Outage | None:
    """Return what the probe saw; None when it never saw a good answer, because then there is nothing to measure."""
    changes = [json.loads(line) for line in lines if line.strip()]
    first_good = next((position for position, change in enumerate(changes) if change["good"]), None)
    if first_good is None:
        return None
    interruptions = _interruptions(changes[first_good:])
    ended = [item for item in interruptions if item.to_ns is not None]
    seconds = sum((item.to_ns or 0) - item.from_ns for item in ended) / NANOSECONDS
    hung = max(((item.to_ns or 0) - item.last_bad_ns for item in ended), default=0) / NANOSECONDS
    started_ns = interruptions[0].from_ns if interruptions else changes[first_good]["at_ns"]
    if interruptions and interruptions[-1].to_ns is None:
        to_at = None
    else:
        to_at = _utc(interruptions[-1].to_ns or started_ns) if interruptions else _utc(started_ns)
    return Outage(
        seconds=round(seconds, 3),
        error_bar_s=round(max(period_s, hung), 3),
        from_at=_utc(started_ns),
        to_at=to_at,
        viewpoint=viewpoint,
        interruptions=len(interruptions),
    )


def _interruptions(changes: list[dict[str, Any]]) -> list[_Interruption]:
    """Pair each change to bad with the next change to good."""
    found: list[_Interruption] = []
    open_from: int | None = None
    for change in changes[1:]:
        if not change["good"] and open_from is None:
            open_from = change["last_ns"] or change["began_ns"]
        elif change["good"] and open_from is not None:
            found.append(_Interruption(open_from, change["last_ns"] or change["began_ns"], change["at_ns"]))
            open_from = None
    if open_from is not None:
        found.append(_Interruption(open_from, open_from, None))
    return found


def _utc(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / NANOSECONDS, tz=UTC).isoformat(timespec="milliseconds")
