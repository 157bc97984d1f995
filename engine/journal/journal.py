"""The journal: an append-only, hash-chained record of what was intended, done and seen. Everything else is drawn from
it.

One SQLite file per environment (WAL, synchronous=FULL), or one PostgreSQL schema, through SQLAlchemy Core. Each run and
writer is a chain: a record's hash is the SHA-256 over its RFC 8785 JSON and the hash before it, so a changed, dropped
or moved record shows.
"""

from __future__ import annotations

import json
import platform
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, Select, func, select
from sqlalchemy.exc import DatabaseError, IntegrityError

from engine.errors import ChainConflictError, JournalError, LockLostError, UnreachableError
from engine.finding import say
from engine.journal.database import RECORDS, WRITTEN, insert_record, open_store, unreachable
from engine.journal.kinds import RecordKind
from engine.journal.location import JournalLocation, file_place
from engine.journal.record import FIRST_PREVIOUS, Record, chain_problems, exact, hash_of
from engine.journal.reserved_space import Reserve
from engine.redaction.redactor import Redactor
from engine.verdict import ExitCode

__all__ = ["Journal", "Record", "Run", "chain_problems", "exact", "hash_of"]


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
    where: str = ""
    reserve: Reserve | None = None

    @classmethod
    def open(
        cls, place: Path | JournalLocation, *, redactor: Redactor, clock: Callable[[], datetime] = _now
    ) -> Journal:
        """Open or create the journal of a place (a path: a SQLite file); its password becomes a secret everywhere.

        Raises InputError for what is no journal, or a newer one, and UnreachableError for a server that does not
        answer.
        """
        place = file_place(place) if isinstance(place, Path) else place
        for secret in place.secrets():
            redactor.register(secret)
        return cls(open_store(place), redactor, clock, place.text, Reserve(place.file) if place.file else None)

    def start_run(self, *, run_id: str | None = None, **about: Any) -> Run:
        """Start a run; `about` is the body of its first record (command, environment, plan_digest, operator, …).

        A run that changes hosts (`apply`) has room kept on the disk for what it records when that is full otherwise;
        raises JournalError when there is none, TakenError when a run of that id was started before.
        """
        if about.get("apply") and self.reserve:
            self.reserve.keep()
        run = Run(self, run_id or str(uuid4()))
        machine = f"{platform.system()} {platform.release()} {platform.machine()}"
        run.record(
            RecordKind.RUN_STARTED,
            body={"machine": machine, "utc_offset_s": _utc_offset_s(), "before": self._end(), **about},
        )
        return run

    def _end(self) -> dict[str, Any]:
        """Return how many records there are, and the last one's hash: what a new run is chained to."""
        found = self._select(select(RECORDS).order_by(RECORDS.c.seq.desc()).limit(1))
        return {"records": self._count(), "head": found[0].hash if found else FIRST_PREVIOUS}

    def _count(self, *conditions: Any) -> int:
        try:
            with self.engine.connect() as connection:
                return int(
                    connection.execute(select(func.count()).select_from(RECORDS).where(*conditions)).scalar_one()
                )
        except DatabaseError as error:
            raise unreachable(self.where, error) from error

    def lost_records(self) -> str:
        """Return what shows that records were taken out since they were written, "" when nothing does.

        Each run knows how many records there were when it started, and which was the last; the database how many there
        ever were.
        """
        try:
            with self.engine.connect() as connection:
                records, head = connection.execute(select(WRITTEN.c.records, WRITTEN.c.head)).one()
                seen = connection.execute(select(func.count()).select_from(RECORDS)).scalar_one()
                last = connection.execute(select(RECORDS.c.hash).order_by(RECORDS.c.seq.desc()).limit(1)).scalar() or ""
        except DatabaseError as error:
            raise unreachable(self.where, error) from error
        if (seen, last) != (records, head):
            return (
                f"{seen} records, {records} were written"
                if seen != records
                else f"ends with record {last[:12]}, {head[:12]} was the last written"
            )
        for run in self.records(kind=RecordKind.RUN_STARTED):
            before = run.body.get("before") or {"records": 0, "head": FIRST_PREVIOUS}
            there = before["head"] == FIRST_PREVIOUS or self._count(RECORDS.c.hash == before["head"])
            if not there or self._count(RECORDS.c.seq < run.seq) < before["records"]:
                return (
                    f"what stood before the run of {run.at[:16]} is not all there: {before['records']} records, "
                    f"the last {before['head'][:12]}"
                )
        return ""

    def records(
        self,
        *,
        run_id: str | None = None,
        kind: str | Collection[str] | None = None,
        service: str | None = None,
        until: int | None = None,
    ) -> list[Record]:
        """Return records, of one kind or several, in the order in which they were written; `until` is the seq of the
        last that counts.
        """
        return self._select(_query(run_id=run_id, kind=kind, service=service, until=until).order_by(RECORDS.c.seq))

    def last(
        self, kind: str, *, service: str | None = None, key: str | None = None, until: int | None = None
    ) -> Record | None:
        """Return the newest record of a kind; `until` is the seq of the last that counts."""
        found = self._select(
            _query(kind=kind, service=service, key=key, until=until).order_by(RECORDS.c.seq.desc()).limit(1)
        )
        return found[0] if found else None

    def _select(self, query: Select[Any]) -> list[Record]:
        try:
            with self.engine.connect() as connection:
                return [_record(row) for row in connection.execute(query)]
        except DatabaseError as error:
            raise unreachable(self.where, error) from error

    def heads(self, run_id: str) -> dict[str, dict[str, Any]]:
        """Return the head of each writer's chain in a run, with its number of records: what a cut tail
        shows against.
        """
        newest = select(func.max(RECORDS.c.seq)).where(RECORDS.c.run_id == run_id).group_by(RECORDS.c.writer)
        found = self._select(select(RECORDS).where(RECORDS.c.seq.in_(newest)).order_by(RECORDS.c.writer))
        return {record.writer: {"records": record.number, "hash": record.hash} for record in found}

    def move_state(self, service: str, *, until: int | None = None) -> str:
        """Return the state of a service's move (now, or at `until`), "planned" when nothing happened."""
        record = self.last(RecordKind.MOVE_STATE, service=service, until=until)
        return str(record.body["state"]) if record else "planned"


