"""Row of PostgreSQL's move by replication, whose outage does not grow with its data, compared with our own copy of
files, in the lab.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from bench.copies import SOURCE, lab_hosts
from bench.lab import run_command
from bench.row import Row
from engine.errors import ActionError
from engine.journal.kinds import RecordKind
from engine.run.options import read_options
from hosts.fleet import Fleet
from phases.context.open_journal import read_journal

SERVICE: Final = "postgres"
TARGET: Final = "wf002"
ORDERS_PORT: Final = 8080
AT_MOST: Final = 0.5
PLAN: Final = Path("migration_plan.json")
ROWS_SINCE: Final = (
    "SELECT count(*), max(seq) - min(seq) + 1 FROM events WHERE source = 'orders' AND seq BETWEEN {first} AND {last}"
)


def pg_replicate() -> Row:
    """Measure the outage of postgres while an application writes: as a standby that is promoted, and by our copy of its
    files.
    """
    ours, theirs = _moved("replicate"), _moved("precopy")
    work = (
        "outage of postgres with 300,000 rows while an application writes: a standby that is promoted; no "
        "acknowledged write lost"
    )
    return Row("pg-replicate", work, "our precopy", ours, theirs, "s", AT_MOST, "less", 1, 0.0)


def _moved(strategy: str) -> float:
    """Move postgres in a new lab and return its measured outage; raises ActionError when an acknowledged
    write is lost.
    """
    with tempfile.TemporaryDirectory() as folder:
        plan = _plan(Path(folder), strategy)
        run_command("lab", "reset", "--services", "core")
        run_command("attest", "--lab", "--plan", str(plan))
        only = ("--lab", "--plan", str(plan), "--service", SERVICE)
        run_command("prepare", *only, "--apply")
        run_command("preflight", *only)
        run_command("approve", *only)
        with lab_hosts(SOURCE, TARGET) as (fleet, _):
            first = _acknowledged(fleet)
            run_command("migrate", *only, "--apply")
            _refuse_loss(fleet, first, _acknowledged(fleet))
    outage = read_journal(read_options({"lab": True, "inventory": "", "plan": ""}.get, [])).last(
        RecordKind.OUTAGE, service=SERVICE
    )
    if outage is None:
        raise ActionError(f"{SERVICE}: no outage on record. Expected: the one that the move measured")
    return float(outage.body["seconds"])


def _plan(folder: Path, strategy: str) -> Path:
    """Write the plan with another strategy for this one move."""
    content: dict[str, Any] = json.loads(PLAN.read_text(encoding="utf-8"))
    content["$schema"] = str(Path("schemas/migration_plan.schema.json").resolve())
    for move in content["moves"]:
        if move["service"] == SERVICE:
            move["strategy"] = strategy
    plan = folder / PLAN.name
    plan.write_text(json.dumps(content), encoding="utf-8")
    return plan


def _acknowledged(fleet: Fleet) -> int:
    """Return the newest number that the lab's application knows to be written."""
    with urlopen(f"http://{fleet[SOURCE].address}:{ORDERS_PORT}/state", timeout=10) as answer:
        return int(json.load(answer)["postgres_acked"])


def _refuse_loss(fleet: Fleet, first: int, last: int) -> None:
    """Raise ActionError unless every number between the two is on the target once."""
    query = ROWS_SINCE.format(first=first, last=last)
    argv = ["docker", "exec", SERVICE, "psql", "-U", "postgres", "-Atc", query, "shop"]
    answer = fleet[TARGET].run(argv, timeout_s=30)
    wanted = f"{last - first + 1}|{last - first + 1}"
    if last <= first or answer.exit_code or answer.text.strip() != wanted:
        raise ActionError(
            f"{TARGET}: writes {first} to {last}: {answer.text.strip() or answer.error_text}. Expected: "
            f"{wanted}, each once"
        )


ROWS: Final[dict[str, Callable[[], Row]]] = {"pg-replicate": pg_replicate}
