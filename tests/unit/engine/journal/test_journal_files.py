"""The journal as a file: what is refused untouched, what tables it has, who may read it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from engine.errors import InputError, JournalError
from engine.journal.database import METADATA, MIGRATIONS, REVISIONS
from engine.journal.journal import Journal
from engine.redaction.redactor import Redactor

FIRST_VERSION: Final = """
CREATE TABLE records (seq INTEGER NOT NULL, run_id VARCHAR(36) NOT NULL, number INTEGER NOT NULL,
  at VARCHAR(40) NOT NULL,
  kind VARCHAR(40) NOT NULL, service VARCHAR(100), key VARCHAR(100), body TEXT NOT NULL, previous VARCHAR(64) NOT NULL,
  hash VARCHAR(64) NOT NULL, PRIMARY KEY (seq));
CREATE INDEX ix_records_run_id ON records (run_id);
CREATE INDEX ix_records_kind ON records (kind);
CREATE INDEX ix_records_service ON records (service);
CREATE TABLE schema_version (version INTEGER NOT NULL, PRIMARY KEY (version));
INSERT INTO schema_version VALUES (1);
"""


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Return an empty journal."""
    return Journal.open(tmp_path / "state" / "lab.sqlite", redactor=Redactor())


@pytest.mark.parametrize(("alembic", "version"), [(None, "0001"), ("0002", "0002"), ("0004", "0004"), ("0006", "0006")])
def test_a_journal_of_an_unreleased_version_is_refused_untouched(
    tmp_path: Path, alembic: str | None, version: str
) -> None:
    """No release wrote it and none reads it: its moves are finished by the checkout that began them."""
    file = tmp_path / "lab.sqlite"
    with sqlite3.connect(file) as connection:
        connection.executescript(FIRST_VERSION)
        if alembic:
            connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
            connection.execute("INSERT INTO alembic_version VALUES (?)", (alembic,))
        before = tuple(connection.iterdump())

    with pytest.raises(
        InputError, match=rf"journal of the unreleased version {version}. Expected: version 1. Finish its moves"
    ):
        Journal.open(file, redactor=Redactor())

    with sqlite3.connect(file) as connection:
        assert tuple(connection.iterdump()) == before


def test_the_migrations_make_the_tables_that_are_used(journal: Journal) -> None:
    """Every column that is written is there, and no other."""
    there = inspect(journal.engine)
    made = {table: {column["name"] for column in there.get_columns(table)} for table in there.get_table_names()}

    assert made.pop("alembic_version") == {"version_num"}
    assert made == {name: set(table.columns.keys()) for name, table in METADATA.tables.items()}


def test_the_revisions_named_are_those_that_there_are() -> None:
    """A journal at the last one is not migrated, so the list must be Alembic's own."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")

    assert [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()] == list(
        reversed(REVISIONS)
    )


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    """A wrong file gets one message and is left as it was."""
    file = tmp_path / "lab.sqlite"
    file.write_text("not a database, and long enough to be read as one" * 50)

    with pytest.raises(InputError, match="is not a journal"):
        Journal.open(file, redactor=Redactor())

    assert file.read_text().startswith("not a database")


def test_a_database_of_another_program_is_refused_untouched(tmp_path: Path) -> None:
    """A SQLite file is not yet a journal."""
    file = tmp_path / "lab.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE grafana (id)")

    with pytest.raises(InputError, match=r"is not a journal: a database with tables grafana"):
        Journal.open(file, redactor=Redactor())

    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("grafana",)]


def test_a_record_that_is_not_on_disk_is_an_error_of_its_own(journal: Journal) -> None:
    """A full disk or a locked file stops the run with what to do; nothing is taken for written."""
    run = journal.start_run(command="x")
    with journal.engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER full BEFORE INSERT ON records BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"
            )
        )

    with pytest.raises(
        JournalError,
        match=r"record 2 \(intent\) can't be written: database or disk is full. Expected: room.*start the same command",
    ):
        run.record("intent", body={})

    assert (run.count, len(journal.records())) == (1, 1)


def test_only_the_owner_can_read_it(journal: Journal) -> None:
    """The journal's folder and file are closed to others."""
    file = Path(str(journal.engine.url.database))

    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0
