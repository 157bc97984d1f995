"""The journal's tables in their database: opened, brought to this version, refused when they are another program's.

The schema is made by Alembic's migrations in `engine/journal/migrations`, alike on SQLite and PostgreSQL. A database
that is at this version is only read: Alembic is slow to import and not needed then.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    create_engine,
    event,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import DatabaseError, OperationalError

from engine.errors import InputError, UnreachableError
from engine.finding import say
from engine.journal.libpq import SERVICE, unset_parameters
from engine.journal.location import JournalLocation
from engine.polling import Polling

BUSY_MS: Final = 10_000
AWAY_S: Final = 60.0
"""So long a journal's server may be away before the run stops."""
REVISIONS: Final = ("1",)
UNRELEASED: Final = re.compile(r"0\d{3}")
"""Versions that no release has had, and that no release reads."""
MIGRATIONS: Final = Path(__file__).parent / "migrations"
MIGRATING: Final = threading.Lock()
"""Alembic keeps the migration that runs in module globals: one at a time in a process."""

METADATA: Final = MetaData()
RECORDS: Final = Table(
    "records",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("run_id", Text, nullable=False, index=True),
    Column("writer", Text, nullable=False, server_default=""),
    Column("number", Integer, nullable=False),
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False, index=True),
    Column("service", Text, index=True),
    Column("key", Text),
    Column("body", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
)
SAMPLES: Final = Table(
    "samples",
    METADATA,
    Column("at", Text, nullable=False, index=True),
    Column("host", Text, nullable=False),
    Column("container", Text, nullable=False),
    Column("memory_bytes", BigInteger),
    Column("cpu_s", Float),
    Column("disks", Text),
)
WRITTEN: Final = Table(
    "written",
    METADATA,
    Column("one", Integer, primary_key=True),
    Column("records", BigInteger, nullable=False),
    Column("head", Text, nullable=False),
)
"""One row: how many records were ever written, and the hash of the last."""

ADD: Final = insert(RECORDS)
COUNT: Final = update(WRITTEN).values(records=WRITTEN.c.records + 1, head=bindparam("last"))
"""What writes each record, built once."""

SALTS: Final = Table("salts", METADATA, Column("name", Text, primary_key=True), Column("salt", Text, nullable=False))
OURS: Final = frozenset({"records", "samples", "salts", "written", "alembic_version"})
SQLITE: Final = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", f"PRAGMA busy_timeout={BUSY_MS}")
KEPT_ALIVE: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "application_name": "longshore",
}
"""A server that vanished is noticed within seconds, not after the kernel's two hours.
https://www.postgresql.org/docs/17/libpq-connect.html
"""


def open_store(place: JournalLocation) -> Engine:
    """Return the engine of a place, its tables there and at this version.

    Raises InputError, before anything is changed, for a newer journal, one of an unreleased version or another
    program's database, and UnreachableError when the server does not answer.
    """
    engine = _postgresql(place) if place.schema else _sqlite(place)

    def attempt() -> None:
        if not _is_current(engine, place):
            with engine.begin() as connection:
                _alone(connection, place)
                _upgrade(connection, place)

    try:
        Polling("the journal's file", BUSY_MS / 1000, first_s=0.05, longest_s=1.0).repeat(attempt, _locked)
    except OperationalError as error:
        if place.schema:
            raise unreachable(place.text, error) from None
        raise _no_journal(place, error) from error
    except DatabaseError as error:
        raise _no_journal(place, error) from error
    return engine


def unreachable(where: str, error: DatabaseError) -> UnreachableError:
    """Return the error of a journal's server that does not answer; the driver's own text names no password."""
    said = str(error.orig).strip().splitlines()[0]
    return UnreachableError(
        say(
            "{where}: the journal's server: {said}. Expected: a PostgreSQL that lets us in. Try the same address with "
            "psql",
            where=where,
            said=said,
        )
    )


def insert_record(engine: Engine, values: Mapping[str, Any]) -> int:
    """Insert one record durably and return its number in the journal; a server that was away for a moment is asked
    again.

    On PostgreSQL one writer at a time, so that numbers become visible in their order. After a lost connection nobody
    knows whether the commit was done: the record's hash shows it. Raises what the database raised.
    """
    if engine.dialect.name != "postgresql":
        with engine.begin() as connection:
            return _insert(connection, values)
    again = False

    def attempt() -> int:
        nonlocal again
        looks, again = again, True
        with engine.begin() as connection:
            connection.exec_driver_sql("LOCK TABLE records IN EXCLUSIVE MODE")
            wanted = select(RECORDS.c.seq).where(RECORDS.c.hash == values["hash"])
            there = connection.execute(wanted).scalar() if looks else None
            return int(there) if there is not None else _insert(connection, values)

    return Polling("the journal's server", AWAY_S, first_s=0.2, factor=2.0).repeat(attempt, _lost)


def _insert(connection: Connection, values: Mapping[str, Any]) -> int:
    written = connection.execute(ADD, dict(values))
    connection.execute(COUNT, {"last": values["hash"]})
    assert written.inserted_primary_key is not None
    return int(written.inserted_primary_key[0])


def _lost(error: BaseException) -> bool:
    """Return whether the server was not reached, as against having said no."""
    return isinstance(error, OperationalError) and (
        error.connection_invalidated or getattr(error.orig, "sqlstate", None) is None
    )


