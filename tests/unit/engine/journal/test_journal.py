"""The journal's facts: durable order, chains that show tampering, no secrets, exact values."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import OperationalError

from engine.errors import InputError, JournalError, LockLostError, UnreachableError
from engine.journal import database
from engine.journal.database import insert_record
from engine.journal.journal import Journal, Record, Run, chain_problems
from engine.journal.location import JournalLocation, file_place
from engine.redaction.redactor import Redactor, Secret
from engine.verdict import ExitCode


@pytest.fixture
def place(tmp_path: Path) -> JournalLocation:
    """Return where a new journal goes; the lab's tests ask the same of PostgreSQL."""
    return file_place(tmp_path / "state" / "lab.sqlite")


@pytest.fixture
def journal(place: JournalLocation) -> Journal:
    """Return an empty journal with a clock that stands still."""
    return Journal.open(place, redactor=Redactor(), clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def run(journal: Journal) -> Run:
    """Return a run with a few records."""
    run = journal.start_run(command="migrate", environment="lab")
    run.record("intent", service="redis", key="stop-source", body={"describe": "stop redis"})
    run.record("outcome", service="redis", key="stop-source", body={"ok": True})
    run.finish({"PASSED": 1}, ExitCode.OK)
    return run


def test_records_are_read_in_the_order_of_writing(place: JournalLocation, run: Run) -> None:
    """A reader sees kinds, services and keys as they were written, another opener too."""
    again = Journal.open(place, redactor=Redactor())

    assert [r.kind for r in again.records(run_id=run.id)] == ["run_started", "intent", "outcome", "run_ended"]
    assert [r.key for r in again.records(service="redis")] == ["stop-source", "stop-source"]


def test_a_whole_chain_has_no_problems(journal: Journal, run: Run) -> None:
    """What was written is what is read, to the last byte."""
    assert chain_problems(journal.records(run_id=run.id)) == []


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (
            lambda records: [replace(records[0]), replace(records[1], body={"describe": "start redis"}), *records[2:]],
            "was changed",
        ),
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
    run.record(
        "container_log",
        body={
            "lines": [
                "pw tr0ub4dor&3 in text",
                "postgres://app:hunter22@db/shop",
                "-----BEGIN OPENSSH PRIVATE KEY-----\nabc",
            ]
        },
    )

    with journal.engine.connect() as connection:
        raw = str(connection.execute(text("SELECT * FROM records")).all())

    assert "pw *** in text" in raw
    for secret in ("tr0ub4dor", "hunter22", "PRIVATE KEY"):
        assert secret not in raw


def test_values_are_kept_exactly(journal: Journal) -> None:
    """Integers that JSON can't carry become text, and NaN is refused rather than written as something else."""
    run = journal.start_run(command="x")

    assert run.record("result", body={"rows": 2**60, "share": 0.1}).body == {"rows": str(2**60), "share": 0.1}
    with pytest.raises(ValueError, match="can't be recorded"):
        run.record("result", body={"share": float("nan")})


@pytest.mark.parametrize(
    ("given", "kept"),
    [("caf\udce9", "caf\\udce9"), ("\ud83d half", "\\ud83d half"), ("\U0001f600\ufffe\x00", "\U0001f600\ufffe\x00")],
)
def test_text_that_is_no_text_is_written_too(journal: Journal, given: str, kept: str) -> None:
    """A file name that is not UTF-8 aborts no write: half a pair becomes its escape, and what is read is what was
    hashed.
    """
    run = journal.start_run(command="x", argv=[given])
    written = run.record("container_log", service=given, key=given, body={given: [given, {"deep": given}]})

    read = journal.records(run_id=run.id)

    assert read[1] == written
    column = kept.replace("\0", "\\u0000")  # PostgreSQL has no NUL in a column
    assert (read[1].service, read[1].key, read[1].body) == (column, column, {kept: [kept, {"deep": kept}]})
    assert chain_problems(read) == []


def test_service_and_key_pass_the_redactor(journal: Journal) -> None:
    """No column is a way around it; a public name stays what records are found by, even as somebody's password."""
    journal.redactor.register(Secret("tr0ub4dor&3"))
    journal.redactor.register(Secret("postgres"))
    journal.redactor.register(Secret("source"))
    journal.redactor.publish("postgres", "stop-source")
    run = journal.start_run(command="x")

    hidden = run.record("result", service="a tr0ub4dor&3", key="k=tr0ub4dor&3", body={})
    public = run.record("result", service="postgres", key="stop-source", body={})

    assert (hidden.service, hidden.key) == ("a ***", "k=***")
    assert (public.service, public.key) == ("postgres", "stop-source")
    assert journal.last("result", service="postgres", key="stop-source") == public


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


def test_a_journal_of_another_version_is_refused_untouched(place: JournalLocation, journal: Journal) -> None:
    """The version is looked at before anything is created: a newer longshore's file stays as it was."""
    with journal.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9'"))
        connection.execute(text("ALTER TABLE records RENAME TO records_of_9"))

    with pytest.raises(InputError, match=r"journal of version 9. Expected: version 1. Use the longshore that wrote it"):
        Journal.open(place, redactor=Redactor())

    there = inspect(journal.engine).get_table_names(schema=place.schema or None)
    assert sorted(there) == ["alembic_version", "records_of_9", "salts", "samples", "written"]


def test_many_may_open_a_new_journal_at_once(place: JournalLocation) -> None:
    """Status during the first run: both get the same journal."""
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: Journal.open(place, redactor=Redactor()), range(8)))

    opened[0].start_run(command="x")
    assert [len(journal.records()) for journal in opened] == [1] * 8


