"""Samples of what hosts and containers need, kept in the environment's database beside the journal: they prove nothing, and chain nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import delete, insert, select

from engine.journal import Journal
from engine.storing import SAMPLES

HOST: Final = ""
"""Stands for the host itself where a container's name would stand."""


@dataclass(frozen=True)
class Sample:
    """What one container, or a host as a whole, used at one moment; `cpu_s` are processor seconds since it was started."""

    at: datetime
    host: str
    container: str
    memory_bytes: int | None
    cpu_s: float | None


def write_samples(journal: Journal, samples: Iterable[Sample]) -> int:
    """Keep samples and return how many."""
    rows = [{**asdict(one), "at": one.at.astimezone(UTC).isoformat(timespec="milliseconds")} for one in samples]
    if rows:
        with journal.engine.begin() as connection:
            connection.execute(insert(SAMPLES), rows)
    return len(rows)


def read_samples(journal: Journal, since: datetime) -> tuple[Sample, ...]:
    """Return the samples since a moment, in the order of time."""
    query = select(SAMPLES).where(SAMPLES.c.at >= since.astimezone(UTC).isoformat(timespec="milliseconds")).order_by(SAMPLES.c.at)
    with journal.engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return tuple(Sample(datetime.fromisoformat(row["at"]), row["host"], row["container"], row["memory_bytes"], row["cpu_s"]) for row in rows)


def forget_samples(journal: Journal, before: datetime) -> int:
    """Remove the samples before a moment, and return how many."""
    with journal.engine.begin() as connection:
        return connection.execute(delete(SAMPLES).where(SAMPLES.c.at < before.astimezone(UTC).isoformat(timespec="milliseconds"))).rowcount
