"""Shards of one preflight, as processes over many hosts, into one PostgreSQL journal: killed, run again, drawn on one
page.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from engine.errors import ChainConflictError
from engine.journal.journal import Journal, Record, chain_problems
from engine.journal.location import place_of
from engine.redaction.redactor import Redactor, Secret
from engine.sharding.merged_run import STEP, counted, joined_of, run_id_of
from tests.lab import at_hand
from tests.lab.canned import ENVIRONMENT, Canned, canned_hosts
from tests.lab.server import PASSWORD, Server, journal_server

pytestmark = [pytest.mark.lab, pytest.mark.no_hosts]
SHARDS: Final = 3
ASKED: Final = frozenset(
    {
        "ssh-answers",
        "docker-answers",
        "versions",
        "engine-supported",
        "compose-parsed",
        "ports-after-all-moves",
        "links-relayable",
    }
)
"""Steps that hosts with a canned engine pass; no network, so that nobody waits for a product that is not there."""
RUNBOOKS: Final = ("test_hosts.py", "test_services.py")
DEADLINE_S: Final = 300.0


@pytest.fixture(scope="module")
def server(core_images: None) -> Iterator[Server]:
    """Run the journal's server."""
    with journal_server() as started:
        yield started


@pytest.fixture(scope="module")
def canned(core_images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canned]:
    """Serve six hosts."""
    with _served(tmp_path_factory.mktemp("fleet"), 3) as served:
        yield served


@contextmanager
def _served(where: Path, pairs: int) -> Iterator[Canned]:
    """Serve hosts, with those steps in their folder."""
    with canned_hosts(where, pairs) as served:
        folder = served.folder / "runbooks" / "preflight"
        folder.mkdir(parents=True)
        (folder.parent / "conftest.py").write_text("from runbooks.conftest import *\n", encoding="utf-8")
        for name in RUNBOOKS:
            (folder / name).write_text(
                _some_steps((at_hand.ROOT / "runbooks" / "preflight" / name).read_text(encoding="utf-8")),
                encoding="utf-8",
            )
        yield served


def _some_steps(runbook: str) -> str:
    """Return a runbook with those of its steps alone that are asked here."""
    head, *steps = re.split(r"\n\n\n(?=@pytest\.mark\.step)", runbook)
    return "\n\n\n".join(
        [head, *(step for step in steps if re.match(r'@pytest\.mark\.step\("([a-z-]+)"\)', step)[1] in ASKED)]
    )  # type: ignore[index]