def _query(*, until: int | None, **wanted: str | Collection[str] | None) -> Select[Any]:
    query = select(RECORDS)
    for column, value in wanted.items():
        if isinstance(value, str):
            query = query.where(RECORDS.c[column] == str(value))
        elif value is not None:
            query = query.where(RECORDS.c[column].in_([str(one) for one in value]))
    return query if until is None else query.where(RECORDS.c.seq <= until)


def _record(row: Sequence[Any]) -> Record:
    """Return the record of a row of all columns, in the table's order."""
    seq, run_id, writer, number, at, kind, service, key, text, previous, digest = row
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    body = body if isinstance(body, dict) else {"unreadable": text}
    return Record(seq, run_id, number, at, kind, service, key, body, previous, digest, writer)


@dataclass
class Run:
    """One process that writes its own chain; a second process of the same run is a `writer` with a chain of its own."""

    journal: Journal
    id: str
    head: str = FIRST_PREVIOUS
    count: int = field(default=0, init=False)
    writer: str = ""
    broken: str = field(default="", init=False)
    """Why the journal takes no intent any more: once a record was not written, nothing more is begun."""
    watchers: list[Callable[[Record], None]] = field(default_factory=list, init=False)
    """Called with each record once it is on disk; whatever they do must not fail."""
    _one: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False)
    """Actions side by side write one chain."""
    _first: int = field(default=0, init=False)
    """Where this process began in the journal."""

    def record(
        self,
        kind: str,
        *,
        service: str | None = None,
        key: str | None = None,
        body: Mapping[str, Any],
        at: datetime | None = None,
    ) -> Record:
        """Append one record and have it on disk before returning; `at` is for what happened earlier and is written down
        now.

        Raises JournalError when it is not on disk (TakenError: another process is at this place), ValueError
        for a number that JSON lacks, LockLostError for a state, a failure or an undo of a move that another run
        has taken over. After that no intent is taken any more; what is undone or seen still is, in the room
        that was kept for it.
        """
        with self._one:
            record = self.draft(kind, service=service, key=key, body=body, at=at)
            if self.broken and kind == RecordKind.INTENT:
                raise JournalError(say("{broken} Nothing more is begun in this run", broken=self.broken))
            self._refuse_overtaken(record)
            record = self._append(record)
            self._first = self._first or record.seq
            for watch in self.watchers:
                watch(record)
        return record

    def _refuse_overtaken(self, record: Record) -> None:
        """Refuse the state, a failure and an undo of a move that another run has taken over: this run slept, and lost
        its lock, after it had looked at the lock for the last time.
        """
        failed = record.kind == RecordKind.OUTCOME and record.body.get("ok") is False
        if not self._first or not (failed or record.kind in {RecordKind.MOVE_STATE, RecordKind.UNDO_INTENT}):
            return
        kinds = (RecordKind.INTENT, RecordKind.OUTCOME, RecordKind.MOVE_STATE)
        try:
            found = [self.journal.last(kind, service=record.service) for kind in kinds]
        except UnreachableError:
            return  # a journal that is away keeps no undo from continuing; the write says that it is
        theirs = [one for one in found if one is not None and one.run_id != self.id and one.seq > self._first]
        if theirs:
            raise LockLostError(
                say(
                    "{service}: another run has taken over its move ({run}). Expected: this run alone. Nothing more is "
                    "changed from here, nothing is undone: whoever took over decides",
                    service=record.service,
                    run=theirs[0].run_id[:8],
                )
            )

    def draft(
        self,
        kind: str,
        *,
        service: str | None = None,
        key: str | None = None,
        body: Mapping[str, Any],
        at: datetime | None = None,
    ) -> Record:
        """Return the record that comes next in this chain, without secrets, and not written.

        Raises ValueError for a kind that RecordKind does not list.
        """
        kind, service, key, clean = self.journal.redactor.value(exact([RecordKind(kind).value, service, key, body]))
        content = {
            "run_id": self.id,
            "number": self.count + 1,
            "at": (at or self.journal.clock()).isoformat(timespec="microseconds"),
            "kind": kind,
            "service": _column(service),
            "key": _column(key),
            "body": clean,
            "previous": self.head,
            **({"writer": self.writer} if self.writer else {}),
        }
        return Record(seq=0, hash=hash_of(content), **content)

    def _append(self, record: Record) -> Record:
        try:
            seq = self._insert(record)
        except DatabaseError as error:
            seq = self._insert_into_reserve(record, error)
        self.head, self.count = record.hash, self.count + 1
        return replace(record, seq=seq)

    def _insert(self, record: Record) -> int:
        text = json.dumps(record.body, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        return insert_record(self.journal.engine, {**record.as_json(), "body": text, "hash": record.hash})

    def _insert_into_reserve(self, record: Record, error: DatabaseError) -> int:
        """Write into the room that was kept for it what must not be lost when the disk is full; no intent: nothing more
        is begun.
        """
        message = say(
            "{where}: record {number} ({kind}) can't be written: {orig}. Expected: room on the disk, and no other "
            "program that keeps the file locked. Fix that, then start the same command again.",
            where=self.journal.where,
            number=record.number,
            kind=record.kind,
            orig=error.orig,
        )
        if isinstance(error, IntegrityError):
            raise ChainConflictError(message) from error
        self.broken = self.broken or message
        reserve = self.journal.reserve
        if reserve and reserve.release() and record.kind != RecordKind.INTENT:
            with suppress(DatabaseError):
                return self._insert(record)
        raise JournalError(message) from error

    def finish(self, verdict_counts: Mapping[str, int], exit_code: ExitCode, *, redacted: int | None = None) -> None:
        """Record the end of the run, with the heads of all its chains so far and how much was redacted (by others too:
        `redacted`).
        """
        removed = self.journal.redactor.removed if redacted is None else redacted
        self.record(
            RecordKind.RUN_ENDED,
            body={
                "verdict_counts": dict(verdict_counts), "exit_code": exit_code.value, "exit_name": exit_code.name,
                "chain_head": self.head, "heads": self.journal.heads(self.id), "redacted": removed,
                "utc_offset_s": _utc_offset_s(),
            },
        )  # fmt: skip


def _column(text: str | None) -> str | None:
    """Return a text as both databases keep it in a column: PostgreSQL has no NUL in one."""
    return text.replace("\0", "\\u0000") if text else text
