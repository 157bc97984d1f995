"""Measure this tool and its peers in one run; write reports/bench.json and reports/bench.html."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader
from rich.table import Table

from bench import copies, fleets, manifest, outages, preflight, relays, replicas
from bench.lab import demo_13_warm, demo_warm, forwarder, lab_reset, lab_up
from bench.ports import ports_5000
from bench.report import report_10k, report_10k_bytes, report_10k_filter, report_10k_paint
from bench.row import Row
from engine.errors import InputError
from engine.finding import say
from engine.project import REPORTS
from engine.redaction.guarded_console import open_screen

ROWS: Final[dict[str, Callable[[], Row]]] = {
    "lab-up": lab_up,
    "lab-reset": lab_reset,
    "demo-warm": demo_warm,
    "demo-13-warm": demo_13_warm,
    "forwarder": forwarder,
    "ports-5000": ports_5000,
    "report-10k": report_10k,
    "report-10k-bytes": report_10k_bytes,
    "report-10k-paint": report_10k_paint,
    "report-10k-filter": report_10k_filter,
    **manifest.ROWS,
    **copies.ROWS,
    **outages.ROWS,
    **replicas.ROWS,
    **relays.ROWS,
    **preflight.ROWS,
    **fleets.ROWS,
}
FOLDER: Final = REPORTS
TEMPLATES: Final = Path(__file__).resolve().parent.parent / "bench"


def main(argv: list[str]) -> int:
    """Measure the rows named (all without a name); exit 1 when a goal is missed."""
    unknown = [name for name in argv if name not in ROWS]
    if unknown:
        raise InputError(
            say("bench row {unknown}: not known; known: {rows}", unknown=", ".join(unknown), rows=", ".join(ROWS))
        )
    console = open_screen()
    rows = []
    for name in argv or list(ROWS):
        console.print(f"measuring {name} …")
        rows.append(ROWS[name]())
    write(rows)
    console.print(table_of(rows))
    console.print(f"written: {FOLDER / 'bench.json'}, {FOLDER / 'bench.html'}")
    return int(not all(row.met for row in rows))


def write(rows: list[Row]) -> None:
    """Write the figures and the page that draws them; rows not measured now keep their last figures."""
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / "bench.json"
    kept: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    measured = [{**row.as_json(), "measured_at": datetime.now(UTC).isoformat(timespec="seconds")} for row in rows]
    ids = {row["id"] for row in measured}
    together = [row for row in kept if row["id"] not in ids] + measured
    file.write_text(json.dumps(together, indent=1) + "\n", encoding="utf-8")
    page = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True).get_template("page.html.j2")
    (FOLDER / "bench.html").write_text(page.render(rows=together), encoding="utf-8")


def table_of(rows: list[Row]) -> Table:
    """Return the figures as a table for the console."""
    table = Table("row", "work", "ours", "peer", "ratio", "goal", "met")
    for row in rows:
        theirs = f"{row.peer}: {row.theirs:.2f}" if row.theirs is not None else "–"
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else "–"
        sign = "≤" if row.better == "less" else "≥"
        table.add_row(
            row.id,
            row.work,
            f"{row.ours:.2f} {row.unit} (±{row.spread / 2:.2f}, n={row.runs})",
            theirs,
            ratio,
            f"{sign} {row.goal:g}",
            "yes" if row.met else "NO",
        )
    return table