def _locked(error: BaseException) -> bool:
    """Return whether SQLite found the file locked: the switch to its write-ahead log waits for nobody automatically
    (https://www.sqlite.org/wal.html, "Sometimes Queries Return SQLITE_BUSY In WAL Mode").
    """
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0)
    return code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _no_journal(place: JournalLocation, error: DatabaseError) -> InputError:
    if _locked(error):
        return InputError(
            say(
                "{text}: another program keeps it locked. Expected: nobody for longer than {seconds:.0f} s. Wait for "
                "its end, then start the same command again",
                text=place.text,
                seconds=BUSY_MS / 1000,
            )
        )
    kind = say("a database that we may write to") if place.schema else say("a SQLite file")
    return InputError(
        say(
            "{text}: is not a journal: {orig}. Expected: {kind}. Move it away and try again",
            text=place.text,
            orig=error.orig,
            kind=kind,
        )
    )


def _sqlite(place: JournalLocation) -> Engine:
    assert place.file is not None
    if not place.file.exists():
        place.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.file.touch(mode=0o600)
    engine = create_engine(place.url)
    event.listen(engine, "connect", lambda connection, _record: _say(connection, SQLITE))
    return engine


def _postgresql(place: JournalLocation) -> Engine:
    """Return an engine whose connections see the environment's schema alone and have each commit on disk."""
    settings = (
        f'SET search_path = "{place.schema}"',
        "SET synchronous_commit = on",
        f"SET lock_timeout = {BUSY_MS}",
        "SET client_encoding = 'UTF8'",
    )
    os.environ.pop(SERVICE, None)
    engine = create_engine(place.url, connect_args=parameters_of(place), pool_pre_ping=True, hide_parameters=True)
    event.listen(engine, "connect", lambda connection, _record: _say(connection, settings))
    weakref.finalize(engine, engine.pool.dispose)  # says goodbye to the server whoever forgets the journal
    return engine


def parameters_of(place: JournalLocation) -> dict[str, Any]:
    """Return the parameters of a connection in addition to its URL: what the URL does not say is libpq's default,
    whatever the operator's shell says.

    A password that the URL does not hold may be in ~/.pgpass; no variable names another file.
    """
    _, in_url = place.url.get_dialect()().create_connect_args(place.url)
    unset = {**unset_parameters(), "passfile": str(Path.home() / ".pgpass")}
    return {name: value for name, value in {**unset, **KEPT_ALIVE}.items() if name not in in_url}


def _say(connection: Any, statements: tuple[str, ...]) -> None:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()
    connection.commit()


def _alone(connection: Connection, place: JournalLocation) -> None:
    """Keep others from opening a new journal at the same moment, until this transaction ends."""
    if not place.schema:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:schema))"), {"schema": place.schema})
    there = connection.execute(
        text("SELECT 1 FROM pg_namespace WHERE nspname = :schema"), {"schema": place.schema}
    ).first()
    if there is None:
        connection.exec_driver_sql(f'CREATE SCHEMA "{place.schema}"')


def _is_current(engine: Engine, place: JournalLocation) -> bool:
    """Check without a lock: a reader in parallel with a run that writes waits for nobody."""
    with engine.connect() as connection:
        return (
            _revision(connection, set(inspect(connection).get_table_names(schema=place.schema or None)))
            == REVISIONS[-1]
        )


def _upgrade(connection: Connection, place: JournalLocation) -> None:
    there = set(inspect(connection).get_table_names(schema=place.schema or None))
    current = _revision(connection, there)
    if current == REVISIONS[-1]:
        return
    if UNRELEASED.fullmatch(current):
        raise InputError(
            say(
                "{text}: journal of the unreleased version {current}. Expected: version {revisions}. Finish its "
                "moves, or take them back, with the checkout that wrote it; then move it away",
                text=place.text,
                current=current,
                revisions=REVISIONS[-1],
            )
        )
    if current and current not in REVISIONS:
        raise InputError(
            say(
                "{text}: journal of version {current}. Expected: version {revisions}. Use the longshore that wrote it",
                text=place.text,
                current=current,
                revisions=REVISIONS[-1],
            )
        )
    if there - OURS:
        raise InputError(
            say(
                "{text}: is not a journal: a database with tables {there}. Expected: a journal. Move it away and try "
                "again",
                text=place.text,
                there=", ".join(sorted(there)),
            )
        )
    with MIGRATING:
        _migrate(connection)


def _revision(connection: Connection, there: set[str]) -> str:
    """Return the revision of the tables, "" when there are none; before Alembic a table kept a number."""
    if "alembic_version" in there:
        return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or "")
    if "schema_version" in there:
        number = connection.exec_driver_sql("SELECT version FROM schema_version").scalar()
        return f"{int(number or 0):04d}"
    return ""


def _migrate(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 slow to import, and hardly ever needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def archive_store(place: JournalLocation, stamp: str) -> str:
    """Put the journal of a world that is gone aside under another name, and return that name; "" when there is none."""
    if place.file is not None:
        return _archive_file(place.file, stamp)
    engine, kept = _postgresql(place), f"{place.schema}_{stamp}"
    try:
        with engine.begin() as connection:
            there = connection.execute(
                text("SELECT 1 FROM pg_namespace WHERE nspname = :schema"), {"schema": place.schema}
            ).first()
            if there:
                connection.exec_driver_sql(f'ALTER SCHEMA "{place.schema}" RENAME TO "{kept}"')
    except OperationalError as error:
        raise unreachable(place.text, error) from None
    return kept if there else ""


def _archive_file(file: Path, stamp: str) -> str:
    if not file.exists():
        return ""
    kept = file.with_name(f"{file.stem}-{stamp}{file.suffix}")
    for suffix in ("", "-wal", "-shm"):
        part = file.with_name(file.name + suffix)
        if part.exists():
            part.rename(kept.with_name(kept.name + suffix))
    return str(kept)
