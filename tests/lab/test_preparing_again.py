"""Prepare under load and killed at any moment: it resumes each time, and what other people have on the hosts stays."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from tests.lab import at_hand
from tests.lab.at_hand import HOSTS, ROOT
from tests.lab.test_drills import backup_place

pytestmark = [pytest.mark.lab, pytest.mark.full]

TIMES: Final = 10
BUSY: Final = 2
FOREIGN: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIForeign{number} admin{number}"
KEYS: Final = "/root/.ssh/authorized_keys"
LONGEST_S: Final = 1500.0
SHORTER: Final = 0.8
"""A run that ended before its kill was quicker than the one before by so much: it is killed earlier."""


@contextmanager
def load() -> Iterator[None]:
    """Keep as many processors busy as the hosts share."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@pytest.fixture(scope="module")
def with_admins(fresh_lab: None) -> list[str]:
    """Give root of each host five keys of people; return their lines."""
    lines = [FOREIGN.format(number=number) for number in range(5)]
    for host in HOSTS:
        at_hand.on_host(
            host,
            "sh",
            "-c",
            f"mkdir -p -m 0700 /root/.ssh; cat >> {KEYS}",
            stdin="".join(f"{line}\n" for line in lines).encode(),
        )
    return lines


def assert_prepared(ran: at_hand.Ran, what: str) -> None:
    """All that a program prepares passed: what people attest may still wait (exit status 2)."""
    wrong = [line for line in ran.output.splitlines() if line.startswith(("  FAILED", "  UNKNOWN", "  NOT_RUN"))]
    assert ran.code in {0, 2}, f"{what}: {ran.output[-3000:]}"
    assert not wrong, f"{what}: {ran.output[-3000:]}"


def assert_nothing_left(lines: list[str]) -> None:
    """Each person's key is there, no key of ours, no lock in the repository, no secret in memory."""
    for host in HOSTS:
        keys = at_hand.on_host(host, "cat", KEYS).splitlines()
        assert [line for line in keys if line in lines] == lines, host
        assert not [line for line in keys if "longshore:" in line], host
        assert not at_hand.on_host(
            host, "sh", "-c", "ls -d /run/longshore-* /root/.ssh/.longshore* 2>/dev/null; true"
        ).split(), host
    host, path = backup_place()
    assert not at_hand.on_host(host, "ls", f"{path}/locks").split()


def prepare(what: str) -> float:
    """Prepare everything, see that it passed, and return the seconds that it took."""
    begun = time.monotonic()
    assert_prepared(at_hand.run_phase("prepare", "--apply", timeout_s=LONGEST_S), what)
    return time.monotonic() - begun


def killed_after(seconds: float) -> bool:
    """Start a prepare and kill it with all that it started here; return whether it still ran then."""
    command = [sys.executable, "-m", "commands", "prepare", "--lab", "--apply"]
    running = subprocess.Popen(
        command,
        cwd=ROOT,
        env=at_hand.plain_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(seconds)
    ran = running.poll() is None
    if ran:
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    return ran


def test_prepare_passes_each_time_under_load(with_admins: list[str]) -> None:
    """Ten ordinary runs in a row, services side by side: the keys that they open and close on a host do not meet."""
    with load():
        for number in range(TIMES):
            prepare(f"run {number}")
    assert_nothing_left(with_admins)


def test_a_killed_prepare_resumes(with_admins: list[str]) -> None:
    """Killed once in each tenth of its time, it passes again: nothing of the dead run stands in its way."""
    chance = random.Random(2026)
    length_s = prepare("the run that shows how long one takes")
    for number in range(TIMES):
        part = (number + chance.random()) / TIMES
        while not killed_after(part * length_s):
            length_s *= SHORTER
        length_s = prepare(f"killed after {part * length_s:.1f} of {length_s:.1f} s (number {number})")
    assert_nothing_left(with_admins)
