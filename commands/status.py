"""Show where every move stands, also while another process runs: status --lab | --environment NAME [--json]."""

from __future__ import annotations

import argparse
import json

from rich.console import Console
from rich.table import Table

from engine.options import add_flags, read_options
from moves.opening import read_journal
from moves.session import load_scope


def main(argv: list[str]) -> int:
    """Print one line per move of the plan."""
    parser = argparse.ArgumentParser(prog="status", description=__doc__)
    parser.add_argument("--json", action="store_true", help="for programs")
    add_flags(parser.add_argument)
    parsed = parser.parse_args(argv)
    options = read_options(lambda name: getattr(parsed, name), argv)
    scope = load_scope(options)
    journal = read_journal(options)
    rows = []
    for move in scope.moves:
        state, last = journal.last("move_state", service=move.service), journal.last("outcome", service=move.service)
        outage = journal.last("outage", service=move.service)
        rows.append(
            {
                "service": move.service,
                "source": move.source,
                "target": move.target,
                "state": str(state.body["state"]) if state else "planned",
                "since": state.at if state else None,
                "last_action": last.key if last else None,
                "outage_s": outage.body["seconds"] if outage else None,
            }
        )
    _print(rows, as_json=parsed.json)
    return 0


def _print(rows: list[dict[str, object]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table("service", "from", "to", "state", "since (UTC)", "last action", "outage")
    for row in rows:
        outage = f"{row['outage_s']:.1f} s" if row["outage_s"] is not None else "–"
        since = str(row["since"] or "–")[:19]
        table.add_row(*(str(row[key]) for key in ("service", "source", "target", "state")), since, str(row["last_action"] or "–"), outage)
    Console().print(table)
