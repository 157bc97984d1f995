"""The operator's machine is lost in the middle of a move: another one takes over with what the hosts
themselves kept.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from ruamel.yaml import YAML

from tests.lab import at_hand
from tests.lab.at_hand import JOURNAL, ROOT, SOURCE

pytestmark = [pytest.mark.lab, pytest.mark.full]
TARGET: Final = "wf001"


HOOKED: Final = "/var/tmp/hooked"


def _inventory_with_hooks(folder: Path) -> str:
    """Return the inventory with commands of the operator's own around the move of redis."""
    yaml, file = YAML(), folder / "inventory.yaml"
    content = yaml.load(ROOT / "inventory.yaml")
    touch = {"argv": ["touch", HOOKED], "timeout_s": 10}
    content["services"]["redis"]["hooks"] = {"before_hold": touch, "after_commit": touch}
    yaml.dump(content, file)
    return str(file)


def _begin_and_lose(tmp_path: Path, inventory: str) -> None:
    """Start the move of redis, kill it once its data is copied, and take away all that this machine knew."""
    migrate = [
        sys.executable,
        "-m",
        "commands",
        "migrate",
        "--lab",
        "--service",
        "redis",
        "--apply",
        "--inventory",
        inventory,
    ]
    before, said = at_hand.last_seq(), tmp_path / "killed.log"
    with (
        said.open("w") as log,
        subprocess.Popen(migrate, cwd=ROOT, env=at_hand.plain_environment(), stdout=log, stderr=log) as run,
    ):
        at_hand.wait_for(
            "the copy's outcome",
            lambda: at_hand.seen_in_journal("outcome", "copy-volumes", before) or run.poll() is not None,
            120,
        )
        status = at_hand.run_command("status", "--lab", "--json")
        os.kill(run.pid, signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL, said.read_text()[-3000:]
    shown = json.loads(status.output)  # while the other process was at work
    assert [move["state"] for move in shown["moves"] if move["service"] == "redis"] == ["in_progress"]
    assert [(one["command"], one["apply"]) for one in shown["runs"]] == [("migrate", True)]
    for file in (*JOURNAL.parent.glob("lab.sqlite*"), JOURNAL.parent / "lab.lock"):
        shutil.move(file, tmp_path / file.name)


def test_a_lost_journal_is_adopted_and_the_move_finished(prepared_lab: None, tmp_path: Path) -> None:
    """State is gone after kill -9; adopted from the hosts' logs, the move resumes where it stood and nothing is lost.

    The operator's own commands around it were run, each on its host.
    """
    inventory = _inventory_with_hooks(tmp_path)
    files = ("--inventory", inventory, "--service", "redis")
    at_hand.preflight_and_approve(*files)
    acknowledged = at_hand.orders("/state")["redis_acked"]
    _begin_and_lose(tmp_path, inventory)

    adopted = at_hand.run_command("adopt", "--lab", "--from-hosts")
    again = at_hand.run_command("adopt", "--lab", "--from-hosts")
    refused = at_hand.run_phase("migrate", "--apply", *files)
    finished = at_hand.run_phase("migrate", "--apply", "--break-lock", "the operator's machine is lost", *files)
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
    for host in (SOURCE, TARGET):
        assert at_hand.on_host(host, "ls", HOOKED).strip() == HOOKED
    at_hand.assert_data_flows()
    assert at_hand.orders("/state")["redis_acked"] > acknowledged
