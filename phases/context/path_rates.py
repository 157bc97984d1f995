"""Path rates."""

from __future__ import annotations

from typing import Final

from engine.journal.journal import Journal

THROUGHPUT: Final = "throughput"
"""The kind of the record of a sample: how many bytes a second one host sends to another."""


def measured_rates(journal: Journal) -> dict[tuple[str, str], float]:
    """Return the newest sample of each pair of hosts, in bytes per second."""
    return {(str(one.body["host"]), str(one.body["to"])): float(one.body["bytes_per_s"]) for one in journal.records(kind=THROUGHPUT)}
