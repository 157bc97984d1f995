"""Rehearse the whole migration in the lab, from untouched hosts to evidence: all thirteen services, or with `--services
core` three.
"""

from __future__ import annotations

import subprocess
import sys
import time

from rich.console import Console
from rich.table import Table

from commands import lab
from engine.errors import LongshoreError
from engine.journal.journal import Record
from engine.journal.kinds import RecordKind
from engine.project import REPORTS
from engine.redaction.guarded_console import open_screen
from engine.run.options import read_options
from phases.context.open_journal import read_journal

CHOICE = "--services"
PHASES = (
    ["attest", "--lab"],
    ["prepare", "--lab", "--apply"],
    ["preflight", "--lab"],
    ["approve", "--lab"],
    ["migrate", "--lab", "--apply"],
    ["lab", "names", "wf002"],  # what a person does in the DNS once the proxy is there
    ["attest", "--lab"],
    ["validate", "--lab"],
)


def main(argv: list[str]) -> int:
    """Raise the lab as new, run every phase, and print where the evidence is and each service's outage."""
    console = open_screen()
    started = time.monotonic()
    given, argv = _given_choice(argv)
    console.rule("lab: three Docker hosts, the services on wf005")
    code = _fresh_lab(given or _possible_choice(console))
    for command in PHASES if not code else ():
        console.rule(" ".join(command))
        flags = [] if command[0] == "lab" else argv
        code = subprocess.run([sys.executable, "-m", "commands", *command, *flags], check=False).returncode
        if code:
            console.print(f"the rehearsal stopped at {command[0]} with exit status {code}", style="bold red")
            break
    _show(console, time.monotonic() - started)
    return code


def _given_choice(argv: list[str]) -> tuple[str, list[str]]:
    """Return what `--services` says, empty without it, and the other words, which are for the phases."""
    if CHOICE not in argv:
        return "", argv
    at = argv.index(CHOICE)
    return " ".join(argv[at + 1 : at + 2]) or "nothing", [*argv[:at], *argv[at + 2 :]]


def _possible_choice(console: Console) -> str:
    """Return all services when the images of all are there, can be pulled or can be built; else the core,
    and say so.
    """
    console.print(
        "all thirteen services, if all their images can be had; the first time building them takes a quarter of an hour"
    )
    sys.stdout.flush()
    code = lab.main(["images", CHOICE, "all"])
    if code == lab.INTERRUPTED:
        sys.exit(code)
    if code == 0:
        return "all"
    console.print("not all images can be had here: rehearsing three services only", style="bold yellow")
    return "core"


def _fresh_lab(choice: str) -> int:
    sys.stdout.flush()
    return lab.main(["reset", CHOICE, choice])


def _show(console: Console, seconds: float) -> None:
    table = Table("service", "moved", "outage")
    for record in _outages():
        body = record.body
        table.add_row(
            str(body["service"]),
            f"{body['source']} → {body['target']}",
            f"{body['seconds']:.1f} s ± {body['error_bar_s']:.1f} s",
        )
    console.print(table)
    for report in sorted((REPORTS / "lab").glob("latest-*/report.html")):
        console.print(f"evidence: {report}")
    console.print(f"the rehearsal took {seconds:.0f} s. The lab is still up; to remove it: nox -s lab -- down")


def _outages() -> list[Record]:
    try:
        return read_journal(read_options({"lab": True, "inventory": "", "plan": ""}.get, [])).records(
            kind=RecordKind.OUTAGE
        )
    except LongshoreError:
        return []  # it stopped before there was one
