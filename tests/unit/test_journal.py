"""The journal's facts: durable order, chains that show tampering, no secrets, exact values."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from engine.errors import InputError, JournalError
from engine.journal import Journal, Record, Run, chain_problems
from engine.secret import Redactor, Secret
from engine.verdict import ExitCode


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Return an empty journal with a clock that stands still."""
    return Journal.open(tmp_path / "state" / "lab.sqlite", redactor=Redactor(), clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def run(journal: Journal) -> Run:
    """Return a run with a few records."""
    run = journal.start_run(command="migrate", environment="lab")
    run.record("intent", service="redis", key="stop-source", body={"describe": "stop redis"})
    run.record("outcome", service="redis", key="stop-source", body={"ok": True})
    run.finish({"PASSED": 1}, ExitCode.OK)
    return run


def test_records_are_read_in_the_order_of_writing(journal: Journal, run: Run) -> None:
    """A reader sees kinds, services and keys as they were written, another opener too."""
    again = Journal.open(Path(str(journal.engine.url.database)), redactor=Redactor())

    assert [r.kind for r in again.records(run_id=run.id)] == ["run_started", "intent", "outcome", "run_ended"]
    assert [r.key for r in again.records(service="redis")] == ["stop-source", "stop-source"]


def test_a_whole_chain_has_no_problems(journal: Journal, run: Run) -> None:
    """What was written is what is read, to the last byte."""
    assert chain_problems(journal.records(run_id=run.id)) == []


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (lambda records: [replace(records[0]), replace(records[1], body={"describe": "start redis"}), *records[2:]], "was changed"),
        (lambda records: [records[0], records[2], records[3]], "dropped or moved"),
        (lambda records: [records[0], records[2], records[1], records[3]], "dropped or moved"),
        (lambda records: [records[0], replace(records[1], at="2027-01-01"), *records[2:]], "was changed"),
        (lambda records: [records[0], replace(records[1], previous="f" * 64), *records[2:]], "does not follow"),
    ],
)
def test_tampering_shows(journal: Journal, run: Run, tamper: object, message: str) -> None:
    """A record that was changed, dropped or moved is named."""
    records: list[Record] = tamper(journal.records(run_id=run.id))  # type: ignore[operator]

    problems = chain_problems(records)

    assert len(problems) == 1
    assert message in problems[0]


def test_no_secret_is_ever_written(journal: Journal) -> None:
    """A registered value, a password in an URL and a private key are gone before the record is on disk."""
    journal.redactor.register(Secret("tr0ub4dor&3"))
    run = journal.start_run(command="x")
    run.record("log", body={"lines": ["pw tr0ub4dor&3 in text", "postgres://app:hunter22@db/shop", "-----BEGIN OPENSSH PRIVATE KEY-----\nabc"]})

    raw = Path(str(journal.engine.url.database)).read_bytes()
    wal = Path(f"{journal.engine.url.database}-wal")
    raw += wal.read_bytes() if wal.exists() else b""

    for secret in (b"tr0ub4dor", b"hunter22", b"PRIVATE KEY"):
        assert secret not in raw


def test_values_are_kept_exactly(journal: Journal) -> None:
    """Integers that JSON can't carry become text, and NaN is refused rather than written as something else."""
    run = journal.start_run(command="x")

    assert run.record("m", body={"rows": 2**60, "share": 0.1}).body == {"rows": str(2**60), "share": 0.1}
    with pytest.raises(ValueError, match="can't be recorded"):
        run.record("m", body={"share": float("nan")})


@pytest.mark.parametrize(
    ("given", "kept"), [("caf\udce9", "caf\\udce9"), ("\ud83d half", "\\ud83d half"), ("\U0001f600\ufffe\x00", "\U0001f600\ufffe\x00")]
)
def test_text_that_is_no_text_is_written_too(journal: Journal, given: str, kept: str) -> None:
    """A file name that is not UTF-8 aborts no write: half a pair becomes its escape, and what is read is what was hashed."""
    run = journal.start_run(command="x", argv=[given])
    written = run.record("log", service=given, key=given, body={given: [given, {"deep": given}]})

    read = journal.records(run_id=run.id)

    assert read[1] == written
    assert (read[1].service, read[1].key, read[1].body) == (kept, kept, {kept: [kept, {"deep": kept}]})
    assert chain_problems(read) == []


