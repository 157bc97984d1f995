"""The journal on PostgreSQL: the same facts as on SQLite, and what only a server can do: go away, come
back, be shared.
"""

# ruff: noqa: F811 (the imported tests ask for this module's own place)

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from engine.config.scope import build_scope
from engine.errors import InputError, UnreachableError
from engine.journal.database import archive_store
from engine.journal.journal import Journal, chain_problems
from engine.journal.location import JournalLocation, place_of
from engine.redaction.redactor import Redactor, Secret
from phases.context.open_journal import refuse_moved_server
from tests.fakes.project_files import make_environment, make_inventory, make_plan
from tests.lab import at_hand
from tests.lab.server import PASSWORD, Server, journal_server
from tests.unit.engine.journal.test_journal import (  # noqa: F401 the same facts
    journal,
    run,
    test_a_journal_of_another_version_is_refused_untouched,
    test_a_whole_chain_has_no_problems,
    test_each_writer_of_a_run_has_a_chain_of_its_own,
    test_many_may_open_a_new_journal_at_once,
    test_no_secret_is_ever_written,
    test_records_are_read_in_the_order_of_writing,
    test_service_and_key_pass_the_redactor,
    test_tampering_shows,
    test_text_that_is_no_text_is_written_too,
    test_the_end_of_a_run_lists_the_heads,
    test_the_newest_record_is_found_up_to_a_moment,
    test_the_newest_state_of_a_move_counts,
    test_two_processes_can_not_continue_the_same_chain,
    test_two_write_at_once,
    test_values_are_kept_exactly,
    test_what_happened_earlier_keeps_its_time,
)

pytestmark = [pytest.mark.lab, pytest.mark.no_hosts]
COUNT: Final = itertools.count(1)
WRITER: Final = """
import os, sys
from pathlib import Path
from engine.journal.journal import Journal
from engine.journal.location import place_of
from engine.redaction.redactor import Redactor, Secret
place = place_of("lab", Secret(os.environ["LONGSHORE_STATE"]))
run = Journal.open(place, redactor=Redactor()).start_run(command="write")
print(run.id, flush=True)
for number in range(100_000):
    run.record("result", key=str(number), body={"text": "x" * 2000})
"""


@pytest.fixture(scope="module")
def server(core_images: None) -> Iterator[Server]:
    """Run one server for this module; its image is the lab's."""
    with journal_server() as started:
        yield started


@pytest.fixture
def place(server: Server) -> JournalLocation:
    """Return where a new journal goes: an environment, hence a schema, of its own for each test."""
    return place_of(f"t{next(COUNT)}", Secret(server.url))


@pytest.mark.parametrize("back_end", ["postgresql", "sqlite"])
def test_a_writer_killed_in_the_middle_leaves_a_whole_chain(server: Server, tmp_path: Path, back_end: str) -> None:
    """Kill -9 while it writes, six times: every record that is there is whole, and the next run continues at once."""
    url = server.url if back_end == "postgresql" else f"sqlite:///{tmp_path}/lab.sqlite"
    reader = Journal.open(place_of("lab", Secret(url)), redactor=Redactor())
    for delay_s in (0.0, 0.02, 0.05, 0.11, 0.17, 0.31):
        environment = {**os.environ, "LONGSHORE_STATE": url}
        with subprocess.Popen(
            [sys.executable, "-c", WRITER], cwd=at_hand.ROOT, env=environment, stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            run_id = writer.stdout.readline().decode().strip()
            time.sleep(delay_s)
            writer.send_signal(signal.SIGKILL)
        records = reader.records(run_id=run_id)
        assert records
        assert chain_problems(records) == []

    assert max(len(reader.records(run_id=one.run_id)) for one in reader.records(kind="run_started")) > 3
    reader.start_run(command="next")


def test_a_server_that_restarts_costs_no_record(server: Server, place: JournalLocation) -> None:
    """Its connections die in the middle of a run: the run waits, writes, and no record stands twice or is missing."""
    run = Journal.open(place, redactor=Redactor()).start_run(command="x")
    server.docker("restart", "--time", "1")
    for number in range(5):
        run.record("result", key=str(number), body={})

    records = run.journal.records(run_id=run.id)
    assert len(records) == 6
    assert chain_problems(records) == []


def test_a_server_that_is_not_there_is_one_message(place: JournalLocation) -> None:
    """Without its password, and it becomes UNKNOWN, not a stack of frames."""
    gone = place_of(
        "lab", Secret(f"postgresql://postgres:{PASSWORD.replace('%', '%25').replace('/', '%2F')}@127.0.0.1:9/state")
    )

    with pytest.raises(
        UnreachableError, match=r"postgresql://postgres@127.0.0.1:9/state .*the journal's server"
    ) as error:
        Journal.open(gone, redactor=Redactor())

    assert "Jour-nal" not in str(error.value)


def test_a_server_that_answers_from_a_moved_host_is_refused(server: Server, place: JournalLocation) -> None:
    """Whatever name led there, a forward too: the server itself gives its address."""
    seen = server.docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}").strip()
    scope = build_scope(make_inventory(), make_plan(), make_environment(("hosts/wf005/address", seen)))

    with pytest.raises(InputError, match="its server is wf005, a host of the inventory"):
        refuse_moved_server(Journal.open(place, redactor=Redactor()), scope)


def test_a_world_that_is_gone_keeps_its_journal_aside(place: JournalLocation) -> None:
    """Its schema gets another name; the next world starts empty."""
    Journal.open(place, redactor=Redactor()).start_run(command="x")

    assert archive_store(place, "20260101") == f"{place.schema}_20260101"
    assert Journal.open(place, redactor=Redactor()).records() == []


def test_another_programs_schema_is_refused_untouched(server: Server, place: JournalLocation) -> None:
    """Tables that are not ours stay alone."""
    engine = Journal.open(place, redactor=Redactor()).engine
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version, records, samples")
        connection.exec_driver_sql("CREATE TABLE grafana (id int)")

    with pytest.raises(InputError, match="is not a journal: a database with tables grafana"):
        Journal.open(place, redactor=Redactor())


@pytest.mark.full
def test_a_phase_writes_there_and_status_reads_it(
    raised_lab: None, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LONGSHORE_STATE alone moves the record: no file appears, and the password is in no output and no evidence."""
    monkeypatch.setenv("LONGSHORE_STATE", server.url)
    before = at_hand.JOURNAL.stat().st_mtime_ns if at_hand.JOURNAL.exists() else None

    ran = at_hand.run_phase("preflight", "--service", "redis")
    status = at_hand.run_command("status", "--lab")
    from_flag = at_hand.run_command("status", "--lab", "--state", server.url)

    assert at_hand.rows_of(ran)
    assert status.code == from_flag.code == 0, status.output + from_flag.output
    assert ran.folder is not None
    written = b"".join(file.read_bytes() for file in ran.folder.rglob("*") if file.is_file()).decode()
    for text in (ran.output, status.output, from_flag.output, written):
        assert "Jour-nal" not in text
    assert (at_hand.JOURNAL.stat().st_mtime_ns if at_hand.JOURNAL.exists() else None) == before