def test_each_writer_of_a_run_has_a_chain_of_its_own(journal: Journal, run: Run) -> None:
    """Two processes of one run never wait for each other's hash, and both chains are whole."""
    shard = Run(journal, run.id, writer="3/8")
    shard.record("result", key="one", body={})
    shard.record("result", key="two", body={})

    records = journal.records(run_id=run.id)

    assert [(r.writer, r.number) for r in records][-2:] == [("3/8", 1), ("3/8", 2)]
    assert chain_problems(records) == []


def test_the_end_of_a_run_lists_the_heads(journal: Journal) -> None:
    """A tail that was cut off another writer's chain shows against them."""
    run = journal.start_run(command="preflight")
    shard = Run(journal, run.id, writer="b")
    last = [shard.record("result", key=key, body={}) for key in ("one", "two")][-1]
    run.finish({}, ExitCode.OK)

    records = journal.records(run_id=run.id)

    assert records[-1].body["heads"]["b"] == {"records": 2, "hash": last.hash}
    assert chain_problems(records) == []
    assert chain_problems([r for r in records if r != last]) == [
        f'run {run.id}: the chain of writer "b" lacks its end: expected 2 records, seen 1'
    ]


def test_two_processes_can_not_continue_the_same_chain(journal: Journal) -> None:
    """A number stands once in a chain: the second writer stops instead of leaving a fork."""
    run = journal.start_run(command="x")
    twin = Run(journal, run.id, run.head)
    twin.count = run.count
    run.record("result", body={"by": "one"})

    with pytest.raises(JournalError, match="can't be written"):
        twin.record("result", body={"by": "the other"})

    assert chain_problems(journal.records(run_id=run.id)) == []


def test_two_write_at_once(place: JournalLocation) -> None:
    """Concurrent runs lose nothing, and a reader meanwhile sees whole records only."""
    runs = [Journal.open(place, redactor=Redactor()).start_run(command="x") for _ in range(2)]
    reader = Journal.open(place, redactor=Redactor())

    def write(run: Run) -> None:
        for number in range(30):
            run.record("result", key=str(number), body={"number": number})

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(write, run) for run in runs]
        seen = pool.submit(lambda: [len(reader.records()) for _ in range(20)]).result()
        for job in jobs:
            job.result()

    assert seen == sorted(seen)
    assert all(chain_problems(reader.records(run_id=run.id)) == [] for run in runs)
    assert len(reader.records()) == 62


