"""Show the state of every move, also while another process runs: status --lab | --environment NAME [--json]."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.config.scope import Scope
from engine.journal.journal import Journal
from engine.redaction.guarded_console import open_screen
from engine.run.options import Options, add_flags, read_options
from engine.verdict import ExitCode
from phases.context.open_journal import find_journal
from phases.context.scope_files import load_scope
from phases.signoff.team_messages import window_words
from phases.status.status import MoveStatus, PlanStatus, read_standing

COLOURS: Final = {
    "done": "green",
    "committed": "yellow",
    "in_progress": "yellow",
    "needs_operator": "bold red",
    "undone": "magenta",
}


def main(argv: list[str]) -> int:
    """Print one line per move, the running and unfinished runs, and the next command for each move; hosts are not
    contacted.
    """
    parser = argparse.ArgumentParser(prog="status", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_flags(parser.add_argument)
    parsed = parser.parse_args(argv)
    options = read_options(lambda name: getattr(parsed, name), argv)
    scope, now = load_scope(options), datetime.now(UTC)
    journal = find_journal(options)
    if journal is None and parsed.json:
        print(
            json.dumps(
                {
                    "environment": options.environment,
                    "journal": options.place.text,
                    "moves": [],
                    "runs": [],
                    "locks": [],
                },
                indent=1,
            )
        )
        return ExitCode.OK
    if journal is None:
        print(f"{options.place.text}: not there yet, so nothing has begun. Next: {scope.command('prepare')}")
        return ExitCode.OK
    standing = read_standing(journal, scope, now)
    if parsed.json:
        print(json.dumps(as_json(options, journal, scope, standing), indent=1))
    else:
        draw(open_screen(soft_wrap=True), scope, standing, now)
    return ExitCode.OK


def as_json(options: Options, journal: Journal, scope: Scope, standing: PlanStatus) -> dict[str, object]:
    """Return the standing for programs; keys are only ever added."""
    window = {
        "starts_at": scope.window.starts_at.isoformat(),
        "ends_at": scope.window.ends_at.isoformat(),
        "status": scope.window.status,
    }
    return {"environment": options.environment, "journal": journal.where, "window": window, **asdict(standing)}


def draw(console: Console, scope: Scope, standing: PlanStatus, now: datetime) -> None:
    """Draw the standing for people."""
    console.print(f"environment {scope.environment.environment}; window: {window_words(scope)}")
    table = Table("service", "from → to", "state", "try", "since (UTC)", "last step", "by", "outage")
    for move in standing.moves:
        table.add_row(*_cells(move))
    open_screen().print(table)
    references = (f"reference: {text}" for text in standing.references)
    locks, incidents = (f"hosts: {one}" for one in standing.locks), (f"incident: {one}" for one in standing.incidents)
    for line in (*_run_lines(standing, now), *locks, *references, *incidents):
        console.print(line)
    for move in standing.moves:
        console.print(f"next for {move.service}: {move.next}")


def _cells(move: MoveStatus) -> Iterator[str | Text]:
    yield from (move.service, f"{move.source} → {move.target}")
    colour = COLOURS.get(move.state, "default")
    yield Text(move.state.replace("_", " "), style=colour)
    yield from (str(move.attempt), (move.since or "–")[:19].replace("T", " "), move.last_step or "–", move.by or "–")
    yield f"{move.outage_s:.1f} s" if move.outage_s is not None else "–"


def _run_lines(standing: PlanStatus, now: datetime) -> Iterator[str]:
    for run in standing.runs:
        quiet_s = max(0.0, (now - datetime.fromisoformat(run.last_at)).total_seconds())
        how = "" if run.apply else ", a dry run or a reading one"
        yield (
            f"run {run.run_id[:8]}: {run.command} by {run.operator}{how}, unfinished; last record {quiet_s:.0f} s "
            "ago (still running, or killed)"
        )
