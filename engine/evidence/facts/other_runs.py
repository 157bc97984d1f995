"""Records of other runs that a page shows: kept next to the run's own, so that the page can be drawn again from its
folder alone.

The state of each move, the run that it is compared with, and the gate that saw who approved it. Each line holds one
record and its place among the run's own.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.evidence.facts.move_summary import KINDS
from engine.evidence.facts.record_reader import Reader
from engine.evidence.facts.signoffs import GATE
from engine.evidence.formats.journal_jsonl import record_of
from engine.evidence.seal.sealed_folder import OTHERS
from engine.journal.kinds import RecordKind
from engine.journal.record import Record, fits

UNSHOWN: Final = frozenset(
    {
        RecordKind.INTENT,
        RecordKind.OUTCOME,
        RecordKind.CONTAINER_LOG,
        RecordKind.REPORT_TABLE,
        RecordKind.REPORT_GRAPH,
        RecordKind.PLAN_PART,
        RecordKind.APPROVAL,
        RecordKind.SIGNED_WAIVER,
        RecordKind.WAIVER,
    }
)
"""Kinds of the earlier run that no comparison shows."""


@dataclass(frozen=True)
class Kept:
    """The records of a run's folder, its own and those of others, in order."""

    all: tuple[Record, ...]

    def records(
        self,
        *,
        run_id: str | None = None,
        kind: str | Collection[str] | None = None,
        service: str | None = None,
        until: int | None = None,
    ) -> list[Record]:
        """Return records in the order in which they were written."""
        kinds = {kind} if isinstance(kind, str) else kind
        return [
            record
            for record in self.all
            if (run_id is None or record.run_id == run_id)
            and (kinds is None or record.kind in kinds)
            and (service is None or record.service == service)
            and (until is None or record.seq <= until)
        ]

    def last(
        self, kind: str, *, service: str | None = None, key: str | None = None, until: int | None = None
    ) -> Record | None:
        """Return the newest record of a kind."""
        found = [
            record
            for record in self.records(kind=kind, service=service, until=until)
            if key is None or record.key == key
        ]
        return found[-1] if found else None


def others_text(journal: Reader, records: Sequence[Record], earlier: str | None, altered: Sequence[str]) -> str:
    """Return the lines of the other runs' records that a run's page shows, and what is wrong with their chains
    (`altered`).

    `earlier` is the run that it is compared with.
    """
    own = records[0].run_id
    moves = next((record.body.get("moves") or () for record in records if record.kind == RecordKind.SCOPE), ())
    shown = [
        record
        for move in moves
        for record in journal.records(kind=KINDS, service=str(move["service"]), until=records[-1].seq)
    ]
    shown += [record for record in journal.records(run_id=earlier) if record.kind not in UNSHOWN] if earlier else []
    gate = journal.last(RecordKind.RESULT, key=GATE, until=records[0].seq)
    shown += [gate, *journal.records(run_id=gate.run_id, kind=RecordKind.RUN_STARTED)] if gate else []
    others = {record.seq: record for record in shown if record.run_id != own}
    lines: list[Any] = [{"altered": list(altered)}] if altered else []
    places = [record.seq for record in records]
    lines += [
        {"before": bisect_left(places, seq), "record": record.as_json()} for seq, record in sorted(others.items())
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def read_others(text: str, records: Sequence[Record]) -> tuple[Kept, tuple[str, ...], list[str]]:
    """Return the records of a folder in order, what was wrong with other runs' chains, and what is wrong with the file
    itself.
    """
    placed: list[tuple[int, Record]] = []
    altered: tuple[str, ...] = ()
    problems = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            content = json.loads(line)
            if "altered" in content:
                altered = tuple(map(str, content["altered"]))
                continue
            record, place = record_of(json.dumps(content["record"], sort_keys=True), number), int(content["before"])
        except (ValueError, KeyError, TypeError, RecursionError):
            record, place = None, 0
        if record is None or not fits(record):
            problems.append(
                f"{OTHERS}: line {number} is no record as it was written. Expected: a record of another run, unchanged"
            )
            continue
        placed.append((place, record))
    return Kept(tuple(_in_order(records, placed))), altered, problems


def _in_order(records: Sequence[Record], placed: Sequence[tuple[int, Record]]) -> Iterable[Record]:
    """Yield all records as they were written: each of others comes before as many of the run's own as its
    line says.
    """
    waiting, seq = sorted(placed, key=lambda one: one[0]), 0
    for position, own in enumerate((*records, None)):
        while waiting and (own is None or waiting[0][0] <= position):
            seq += 1
            yield replace(waiting.pop(0)[1], seq=seq)
        if own is not None:
            seq += 1
            yield replace(own, seq=seq)
