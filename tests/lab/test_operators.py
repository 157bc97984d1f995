"""Several operators at the same hosts, and one who presses Ctrl-C: the second is refused, a third takes over, the first
changes nothing any more.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.lab import at_hand, killing
from tests.lab.at_hand import JOURNAL, ROOT

FLAGS: Final = ("--lab", "--apply", "--service", "redis")
ROOMS: Final = (
    "engine",
    "hosts",
    "services",
    "checks",
    "actions",
    "phases",
    "runbooks",
    "commands",
    "lab",
    "environments",
    "approvals",
    "schemas",
)
FILES: Final = ("inventory.yaml", "migration_plan.json", "conftest.py", "pyproject.toml")
WAIT_S: Final = 300.0

pytestmark = [pytest.mark.lab, pytest.mark.full]


@pytest.fixture
def approved(raised_lab: None) -> dict[str, Any]:
    """Preflight and approve redis' move on the prepared lab; return what was acknowledged until then."""
    at_hand.prepared_lab()
    at_hand.preflight_and_approve("--service", "redis")
    return at_hand.orders("/state")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """Return the checkout of somebody else, with the environment's files and no journal of their own."""
    for name in ROOMS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy2(ROOT / name, tmp_path / name)
    yield tmp_path
    shutil.rmtree(tmp_path)


def _at(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "commands", *argv]
    return subprocess.run(
        words, cwd=folder, env=at_hand.plain_environment(), capture_output=True, text=True, timeout=300, check=False
    )


def _wait_for_record(child: subprocess.Popen[str], kind: str, key: str, after: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while not at_hand.seen_in_journal(kind, key, after):
        assert child.poll() is None, child.communicate()[0][-3000:]
        assert time.monotonic() < deadline, f"{kind} {key}: not seen within {WAIT_S:.0f} s"
        time.sleep(0.02)


def test_second_is_refused_third_takes_over_first_changes_nothing(approved: dict[str, Any], elsewhere: Path) -> None:
    """A suspended run keeps others out by name; whoever breaks its lock with a reason finishes the move; woken, it only
    says so.
    """
    last = at_hand.last_seq()
    first = killing.start("migrate", *FLAGS)
    try:
        _wait_for_record(first, "outcome", "stop-source", last)
        os.kill(first.pid, signal.SIGSTOP)

        same_machine = at_hand.run_command("migrate", *FLAGS)
        assert same_machine.code == 3
        assert f"pid {first.pid}" in same_machine.output

        with (
            sqlite3.connect(f"file:{JOURNAL}?mode=ro", uri=True) as source,
            sqlite3.connect(elsewhere / "journal.sqlite") as copy,
        ):
            source.backup(copy)
        shutil.copytree(ROOT / "state" / "lab", elsewhere / "state" / "lab")
        (elsewhere / "journal.sqlite").rename(elsewhere / "state" / "lab.sqlite")
        other_machine = _at(elsewhere, "migrate", *FLAGS)
        assert other_machine.returncode == 3, other_machine.stdout[-3000:] + other_machine.stderr[-3000:]
        assert "locked by" in other_machine.stdout + other_machine.stderr
        assert "nox -s lock -- status" in other_machine.stdout + other_machine.stderr

        third = _at(elsewhere, "migrate", *FLAGS, "--break-lock", "its laptop is asleep, agreed by phone")
        assert third.returncode == 0, third.stdout[-4000:] + third.stderr[-2000:]
        before = at_hand.snapshot()
        os.kill(first.pid, signal.SIGCONT)
        output = first.communicate(timeout=WAIT_S)[0]
    finally:
        if first.poll() is None:
            first.kill()
    assert first.returncode != 0
    assert "the lock of this run is gone" in output, output[-3000:]
    assert at_hand.snapshot() == before
    assert killing.both_sides("redis") == (False, True)
    assert killing.lost_writes(approved) == []
    assert killing.leftovers() == []


def test_ctrl_c_in_a_copy_undoes_the_move(approved: dict[str, Any]) -> None:
    """Ctrl-C in the terminal reaches nox and all below it: the move is undone to its end, the service serves, and the
    output names the evidence and the commands.
    """
    last = at_hand.last_seq()
    words = [sys.executable, "-m", "nox", "-s", "migrate", "--", *FLAGS]
    child = subprocess.Popen(
        words,
        cwd=ROOT,
        env=at_hand.plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    _wait_for_record(child, "intent", "copy-volumes", last)
    os.killpg(child.pid, signal.SIGINT)
    output = child.communicate(timeout=WAIT_S)[0]
    assert child.returncode != 0
    assert killing.both_sides("redis") == (True, False)
    assert [seen.body["state"] for seen in killing.records_after(last) if seen.kind == "move_state"] == [
        "in_progress",
        "undone",
    ]
    assert "evidence: " in output, output[-3000:]
    assert "nox -s migrate -- " in output
    assert killing.lost_writes(approved) == []
    assert killing.leftovers() == []
