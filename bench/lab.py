"""Rows of the lab and the rehearsal: how long a person waits."""

from __future__ import annotations

import subprocess
import sys

from bench.row import Row, median_and_spread, seconds
from engine.errors import ActionError


def _command(*argv: str) -> None:
    answer = subprocess.run([sys.executable, "-m", "commands", *argv], capture_output=True, text=True, check=False)
    if answer.returncode:
        tail = "\n".join((answer.stdout + answer.stderr).splitlines()[-15:])
        raise ActionError(f"{' '.join(argv)}: exit status {answer.returncode}\n{tail}")


def lab_up() -> Row:
    """Measure raising the lab when its images are built (warm)."""
    figures = []
    for _ in range(2):
        _command("lab", "down")
        figures.append(seconds(lambda: _command("lab", "up")))
    middle, spread = median_and_spread(figures)
    return Row("lab-up", "raise three hosts with their services, warm", "", middle, None, "s", 20, "less", 2, spread)


def lab_reset() -> Row:
    """Measure giving back the untouched hosts."""
    _command("lab", "up")
    figures = [seconds(lambda: _command("lab", "reset")) for _ in range(2)]
    middle, spread = median_and_spread(figures)
    return Row("lab-reset", "give back the untouched hosts", "", middle, None, "s", 15, "less", 2, spread)


def demo_warm() -> Row:
    """Measure the whole rehearsal, lab included, when its images are built."""
    _command("lab", "down")
    taken = seconds(lambda: _command("demo", "--services", "core"))
    return Row("demo-warm", "rehearse the whole migration, warm", "", taken, None, "s", 90, "less", 1, 0.0)
