"""Rows of the lab and the rehearsal: how long a person waits."""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bench.row import Row, median_and_spread, seconds
from engine.config.environment import load_environment
from engine.errors import ActionError

REDIS: Final = 6379
REQUESTS: Final = 5000
RELAY_RUNS: Final = 3
WAIT_S: Final = 10.0


def run_command(*argv: str) -> None:
    """Run one of our commands; raises ActionError with its last words."""
    answer = subprocess.run([sys.executable, "-m", "commands", *argv], capture_output=True, text=True, check=False)
    if answer.returncode:
        tail = "\n".join((answer.stdout + answer.stderr).splitlines()[-15:])
        raise ActionError(f"{' '.join(argv)}: exit status {answer.returncode}\n{tail}")


def lab_up() -> Row:
    """Measure raising the lab when its images are built (warm)."""
    figures = []
    for _ in range(2):
        run_command("lab", "down")
        figures.append(seconds(lambda: run_command("lab", "up")))
    middle, spread = median_and_spread(figures)
    return Row("lab-up", "raise three hosts with their services, warm", "", middle, None, "s", 20, "less", 2, spread)


def lab_reset() -> Row:
    """Measure giving back the untouched hosts."""
    run_command("lab", "up")
    figures = [seconds(lambda: run_command("lab", "reset")) for _ in range(2)]
    middle, spread = median_and_spread(figures)
    return Row("lab-reset", "give back the untouched hosts", "", middle, None, "s", 15, "less", 2, spread)


def demo_warm() -> Row:
    """Measure the whole rehearsal, lab included, when its images are built."""
    run_command("lab", "down")
    taken = seconds(lambda: run_command("demo", "--services", "core"))
    return Row("demo-warm", "rehearse the whole migration, warm", "", taken, None, "s", 90, "less", 1, 0.0)


def demo_13_warm() -> Row:
    """Measure the whole rehearsal of all thirteen services when its images and disks are kept."""
    run_command("lab", "reset", "--services", "all")
    run_command("lab", "down")
    taken = seconds(lambda: run_command("demo", "--services", "all"))
    return Row(
        "demo-13-warm",
        "rehearse the migration of all thirteen services, warm",
        "",
        taken,
        None,
        "s",
        480,
        "less",
        1,
        0.0,
    )


def forwarder() -> Row:
    """Measure what a relay adds to a request: redis under its old address and under its new one, in turn, in a lab
    after its demo.
    """
    hosts = load_environment(Path("environments/lab.yaml")).hosts
    added, theirs = [], []
    for _ in range(RELAY_RUNS):
        relayed, direct = _answer_times(hosts["wf005"].address, hosts["wf001"].address)
        added.append((relayed - direct) * 1000)
        theirs.append(direct * 1000)
    middle, spread = median_and_spread(added)
    work = (
        f"added by a relay to one request of redis, median of {REQUESTS} ({statistics.median(theirs):.2f} ms without)"
    )
    return Row("forwarder", work, "", middle, None, "ms", 1, "less", RELAY_RUNS, spread)


def _answer_times(*addresses: str) -> list[float]:
    """Return the median seconds of a request at each address; a question without password is answered with
    a refusal.
    """
    connections = []
    for address in addresses:
        try:
            connections.append(socket.create_connection((address, REDIS), timeout=WAIT_S))
        except OSError as error:
            raise ActionError(
                f"redis at {address}:{REDIS}: {error}. Expected: a lab after its demo. Try: python -m commands demo"
            ) from error
    taken: list[list[float]] = [[] for _ in connections]
    try:
        for _ in range(REQUESTS):
            for connection, figures in zip(connections, taken, strict=True):
                started = time.perf_counter()
                connection.sendall(b"PING\r\n")
                connection.recv(200)
                figures.append(time.perf_counter() - started)
    finally:
        for connection in connections:
            connection.close()
    return [statistics.median(figures) for figures in taken]