def _start(canned: Canned, url: str, *flags: str) -> subprocess.Popen[str]:
    """Start a preflight with the real composition root over those steps."""
    given = {"LONGSHORE_STATE": url, "PYTHONPATH": str(at_hand.ROOT)}
    root = [
        f"--rootdir={at_hand.ROOT}",
        "-c",
        str(at_hand.ROOT / "pyproject.toml"),
        f"--confcutdir={canned.folder}",
        "-p",
        "engine.run.plugin",
    ]
    argv = [
        sys.executable,
        "-m",
        "pytest",
        str(canned.folder / "runbooks" / "preflight"),
        *root,
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "default",
    ]
    argv += ["--environment", ENVIRONMENT, *flags]
    environment = {**at_hand.plain_environment(), **given}
    return subprocess.Popen(
        argv, cwd=canned.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _end(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=DEADLINE_S)
    return process.returncode, output


def _report(canned: Canned, url: str, run: str) -> tuple[int, str]:
    environment = {**at_hand.plain_environment(), "LONGSHORE_STATE": url, "PYTHONPATH": str(at_hand.ROOT)}
    argv = [sys.executable, "-m", "commands", "report", run, "--environment", ENVIRONMENT]
    ended = subprocess.run(
        argv, cwd=canned.folder, env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr


def _wait(seen: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not seen():
        assert process.poll() is None, _end(process)
        assert time.monotonic() < deadline, "not seen in time"
        time.sleep(0.1)


def _rows(records: list[Record]) -> list[tuple[str, str | None, str]]:
    return sorted(
        (str(one.body["subject"]), one.key, str(one.body["verdict"]))
        for one in counted(records)
        if one.kind == "result" and one.key != STEP
    )


def test_a_shard_that_is_killed_and_run_again(server: Server, canned: Canned) -> None:
    """Three processes write one run: without the killed one it is UNKNOWN and names it; run again, it is PASSED, with
    all rows of a whole run.
    """
    journal = Journal.open(place_of(ENVIRONMENT, Secret(server.url)), redactor=Redactor())
    flags = [("--shard", f"{number}/{SHARDS}", "--run-name", "night") for number in range(1, SHARDS + 1)]
    run_id = run_id_of(ENVIRONMENT, "preflight", "night")
    hit = canned.hosts.index(canned.mortal) // 2 + 1  # three pairs, three shards

    canned.pause()
    doomed = _start(canned, server.url, *flags[hit - 1])
    _wait(lambda: bool(journal.records(run_id=run_id, kind="shard_started")), doomed)
    time.sleep(0.5)  # it waits for the host that answers nothing
    doomed.send_signal(signal.SIGKILL)
    doomed.communicate()
    canned.unpause()
    others = [_start(canned, server.url, *one) for number, one in enumerate(flags, start=1) if number != hit]
    ended = [_end(process) for process in others]

    assert [code for code, _ in ended] == [0, 0], ended
    code, report = _report(canned, server.url, "night")
    assert code == 2, report
    assert f"UNKNOWN: shard {hit}/{SHARDS} never ended" in report
    assert f"{SHARDS - 1} of {SHARDS} shards ended" in report
    records = journal.records(run_id=run_id)
    assert joined_of(records).missing == (hit,)
    assert chain_problems(records) == []

    code, output = _end(_start(canned, server.url, *flags[hit - 1]))
    assert code == 0, output
    code, report = _report(canned, server.url, "night")
    assert code == 0, report
    assert f"{SHARDS} of {SHARDS} shards ended; exit status 0 (OK)" in report
    records = journal.records(run_id=run_id)
    assert chain_problems(records) == []
    page = next(canned.folder.glob(f"reports/{ENVIRONMENT}/*-{run_id[:8]}/report.html")).read_text(encoding="utf-8")
    assert all(f"{number}/{SHARDS}" in page for number in range(1, SHARDS + 1))
    assert PASSWORD not in page + output + report

    code, output = _end(_start(canned, server.url))
    assert code == 0, output
    whole = journal.records(kind="run_started")[-1].run_id
    assert _rows(journal.records(run_id=whole)) == _rows(records)
    assert {one.body["name"] for one in counted(records) if one.kind == "host_observed"} == set(canned.hosts)


def test_workers_of_one_machine_find_what_one_process_finds(server: Server, canned: Canned) -> None:
    """-n 2: the same rows and verdicts, written by one process; each host described once."""
    journal = Journal.open(place_of(ENVIRONMENT, Secret(server.url)), redactor=Redactor())

    code, output = _end(_start(canned, server.url))
    assert code == 0, output
    alone = journal.records(run_id=journal.records(kind="run_started")[-1].run_id)
    code, output = _end(_start(canned, server.url, "-n", "2"))
    assert code == 0, output
    spread = journal.records(run_id=journal.records(kind="run_started")[-1].run_id)

    assert spread[0].run_id != alone[0].run_id
    assert _rows(spread) == _rows(alone)
    assert sorted(one.body["name"] for one in spread if one.kind == "host_observed") == sorted(canned.hosts)
    assert {one.writer for one in spread} == {""}
    assert chain_problems(spread) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--shard", "0/8", "--run-name", "x"), "--shard 0/8: is no shard"),
        (("--shard", "9/8", "--run-name", "x"), "--shard 9/8: is no shard"),
        (("--shard", "1/8"), "its run has no name"),
        (("--shard", "1/2", "--run-name", "taken"), "is another one"),
    ],
)
def test_a_wrong_shard_is_one_message(server: Server, canned: Canned, flags: tuple[str, ...], message: str) -> None:
    """Exit status 4, nothing recorded."""
    journal = Journal.open(place_of(ENVIRONMENT, Secret(server.url)), redactor=Redactor())
    with suppress(ChainConflictError):
        journal.start_run(
            run_id=run_id_of(ENVIRONMENT, "preflight", "taken"), command="preflight", run_name="taken", shards=SHARDS
        )
    before = len(journal.records())
    os.environ.pop("CI_PIPELINE_ID", None)

    code, output = _end(_start(canned, server.url, *flags))

    assert code == 4, output
    assert message in output
    assert "Traceback" not in output
    assert len(journal.records()) == before


@pytest.mark.full
def test_a_hundred_hosts_in_four_shards(server: Server, core_images: None, tmp_path: Path) -> None:
    """The same rows and verdicts as one process finds, from one journal; how long both took is printed."""
    journal = Journal.open(place_of(ENVIRONMENT, Secret(server.url)), redactor=Redactor())
    with _served(tmp_path, 50) as many:
        began = time.monotonic()
        code, output = _end(_start(many, server.url))
        assert code == 0, output[-2000:]
        whole_s = time.monotonic() - began
        whole = journal.records(run_id=journal.records(kind="run_started")[-1].run_id)

        began = time.monotonic()
        parts = [_start(many, server.url, "--shard", f"{number}/4", "--run-name", "hundred") for number in range(1, 5)]
        ended = [_end(part) for part in parts]
        print(
            f"100 hosts: {whole_s:.1f} s in one process, {time.monotonic() - began:.1f} s in four shards on "
            "this machine"
        )
        assert [code for code, _ in ended] == [0] * 4, ended
        records = journal.records(run_id=run_id_of(ENVIRONMENT, "preflight", "hundred"))

    assert _rows(records) == _rows(whole)
    assert len(_rows(whole)) == len(many.hosts) * 5 + 50 * 2
    assert joined_of(records).missing == ()
    assert chain_problems(records) == []
    assert sorted(one.body["name"] for one in counted(records) if one.kind == "host_observed") == sorted(many.hosts)
