"""The operator's machine is lost in the middle of a move: another one takes over with what the hosts themselves kept."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import at_hand
from tests.lab.at_hand import JOURNAL, ROOT, SOURCE

pytestmark = pytest.mark.lab
TARGET = "wf001"


def _begin_and_lose(tmp_path: Path) -> None:
    """Start the move of redis, kill it once its data is copied, and take away all that this machine knew."""
    migrate = [sys.executable, "-m", "commands", "migrate", "--lab", "--service", "redis", "--apply"]
    before = at_hand.last_seq()
    with (
        (tmp_path / "killed.log").open("w") as log,
        subprocess.Popen(migrate, cwd=ROOT, env=at_hand.plain_environment(), stdout=log, stderr=log) as run,
    ):
        at_hand.wait_for("the copy's outcome", lambda: at_hand.seen_in_journal("outcome", "copy-volumes", before) or run.poll() is not None, 120)
        status = at_hand.run_command("status", "--lab", "--json")
        os.kill(run.pid, signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL, (tmp_path / "killed.log").read_text()[-3000:]
    told = json.loads(status.output)  # while the other process was at work
    assert [move["state"] for move in told["moves"] if move["service"] == "redis"] == ["in_progress"]
    assert [(one["command"], one["apply"]) for one in told["runs"]] == [("migrate", True)]
    for file in (*JOURNAL.parent.glob("lab.sqlite*"), JOURNAL.parent / "lab.lock"):
        shutil.move(file, tmp_path / file.name)


def test_a_lost_journal_is_adopted_and_the_move_finished(fresh_lab: None, tmp_path: Path) -> None:
    """State is gone after kill -9; adopted from the hosts' logs, the move goes on where it stood and nothing is lost."""
    for phase in (("prepare", "--lab", "--apply"), ("preflight", "--lab"), ("approve", "--lab")):
        ran = at_hand.run_command(*phase)
        assert ran.code == 0, ran.output[-3000:]
    acknowledged = at_hand.orders("/state")["redis_acked"]
    _begin_and_lose(tmp_path)

    adopted = at_hand.run_command("adopt", "--lab", "--from-hosts")
    again = at_hand.run_command("adopt", "--lab", "--from-hosts")
    refused = at_hand.run_phase("migrate", "--service", "redis", "--apply")
    finished = at_hand.run_phase("migrate", "--service", "redis", "--apply", "--break-lock", "the operator's machine is lost")
    compared = at_hand.run_command("adopt", "--lab", "--compare")

    assert adopted.code == 0, adopted.output
    assert "redis: in progress" in adopted.output
    assert "--break-lock" in adopted.output
    assert again.code == 4, again.output
    assert refused.code == 3, refused.output[-2000:]
    assert f"{SOURCE}: locked by" in refused.output or f"{TARGET}: locked by" in refused.output
    assert finished.code == 0, finished.output[-4000:]
    assert compared.code == 0, compared.output
    assert at_hand.inspect(TARGET, "redis")["State"]["Running"]
    assert not at_hand.inspect(SOURCE, "redis-moved")["State"]["Running"]
    at_hand.assert_data_flows()
    assert at_hand.orders("/state")["redis_acked"] > acknowledged
