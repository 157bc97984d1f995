"""journal.jsonl read back: a run's records as they were written, and which line is none of ours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from engine.evidence.seal.sealed_folder import RECORDS
from engine.journal.journal import Record
from engine.journal.kinds import RecordKind

FIELDS: Final = frozenset({"run_id", "number", "at", "kind", "service", "key", "body", "previous", "hash"})
WRITER: Final = "writer"
"""Is in the records of a run's further processes alone."""


def line_of(record: Record) -> str:
    """Return a record as a line of journal.jsonl."""
    return json.dumps(record.as_json(), ensure_ascii=True, sort_keys=True) + "\n"


def read_records(text: str) -> tuple[list[Record], list[str]]:
    """Return the records of a journal.jsonl, and what is wrong with its lines; neither hashes nor order are judged
    here.
    """
    records, problems = [], []
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        record = record_of(line, number)
        if record is None:
            problems.append(
                f'{RECORDS}: line {number} is no record of ours: "{line[:60]}". Expected: JSON as it was written'
            )
        else:
            records.append(record)
    if not text.endswith("\n"):
        problems.append(
            f"{RECORDS}: {'its last line has no end' if text else 'is empty'}. Expected: whole lines; it was cut off"
        )
    if not records and text:
        problems.append(f"{RECORDS}: holds no record. Expected: those of a run")
    elif records and records[0].kind != RecordKind.RUN_STARTED:
        problems.append(
            f"{RECORDS}: begins with {records[0].kind}. Expected: run_started; its first records are missing"
        )
    return records, problems


def record_of(line: str, number: int) -> Record | None:
    """Return the record of a line, None for one that is none of ours."""
    try:
        content: dict[str, Any] = json.loads(line)
        record = Record(seq=number, **content) if set(content) - {WRITER} == FIELDS else None
    except (ValueError, TypeError, RecursionError):
        return None
    if (
        record is None
        or not isinstance(record.body, dict)
        or not all(isinstance(content[name], str) for name in ("run_id", "at", "kind", "hash"))
    ):
        return None
    return record if line_of(record) == line + "\n" else None


def runs_in(records: Sequence[Record]) -> list[str]:
    """Return the ids of the runs whose records these are, in order."""
    return list(dict.fromkeys(record.run_id for record in records))
