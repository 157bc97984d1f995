"""The journal: an append-only, hash-chained record of what was intended, done and seen. Everything else is drawn from it.

One SQLite file per environment (WAL, synchronous=FULL), through SQLAlchemy Core. Each run is a chain: a record's hash is
the SHA-256 over its RFC 8785 JSON and the hash before it, so a changed, dropped or moved record shows.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import rfc8785
from sqlalchemy import Column, Engine, Integer, MetaData, Select, String, Table, Text, create_engine, event, insert, inspect, select
from sqlalchemy.exc import DatabaseError

from engine.errors import InputError, JournalError
from engine.secret import Redactor
from engine.verdict import ExitCode

SCHEMA_VERSION: Final = 1
BUSY_MS: Final = 10_000
EXACT_INTEGER: Final = 2**53 - 1
SURROGATE: Final = re.compile("[\ud800-\udfff]")

METADATA: Final = MetaData()
RECORDS: Final = Table(
    "records",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("run_id", String(36), nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("at", String(40), nullable=False),
    Column("kind", String(40), nullable=False, index=True),
    Column("service", String(100), index=True),
    Column("key", String(100)),
    Column("body", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
SCHEMA: Final = Table("schema_version", METADATA, Column("version", Integer, primary_key=True))


@dataclass(frozen=True)
class Record:
    """One record; `number` counts within its run, `seq` within the journal."""

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

    def content(self) -> dict[str, Any]:
        """Return what the hash is taken over."""
        return {
            "run_id": self.run_id, "number": self.number, "at": self.at, "kind": self.kind, "service": self.service,
            "key": self.key, "body": dict(self.body), "previous": self.previous,
        }  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Return the record as a line of journal.jsonl."""
        return {**self.content(), "hash": self.hash}


def hash_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 over the RFC 8785 JSON of a record's content (which holds the hash before it)."""
    return hashlib.sha256(rfc8785.dumps(dict(content))).hexdigest()


def _now() -> datetime:
    return datetime.now(UTC)


def _utc_offset_s() -> int:
    """Return how far this machine's local time is ahead of UTC now."""
    return int((datetime.now().astimezone().utcoffset() or timedelta()).total_seconds())


@dataclass
class Journal:
    """The journal of one environment."""

    engine: Engine
    redactor: Redactor
    clock: Callable[[], datetime] = _now

    @classmethod
    def open(cls, path: Path, *, redactor: Redactor, clock: Callable[[], datetime] = _now) -> Journal:
        """Open or create the journal in a SQLite file; raises InputError for a file that is none, or of a newer version."""
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
        engine = create_engine(f"sqlite:///{path}")
        event.listen(engine, "connect", _configure)
        try:
            _prepare(engine, path)
        except DatabaseError as error:
            raise InputError(f"{path}: is not a journal: {error.orig}. Expected: a SQLite file. Move it away and try again") from error
        return cls(engine, redactor, clock)

    def start_run(self, **about: Any) -> Run:
        """Start a run; `about` is the body of its first record (command, environment, plan_digest, operator, …)."""
        run = Run(self, str(uuid4()))
        machine = f"{platform.system()} {platform.release()} {platform.machine()}"
        run.record("run_started", body={"machine": machine, "utc_offset_s": _utc_offset_s(), **about})
        return run

    def records(self, *, run_id: str | None = None, kind: str | None = None, service: str | None = None, until: int | None = None) -> list[Record]:
        """Return records in the order in which they were written; `until` is the seq of the last that counts."""
        return self._select(_query(run_id=run_id, kind=kind, service=service, until=until).order_by(RECORDS.c.seq))

    def last(self, kind: str, *, service: str | None = None, key: str | None = None, until: int | None = None) -> Record | None:
        """Return the newest record of a kind; `until` is the seq of the last that counts."""
        found = self._select(_query(kind=kind, service=service, key=key, until=until).order_by(RECORDS.c.seq.desc()).limit(1))
        return found[0] if found else None

    def _select(self, query: Select[Any]) -> list[Record]:
        with self.engine.connect() as connection:
            return [_record(row) for row in connection.execute(query).mappings()]

    def move_state(self, service: str, *, until: int | None = None) -> str:
        """Return where a service's move stands (or stood at `until`), "planned" when nothing happened."""
        record = self.last("move_state", service=service, until=until)
        return str(record.body["state"]) if record else "planned"


def _query(*, until: int | None, **equal: str | None) -> Select[Any]:
    query = select(RECORDS)
    for column, value in equal.items():
        if value is not None:
            query = query.where(RECORDS.c[column] == value)
    return query if until is None else query.where(RECORDS.c.seq <= until)


