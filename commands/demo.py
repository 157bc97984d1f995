"""Rehearse the whole migration in the lab, from untouched hosts to evidence."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from commands import lab
from engine.errors import LongshoreError
from engine.journal import Record
from engine.options import read_options
from moves.opening import read_journal

PHASES = (
    ["attest", "--lab"],
    ["prepare", "--lab", "--apply"],
    ["preflight", "--lab"],
    ["approve", "--lab"],
    ["migrate", "--lab", "--apply"],
    ["validate", "--lab"],
)


def main(argv: list[str]) -> int:
    """Raise the lab as new, run every phase, and print where the evidence is and each service's outage."""
    console = Console(highlight=False)
    started = time.monotonic()
    console.rule("lab: three Docker hosts, the services on wf005")
    code = _fresh_lab()
    for command in PHASES if not code else ():
        console.rule(" ".join(command))
        code = subprocess.run([sys.executable, "-m", "commands", *command, *argv], check=False).returncode
        if code:
            console.print(f"the rehearsal stopped at {command[0]} with exit status {code}", style="bold red")
            break
    _show(console, time.monotonic() - started)
    return code


def _fresh_lab() -> int:
    sys.stdout.flush()
    return lab.main(["reset"])


def _show(console: Console, seconds: float) -> None:
    table = Table("service", "moved", "outage")
    for record in _outages():
        body = record.body
        table.add_row(str(body["service"]), f"{body['source']} → {body['target']}", f"{body['seconds']:.1f} s ± {body['error_bar_s']:.1f} s")
    console.print(table)
    for report in sorted(Path("reports/lab").glob("latest-*/report.html")):
        console.print(f"evidence: {report}")
    console.print(f"the rehearsal took {seconds:.0f} s. The lab is still up: nox -s lab -- down removes it")


def _outages() -> list[Record]:
    try:
        return read_journal(read_options({"lab": True, "inventory": "", "plan": ""}.get, [])).records(kind="outage")
    except LongshoreError:
        return []  # it stopped before there was one
