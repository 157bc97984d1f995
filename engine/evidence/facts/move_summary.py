"""Where a service's move stood at the end of a run: its state, its measured outage, what was copied; from any run until
then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.contracts.move_state import MoveState
from engine.evidence.facts.record_reader import Reader
from engine.journal.journal import Record
from engine.journal.kinds import RecordKind


@dataclass(frozen=True)
class MoveSummary:
    """Where a move stood; `runs` are those whose records say so."""

    state: str = MoveState.PLANNED.value
    outage: Mapping[str, Any] | None = None
    copied_bytes: int | None = None
    runs: frozenset[str] = frozenset()


KINDS: Final = (RecordKind.MOVE_STATE, RecordKind.OUTAGE, RecordKind.OUTCOME)
"""The kinds that show the state of a move: a service may have thousands of other records."""


def standing_of(journal: Reader, service: str, until: int) -> MoveSummary:
    """Return where a service's move stood when record `until` was written; what an undone attempt copied is gone."""
    state, outage, copied, runs = MoveState.PLANNED.value, None, None, set()
    for record in _relevant(journal, service, until):
        body, note = record.body, record.body.get("note") or {}
        if record.kind == RecordKind.MOVE_STATE:
            state = str(body["state"])
            copied = None if state == MoveState.UNDONE else copied
        elif record.kind == RecordKind.OUTAGE:
            outage = body
        elif record.kind == RecordKind.OUTCOME and body["ok"] and "copied" in note:
            copied = int(note["size_bytes"])
        else:
            continue
        runs.add(record.run_id)
    return MoveSummary(state, outage, copied, frozenset(runs))


def _relevant(journal: Reader, service: str, until: int) -> list[Record]:
    found = [record for kind in KINDS for record in journal.records(kind=kind, service=service, until=until)]
    return sorted(found, key=lambda record: record.seq)