def test_what_happened_earlier_keeps_its_time(journal: Journal) -> None:
    """A record that is written down later, from a host's log, says when it happened."""
    run = journal.start_run(command="adopt")

    assert run.record("outcome", body={}, at=datetime(2025, 5, 1, tzinfo=UTC)).at.startswith("2025-05-01T00:00:00")


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Return a switch: with it on, the disk has no room but that which the reserve takes up."""
    disk = {"full": False, "gone": False}

    def insert(engine: Engine, values: Mapping[str, Any]) -> int:
        reserve = Path(str(engine.url.database) + "-reserve")
        if disk["gone"] or (disk["full"] and reserve.exists()):
            raise OperationalError("INSERT", {}, Exception("database or disk is full"))
        return insert_record(engine, values)

    monkeypatch.setattr("engine.journal.journal.insert_record", insert)
    return disk


def test_a_full_disk_still_takes_the_records_of_an_undo(journal: Journal, full: dict[str, bool]) -> None:
    """The room that was kept for them is given up; no intent is taken any more, so that nothing more is begun."""
    run = journal.start_run(command="migrate", environment="lab", apply=True)
    full["full"] = True

    with pytest.raises(JournalError, match="full"):
        run.record("intent", service="redis", key="copy-volumes", body={})
    run.record("undo_intent", service="redis", key="stop-source", body={})
    run.record("undo_outcome", service="redis", key="stop-source", body={"ok": True})
    with pytest.raises(JournalError, match="Nothing more is begun"):
        run.record("intent", service="redis", key="copy-volumes", body={})

    assert [record.kind for record in journal.records(run_id=run.id)] == ["run_started", "undo_intent", "undo_outcome"]
    assert chain_problems(journal.records(run_id=run.id)) == []


def test_what_has_been_done_is_recorded_in_the_reserve(journal: Journal, full: dict[str, bool]) -> None:
    """An outcome is not lost because the disk fills between an action and its record."""
    run = journal.start_run(command="migrate", environment="lab", apply=True)
    run.record("intent", service="redis", key="stop-source", body={})
    full["full"] = True

    run.record("outcome", service="redis", key="stop-source", body={"ok": True})

    assert [record.kind for record in journal.records(run_id=run.id)][-1] == "outcome"


def test_no_run_that_changes_hosts_starts_without_room(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full already is reported before anything is done, with what to look at."""

    def no_room(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.journal.reserved_space.os.fsync", no_room)

    with pytest.raises(JournalError, match="Expected: room for the records of an undo"):
        journal.start_run(command="migrate", environment="lab", apply=True)
    assert journal.records() == []


def test_a_body_is_read_in_the_order_of_its_names(place: JournalLocation) -> None:
    """What is drawn from the journal and from its lines in the evidence is the same, whatever order a body
    was made in.
    """
    journal = Journal.open(place, redactor=Redactor())
    journal.start_run(command="migrate").record("fingerprint", service="redis", body={"parts": {"b": 1, "a": 2}})
    assert list(journal.records(kind="fingerprint")[0].body["parts"]) == ["a", "b"]


def test_a_run_that_was_overtaken_records_no_state(tmp_path: Path) -> None:
    """It slept between its last look at its lock and its record: the state that the other run wrote counts."""
    journal = Journal.open(tmp_path / "lab.sqlite", redactor=Redactor())
    slow = journal.start_run(command="rollback")
    slow.record("move_state", service="redis", body={"state": "in_progress"})
    quick = journal.start_run(command="migrate")
    quick.record("move_state", service="redis", body={"state": "done"})
    slow.record("move_state", service="n8n", body={"state": "undone"})

    with pytest.raises(LockLostError, match="redis: another run has taken over its move"):
        slow.record("move_state", service="redis", body={"state": "undone"})

    assert journal.move_state("redis") == "done"
    with pytest.raises(LockLostError):
        slow.record("outcome", service="redis", key="copy-back", body={"ok": False, "text": "no such container"})
    with pytest.raises(LockLostError):
        slow.record("undo_intent", service="redis", key="copy-back", body={})
    later = journal.start_run(command="rollback")
    later.record("move_state", service="redis", body={"state": "returning"})
    assert journal.move_state("redis") == "returning"


def test_a_journal_that_is_away_is_a_record_that_was_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An undo continues without its journal: whether the run was overtaken can't be read, and does not block it."""
    journal = Journal.open(tmp_path / "lab.sqlite", redactor=Redactor())
    run = journal.start_run(command="rollback")

    def away(*_: object, **__: object) -> None:
        raise UnreachableError("the journal's server: gone")

    monkeypatch.setattr(journal, "last", away)
    run.record("undo_intent", service="redis", key="copy-back", body={})
    run.record("move_state", service="redis", body={"state": "undone"})

    assert [record.kind for record in journal.records(service="redis")] == ["undo_intent", "move_state"]


def test_a_journal_that_is_locked_is_never_to_be_moved_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program may be writing it: whoever moved it away would lose what it holds."""
    monkeypatch.setattr(database, "BUSY_MS", 100)
    monkeypatch.setattr(database, "SQLITE", ("PRAGMA busy_timeout=1", "PRAGMA journal_mode=WAL"))
    file = tmp_path / "lab.sqlite"
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE x (y)")
        other.execute("BEGIN EXCLUSIVE")

        with pytest.raises(InputError, match=r"another program keeps it locked.*start the same command again"):
            Journal.open(file, redactor=Redactor())