def test_service_and_key_pass_the_redactor(journal: Journal) -> None:
    """No column is a way around it; a public name stays what records are found by, even as somebody's password."""
    journal.redactor.register(Secret("tr0ub4dor&3"))
    journal.redactor.register(Secret("postgres"))
    journal.redactor.register(Secret("source"))
    journal.redactor.publish("postgres", "stop-source")
    run = journal.start_run(command="x")

    hidden = run.record("step", service="a tr0ub4dor&3", key="k=tr0ub4dor&3", body={})
    public = run.record("step", service="postgres", key="stop-source", body={})

    assert (hidden.service, hidden.key) == ("a ***", "k=***")
    assert (public.service, public.key) == ("postgres", "stop-source")
    assert journal.last("step", service="postgres", key="stop-source") == public


def test_the_newest_state_of_a_move_counts(journal: Journal) -> None:
    """A move that was never touched is planned; later states replace earlier ones."""
    run = journal.start_run(command="migrate")
    assert journal.move_state("redis") == "planned"

    run.record("move_state", service="redis", body={"state": "in_progress"})
    run.record("move_state", service="redis", body={"state": "undone"})

    assert journal.move_state("redis") == "undone"


def test_the_newest_record_is_found_up_to_a_moment(journal: Journal) -> None:
    """By kind, service and key; `until` leaves out what came later."""
    run = journal.start_run(command="migrate")
    first = run.record("outcome", service="redis", key="stop", body={"ok": False})
    second = run.record("outcome", service="redis", key="stop", body={"ok": True})
    run.record("outcome", service="n8n", key="copy", body={"ok": True})

    assert journal.last("outcome", service="redis") == second
    assert journal.last("outcome", key="stop", until=first.seq) == first
    assert journal.last("outcome", service="grafana") is None
    assert journal.records(kind="outcome", until=second.seq) == [first, second]


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    """A wrong file gets one message and is left as it was."""
    file = tmp_path / "lab.sqlite"
    file.write_text("not a database, and long enough to be read as one" * 50)

    with pytest.raises(InputError, match="is not a journal"):
        Journal.open(file, redactor=Redactor())

    assert file.read_text().startswith("not a database")


def test_a_journal_of_another_version_is_refused_untouched(journal: Journal) -> None:
    """The version is looked at before anything is created: a newer longshore's file stays as it was."""
    file = Path(str(journal.engine.url.database))
    with journal.engine.begin() as connection:
        connection.execute(text("UPDATE schema_version SET version = 2"))
        connection.execute(text("ALTER TABLE records RENAME TO records_of_2"))

    with pytest.raises(InputError, match=r"journal of version 2. Expected: 1. Use the longshore that wrote it"):
        Journal.open(file, redactor=Redactor())

    assert sorted(inspect(journal.engine).get_table_names()) == ["records_of_2", "schema_version"]


def test_a_database_of_another_program_is_refused_untouched(tmp_path: Path) -> None:
    """A SQLite file is not yet a journal."""
    file = tmp_path / "lab.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE grafana (id)")

    with pytest.raises(InputError, match=r"is not a journal: a SQLite file with tables grafana"):
        Journal.open(file, redactor=Redactor())

    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("grafana",)]


def test_a_record_that_is_not_on_disk_is_an_error_of_its_own(journal: Journal) -> None:
    """A full disk or a locked file stops the run with what to do; nothing is taken for written."""
    run = journal.start_run(command="x")
    with journal.engine.begin() as connection:
        connection.execute(text("CREATE TRIGGER full BEFORE INSERT ON records BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"))

    with pytest.raises(JournalError, match=r"record 2 \(intent\) can't be written: database or disk is full. Expected: room.*start the same command"):
        run.record("intent", body={})

    assert (run.count, len(journal.records())) == (1, 1)


def test_many_may_open_a_new_journal_at_once(tmp_path: Path) -> None:
    """Status beside the first run: both get the same journal."""
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: Journal.open(tmp_path / "lab.sqlite", redactor=Redactor()), range(8)))

    opened[0].start_run(command="x")
    assert [len(journal.records()) for journal in opened] == [1] * 8


def test_only_the_owner_can_read_it(journal: Journal) -> None:
    """The journal's folder and file are closed to others."""
    file = Path(str(journal.engine.url.database))

    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0
