"""A record of the journal and the chain that records make: a changed, dropped or moved one shows."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import rfc8785

from engine.journal.kinds import RecordKind

EXACT_INTEGER: Final = 2**53 - 1
FIRST_PREVIOUS: Final = "0" * 64
SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Record:
    """One record; `number` counts within its chain (of one run and writer), `seq` within the journal."""

    seq: int
    run_id: str
    number: int
    at: str
    kind: str
    service: str | None
    key: str | None
    body: Mapping[str, Any]
    previous: str
    hash: str
    writer: str = ""

    def content(self) -> dict[str, Any]:
        """Return what the hash is taken over; the writer is part of it where a run has several."""
        writer = {"writer": self.writer} if self.writer else {}
        return {
            "run_id": self.run_id, "number": self.number, "at": self.at, "kind": self.kind, "service": self.service,
            "key": self.key, "body": dict(self.body), "previous": self.previous, **writer,
        }  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Return the record as a line of journal.jsonl."""
        return {**self.content(), "hash": self.hash}


def hash_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 over the RFC 8785 JSON of a record's content (which holds the hash before it)."""
    return hashlib.sha256(rfc8785.dumps(dict(content))).hexdigest()


def exact(value: Any) -> Any:
    """Return a value as JSON carries it exactly: large integers as text, NaN refused, half a surrogate pair as its
    escape.

    A file name that is not UTF-8 reaches us with such halves (PEP 383); RFC 8785 has no form for them.
    """
    if isinstance(value, str):  # what there is most of comes first: a run records tens of thousands of values
        return _paired(value)
    if isinstance(value, dict | Mapping):
        return {_paired(str(key)): exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [exact(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= EXACT_INTEGER else str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} can't be recorded: JSON has no such number")
    return value if isinstance(value, float) else _paired(str(value))


def _paired(text: str) -> str:
    text = str.__str__(text)
    return text if text.isascii() else SURROGATE.sub(lambda half: f"\\u{ord(half.group()):04x}", text)


def chain_problems(records: Sequence[Record]) -> list[str]:
    """Return what is wrong with the chains of one run: in each, the first record that was changed, dropped or moved.

    A chain's own end can't show that its tail was cut off: the heads that the run's end record lists do.
    """
    chains: dict[str, list[Record]] = {}
    for record in records:
        chains.setdefault(record.writer, []).append(record)
    return [problem for chain in chains.values() for problem in _broken_link(chain)] or list(
        _missing_tails(records, chains)
    )


def _broken_link(records: Sequence[Record]) -> list[str]:
    previous = FIRST_PREVIOUS
    for position, record in enumerate(records, start=1):
        where = f"run {record.run_id} record {record.number} ({record.kind})"
        if record.number != position:
            return [f"{where}: expected record {position} here: one was dropped or moved"]
        if record.previous != previous:
            return [f"{where}: does not follow the record before it"]
        if not fits(record):
            return [f"{where}: its content was changed after it was written"]
        previous = record.hash
    return []


def _missing_tails(records: Sequence[Record], chains: Mapping[str, Sequence[Record]]) -> Iterator[str]:
    heads = next(
        (record.body.get("heads") or {} for record in reversed(records) if record.kind == RecordKind.RUN_ENDED), {}
    )
    for writer, head in heads.items():
        chain = chains.get(writer, ())
        if len(chain) < head["records"] or chain[head["records"] - 1].hash != head["hash"]:
            yield (
                f'run {records[0].run_id}: the chain of writer "{writer}" lacks its end: expected '
                f"{head['records']} records, seen {len(chain)}"
            )


def fits(record: Record) -> bool:
    """Return whether the content is what was hashed; content that has no canonical JSON was never written by us."""
    try:
        return hash_of(record.content()) == record.hash
    except rfc8785.CanonicalizationError:
        return False
