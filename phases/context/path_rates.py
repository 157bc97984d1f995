"""Path rates."""

from __future__ import annotations

from engine.journal.journal import Journal
from engine.journal.kinds import RecordKind


def measured_rates(journal: Journal) -> dict[tuple[str, str], float]:
    """Return the newest sample of each pair of hosts, in bytes per second."""
    return {
        (str(one.body["host"]), str(one.body["to"])): float(one.body["bytes_per_s"])
        for one in journal.records(kind=RecordKind.PATH_THROUGHPUT)
    }
