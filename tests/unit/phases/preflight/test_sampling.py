"""Samples: one small command a host, kept next to the journal, shown as a baseline."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from checks.capacity.baseline import load_of
from commands import sample as command
from commands.sample import _show, _take
from engine.errors import InputError, NotObservedError
from engine.journal.journal import Journal
from engine.journal.samples import DiskUse, Sample, read_samples, write_samples
from engine.redaction.redactor import Redactor
from hosts.facts.system import Usage
from hosts.facts.usage import SCRIPT, parse_load, read_load
from phases.preflight.sampling import KEPT, baseline_table, take_samples
from tests.fakes.host import FakeHost

ID: Final = "a" * 64
MARK: Final = "==m=="
ANSWER: Final = f"""{MARK} memory
MemTotal:       8000 kB
MemAvailable:   5000 kB
{MARK} processor
cpu  100 0 100 800 0 0 0 0 0 0
{MARK} containers
{ID} redis
{"b" * 64} n8n
{MARK} usage
docker/{ID}/memory.current:3000
docker/{ID}/memory.stat:inactive_file 1000
docker/{ID}/cpu.stat:usage_usec 1500000
{MARK} blocks
docker/{ID}/io.stat:
docker/{ID}/io.stat:8:0 rbytes=1000 wbytes=200 rios=3 wios=1 dbytes=0 dios=0
docker/{ID}/io.stat:7:0 rbytes=50 wbytes=0 rios=1 wios=0 dbytes=0 dios=0
{MARK} disks
sda
{MARK} diskstats
   7       0 loop0 9 0 9 9 0 0 0 0 0 9 9
   8       0 sda 100 0 2000 50 40 0 4000 80 0 2500 130 0 0 0 0 0 0
   8       1 sda1 100 0 2000 50 40 0 4000 80 0 2500 130 0 0 0 0 0 0
{MARK} end
"""


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Return an empty journal."""
    return Journal.open(tmp_path / "lab.sqlite", redactor=Redactor())


class Answering(FakeHost):
    """A host that reports what it uses, with the mark that it was asked with."""

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> Any:
        """Answer with this trip's mark."""
        self.answers = {"sh -s": (0, ANSWER.replace(MARK, argv[3]), "")}
        return super().run(argv, stdin=stdin, timeout_s=timeout_s)


def test_a_host_and_its_containers_are_read() -> None:
    """Memory in bytes, processor seconds; a container whose control group was not found has neither, which is not 0."""
    assert parse_load(ANSWER, MARK) == {
        "": Usage(3000 * 1024, 2.0, {"sda": DiskUse(2.5, 2000 * 512, 4000 * 512)}),
        "redis": Usage(2000, 1.5, {"sda": DiskUse(None, 1000, 200), "": DiskUse(None, 50, 0)}),
        "n8n": Usage(None, None),
    }


def test_a_host_that_reports_no_disk_has_none() -> None:
    """A file system that lies on no block device (a network's, ZFS): not known, for its containers too,
    which is not 0.
    """
    seen = parse_load(ANSWER.replace(f"{MARK} disks\nsda\n", f"{MARK} disks\n"), MARK)

    assert [usage.disks for usage in seen.values()] == [None, None, None]


def test_an_answer_that_was_cut_off_is_none() -> None:
    """Half a list of containers would look like containers that are gone."""
    with pytest.raises(NotObservedError, match=r"wf005: what it uses could not be read.*ssh wf005 docker ps"):
        read_load(FakeHost("wf005", {"sh -s": (0, "x memory\n", "")}))


def test_a_dead_host_does_not_cost_the_others_their_sample() -> None:
    """The output gives its reason."""
    fleet: Any = {"wf001": Answering("wf001"), "wf005": FakeHost("wf005", {"sh -s": (1, "", "no docker")})}
    samples, missing = take_samples(fleet, ["wf001", "wf005"])

    assert {(one.host, one.container) for one in samples} == {("wf001", ""), ("wf001", "redis"), ("wf001", "n8n")}
    assert list(missing) == ["wf005"]


def test_samples_are_taken_at_even_distances_and_old_ones_forgotten(
    journal: Journal, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rounds of one host of two; whoever watches the exit status learns that one was missing."""
    slept: list[float] = []
    monkeypatch.setattr(command.time, "sleep", slept.append)
    old = datetime.now(UTC) - KEPT - timedelta(days=1)
    write_samples(journal, [Sample(old, "wf001", "", 1, 1.0)])
    fleet: Any = {"wf001": Answering("wf001"), "wf005": FakeHost("wf005", {"sh -s": (1, "", "no docker")})}
    scope: Any = SimpleNamespace(hosts=("wf001", "wf005"))

    assert _take(fleet, scope, journal, 2, 60.0)
    assert [round(seconds) for seconds in slept] == [60]
    assert len(read_samples(journal, old)) == 6
    output = capsys.readouterr()
    assert "3 samples of 1 of 2 hosts kept" in output.out
    assert "1 samples older than 35 days were forgotten" in output.out
    assert "no sample: wf005" in output.err


def test_the_baseline_is_shown(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    """Without samples: how to get some."""
    assert _show(journal) == 2
    assert _show(None) == 2
    start = datetime.now(UTC) - timedelta(hours=2)
    write_samples(
        journal, [Sample(start + timedelta(hours=hour), "wf001", "redis", 2**20, 3600.0 * hour) for hour in range(3)]
    )

    assert _show(journal) == 0
    assert "docs/sampling.md" in capsys.readouterr().out
    assert baseline_table(read_samples(journal, start)).rows == (
        ("wf001", "redis", "1 MiB", "1.00", "not known", "3", "2.0"),
    )


def test_two_samples_within_a_second_show_the_processors(journal: Journal) -> None:
    """A time that is kept in whole seconds would make one moment of the two, and a rate of a minute wrong by a
    sixtieth.
    """
    start = datetime(2026, 1, 1, 12, 0, 0, 100_000, tzinfo=UTC)
    write_samples(
        journal,
        [Sample(start + timedelta(milliseconds=500 * turn), "wf001", "redis", 1, 1.0 * turn) for turn in range(2)],
    )

    assert load_of(read_samples(journal, start), "wf001", "redis").processors == 2.0


@pytest.mark.parametrize("flags", [["--count", "0"], ["--every", "0"]])
def test_a_sample_of_nothing_is_refused(flags: list[str]) -> None:
    """Before anything is opened."""
    with pytest.raises(InputError, match="expected at least 1 sample"):
        command.main(["--lab", *flags])


def test_the_script_is_read_by_a_real_shell(tmp_path: Path, local_program: None) -> None:
    """With an engine of this test: the script reports the host, and the container by its name."""
    docker = tmp_path / "docker"
    docker.write_text(
        f"#!/bin/sh\ncase $1 in info) echo {tmp_path} ;; inspect) echo /nowhere ;; *) echo '{ID} redis' ;; esac\n",
        encoding="utf-8",
    )
    docker.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    answer = subprocess.run(["sh", "-s", "--", MARK], input=SCRIPT, capture_output=True, check=True, env=environment)
    seen = parse_load(answer.stdout.decode(), MARK)

    assert set(seen) == {"", "redis"}
    assert (seen[""].memory_bytes or 0) > 0
    assert (seen[""].cpu_s or 0) > 0
    assert seen[""].disks is None or all((use.busy_s or 0) >= 0 for use in seen[""].disks.values())
