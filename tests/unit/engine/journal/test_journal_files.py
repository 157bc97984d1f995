"""The journal as a file: what is refused untouched, what is brought to this version, who may read it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Final

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from engine.errors import InputError, JournalError
from engine.journal.database import MIGRATIONS, REVISIONS
from engine.journal.journal import Journal, chain_problems, hash_of
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


def test_a_file_of_the_first_version_is_brought_to_this_one(tmp_path: Path) -> None:
    """Its records stay what they were, its chain is whole, and a new run goes into the same file."""
    file = tmp_path / "lab.sqlite"
    content = {
        "run_id": "r",
        "number": 1,
        "at": "2026-01-01T00:00:00+00:00",
        "kind": "run_started",
        "service": None,
        "key": None,
        "body": {"command": "migrate"},
        "previous": "0" * 64,
    }
    row = {**content, "body": json.dumps(content["body"]), "hash": hash_of(content)}
    with sqlite3.connect(file) as connection:
        connection.executescript(FIRST_VERSION)
        connection.execute(
            f"INSERT INTO records ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})",  # noqa: S608
            row,
        )

    journal = Journal.open(file, redactor=Redactor())
    journal.start_run(command="status")

    assert [record.body["command"] for record in journal.records()] == ["migrate", "status"]
    assert chain_problems(journal.records(run_id="r")) == []
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [(2,)], (
            "the first version refuses it in its own words"
        )


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
