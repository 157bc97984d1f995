"""The port scanner of local paths on the command line: ports PATH… [--json]."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.table import Table as Drawn

from checks.compose_search import scan_paths
from checks.port_report import PortReport, as_json, report_of
from checks.port_tables import tables_of
from engine.console import open_screen
from engine.errors import InputError
from engine.tables import Table
from engine.verdict import ExitCode


def main(argv: list[str]) -> int:
    """Scan the compose files at and below the paths; exit 1 when two want one port or a place was not understood, 4 for a wrong path."""
    parser = argparse.ArgumentParser(prog="ports", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, help="compose files, or folders to search for them")
    parser.add_argument("--json", action="store_true", help="for programs")
    parsed = parser.parse_args(argv)
    try:
        return show_paths(parsed.paths, json_wanted=parsed.json)
    except InputError as error:
        print(error, file=sys.stderr)
        return ExitCode.WRONG_INPUT


def show_paths(paths: Iterable[Path], *, json_wanted: bool) -> int:
    """Scan local paths and print what was found; raises InputError for a path that is not there."""
    report = report_of([scan_paths(paths)])
    show(report, json_wanted=json_wanted)
    return ExitCode.FAILED if report.now or has_troubles(report) else ExitCode.OK


def has_troubles(report: PortReport) -> bool:
    """Return whether a place in a compose file was not understood."""
    return any(project.troubles for scan in report.scans for project in scan.projects)


def show(report: PortReport, *, json_wanted: bool) -> None:
    """Print a report as tables, or as JSON."""
    if json_wanted:
        print(json.dumps(as_json(report), indent=1))
        return
    console = open_screen()
    for table in tables_of(report):
        console.print(draw(table))


def draw(table: Table) -> Drawn:
    """Return a table as the console draws it."""
    drawn = Drawn(*table.columns, title=table.title, title_justify="left")
    for row in table.rows:
        drawn.add_row(*(_escaped(cell) for cell in row))
    return drawn


def _escaped(text: str) -> str:
    """Return a text in which square brackets are no markup: [::1] is an address."""
    return text.replace("[", r"\[")
