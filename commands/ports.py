"""List published ports, conflicts now and after the moves, and the smallest remap: ports --lab | --environment NAME |
PATH… .
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.table import Table as Drawn

from checks.ports.local_scan import scan_paths
from checks.ports.report import PortReport, as_json, report_of
from checks.ports.tables import tables_of
from engine.config.loading import load_files
from engine.config.plan_editing import with_remaps
from engine.config.scope import Scope
from engine.errors import InputError
from engine.finding import say
from engine.redaction.guarded_console import open_screen
from engine.report_sections import Table
from engine.run.options import Options, add_flags, read_options
from engine.verdict import ExitCode
from hosts.fleet import open_hosts
from phases.context.open_journal import find_journal
from phases.context.run_context import where_now
from phases.context.scope_files import load_scope, ssh_config_of
from phases.preflight.port_scan import scan_ports, scanned_hosts


def main(argv: list[str]) -> int:
    """Scan an environment's hosts, or local paths; exit 1 for a conflict or a place not understood, 2 when a host of
    the plan was not seen.
    """
    parser = argparse.ArgumentParser(prog="ports", description=__doc__)
    parser.add_argument(
        "paths", nargs="*", type=Path, help="local compose files, or folders to search for them, instead of hosts"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--write", action="store_true", help="add the proposed remaps to the plan and print the difference"
    )
    add_flags(parser.add_argument, "--environment", "--lab", "--inventory", "--plan", "--ssh-config", "--state")
    parsed = parser.parse_args(argv)
    if parsed.paths:
        if parsed.lab or parsed.environment or parsed.write:
            raise InputError(
                say(
                    "ports: paths are of this machine: expected no environment and no --write together with them. "
                    "Give one or the other"
                )
            )
        return show_paths(parsed.paths, json_wanted=parsed.json)
    options = read_options(lambda name: getattr(parsed, name, None), argv)
    scope = load_scope(options, ports_taken=False)
    report = _scan(scope, options)
    difference = _write(options, report) if parsed.write else ""
    _show(report, difference, json_wanted=parsed.json)
    return exit_code_of(report, scope, written=bool(difference))


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


def _scan(scope: Scope, options: Options) -> PortReport:
    journal, ssh_config = find_journal(options), ssh_config_of(options, scope)
    names = [host for host in scanned_hosts(scope) if host in scope.environment.hosts]
    with open_hosts(names, scope.environment, ssh_config) as fleet:
        return scan_ports(scope, fleet, where_now(scope, journal)).report


def _show(report: PortReport, difference: str, *, json_wanted: bool) -> None:
    if json_wanted:
        print(json.dumps({**as_json(report), "difference": difference}, indent=1))
        return
    show(report, json_wanted=False)
    for conflict in report.unsolved:
        print(f"still in conflict with the remaps: {conflict.text()}", file=sys.stderr)
    if difference:
        print(difference)
        print("written. The plan is another one now: run preflight again, and have it approved again")
    elif report.remaps:
        print("To write these remaps into the plan: add --write")


def _write(options: Options, report: PortReport) -> str:
    """Write the remaps into the plan and return the difference; raises InputError, nothing written, when the plan would
    be wrong.
    """
    remaps: dict[str, dict[str, int]] = {}
    for remap in report.remaps:
        remaps.setdefault(remap.service, {})[remap.key] = remap.to
    before = options.plan.read_text(encoding="utf-8")
    after = with_remaps(before, remaps, is_json=options.plan.suffix == ".json")
    if after == before:
        return ""
    trial = options.plan.with_name(f".{options.plan.stem}-remapped{options.plan.suffix}")
    try:
        trial.write_text(after, encoding="utf-8")
        load_files(options.inventory, trial, options.environment_file)
        trial.replace(options.plan)
    finally:
        trial.unlink(missing_ok=True)
    name = str(options.plan)
    return "".join(difflib.unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), name, name))


def exit_code_of(report: PortReport, scope: Scope, *, written: bool = False) -> ExitCode:
    """Return what a scan's result means; a host outside the plan that does not answer is shown, and counts for nothing
    else.

    Once the remaps are written, what is left of the moves' conflicts counts.
    """
    of_moves = report.unsolved if written else report.after
    if any(conflict.blocks for conflict in (*report.now, *of_moves)) or has_troubles(report):
        return ExitCode.FAILED
    return ExitCode.INCOMPLETE if set(report.unseen) & set(scope.hosts) else ExitCode.OK