def _configure(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare(engine: Engine, path: Path) -> None:
    """Create the tables of a new file; raise InputError, before anything is changed, for one of another version or program."""
    with engine.begin() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # two processes may open a new file at once
        there = set(inspect(connection).get_table_names())
        version = connection.execute(select(SCHEMA.c.version)).scalar() if SCHEMA.name in there else None
        if version not in {None, SCHEMA_VERSION}:
            raise InputError(f"{path}: journal of version {version}. Expected: {SCHEMA_VERSION}. Use the longshore that wrote it")
        if there - set(METADATA.tables):
            told = ", ".join(sorted(there))
            raise InputError(f"{path}: is not a journal: a SQLite file with tables {told}. Expected: a journal. Move it away and try again")
        if version is None:
            METADATA.create_all(connection)
            connection.execute(insert(SCHEMA).values(version=SCHEMA_VERSION))


def _record(row: Mapping[Any, Any]) -> Record:
    try:
        body = json.loads(row["body"])
    except ValueError:
        body = {"unreadable": row["body"]}
    return Record(**{**row, "body": body if isinstance(body, dict) else {"unreadable": row["body"]}})


@dataclass
class Run:
    """One process that writes its own chain."""

    journal: Journal
    id: str
    head: str = "0" * 64
    count: int = field(default=0, init=False)
    watchers: list[Callable[[Record], None]] = field(default_factory=list, init=False)
    """Called with each record once it is on disk; whatever they do must not fail."""

    def record(self, kind: str, *, service: str | None = None, key: str | None = None, body: Mapping[str, Any]) -> Record:
        """Append one record and have it on disk before returning; raises JournalError when it is not, ValueError for a number that JSON lacks."""
        kind, service, key, clean = self.journal.redactor.value(exact([kind, service, key, body]))
        content = {
            "run_id": self.id, "number": self.count + 1, "at": self.journal.clock().isoformat(timespec="microseconds"),
            "kind": kind, "service": service, "key": key, "body": clean, "previous": self.head,
        }  # fmt: skip
        digest = hash_of(content)
        text = json.dumps(clean, ensure_ascii=True, separators=(",", ":"))
        try:
            with self.journal.engine.begin() as connection:
                written = connection.execute(insert(RECORDS).values(**{**content, "body": text, "hash": digest}))
        except DatabaseError as error:
            raise JournalError(
                f"{self.journal.engine.url.database}: record {self.count + 1} ({kind}) can't be written: {error.orig}. "
                "Expected: room on the disk, and no other program that keeps the file locked. Mend that, then start the same command again"
            ) from error
        self.head, self.count = digest, self.count + 1
        record = Record(seq=int(written.inserted_primary_key[0]), hash=digest, **content)  # type: ignore[index]
        for watch in self.watchers:
            watch(record)
        return record

    def finish(self, verdict_counts: Mapping[str, int], exit_code: ExitCode) -> None:
        """Record the end of the run, with the chain's head so far and how much was redacted."""
        self.record(
            "run_ended",
            body={
                "verdict_counts": dict(verdict_counts), "exit_code": exit_code.value, "exit_name": exit_code.name,
                "chain_head": self.head, "redacted": self.journal.redactor.removed, "utc_offset_s": _utc_offset_s(),
            },
        )  # fmt: skip


def exact(value: Any) -> Any:
    """Return a value as JSON carries it exactly: large integers as text, NaN refused, half a surrogate pair as its escape.

    A file name that is not UTF-8 reaches us with such halves (PEP 383); RFC 8785 has no form for them.
    """
    if isinstance(value, Mapping):
        return {_paired(str(key)): exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [exact(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) <= EXACT_INTEGER else str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} can't be recorded: JSON has no such number")
    if isinstance(value, float):
        return value
    return _paired(value if isinstance(value, str) else str(value))


def _paired(text: str) -> str:
    return SURROGATE.sub(lambda half: f"\\u{ord(half.group()):04x}", text)


def chain_problems(records: Sequence[Record]) -> list[str]:
    """Return what is wrong with one run's chain: the first record that was changed, dropped or moved; empty when whole."""
    previous = "0" * 64
    for position, record in enumerate(records, start=1):
        where = f"run {record.run_id} record {record.number} ({record.kind})"
        if record.number != position:
            return [f"{where}: expected record {position} here: one was dropped or moved"]
        if record.previous != previous:
            return [f"{where}: does not follow the record before it"]
        if not _hash_fits(record):
            return [f"{where}: its content was changed after it was written"]
        previous = record.hash
    return []


def _hash_fits(record: Record) -> bool:
    """Return whether the content is what was hashed; content that has no canonical JSON was never written by us."""
    try:
        return hash_of(record.content()) == record.hash
    except rfc8785.CanonicalizationError:
        return False
