"""Samples of what hosts and containers need, kept in the environment's database next to the journal: they prove
nothing, and chain nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import delete, insert, select

from engine.journal.database import SAMPLES
from engine.journal.journal import Journal

HOST: Final = ""
"""Stands for the host itself where a container's name would be."""


OTHER_DISKS: Final = ""
"""Stands for all disks that hold neither Docker's data nor a bind mount, where a disk's name would be."""


@dataclass(frozen=True)
class DiskUse:
    """What one disk did since its counters began: seconds in which it was busy (not known of a container's part),
    bytes.
    """

    busy_s: float | None
    read_bytes: int
    written_bytes: int

    @property
    def moved_bytes(self) -> int:
        """Return what was read and written."""
        return self.read_bytes + self.written_bytes


@dataclass(frozen=True)
class Sample:
    """What one container, or a host as a whole, used at one moment; `cpu_s` are processor seconds since it was started.

    `disks` are by name, and None where they could not be read, or were not yet: a container's has what it read and
    wrote itself.
    """

    at: datetime
    host: str
    container: str
    memory_bytes: int | None
    cpu_s: float | None
    disks: Mapping[str, DiskUse] | None = None


def write_samples(journal: Journal, samples: Iterable[Sample]) -> int:
    """Keep samples and return how many."""
    rows = [_row(one) for one in samples]
    if rows:
        with journal.engine.begin() as connection:
            connection.execute(insert(SAMPLES), rows)
    return len(rows)


def read_samples(journal: Journal, since: datetime) -> tuple[Sample, ...]:
    """Return the samples since a moment, in the order of time."""
    query = (
        select(SAMPLES)
        .where(SAMPLES.c.at >= since.astimezone(UTC).isoformat(timespec="milliseconds"))
        .order_by(SAMPLES.c.at)
    )
    with journal.engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return tuple(
        Sample(
            datetime.fromisoformat(row["at"]),
            row["host"],
            row["container"],
            row["memory_bytes"],
            row["cpu_s"],
            _disks(row["disks"]),
        )
        for row in rows
    )


def _row(one: Sample) -> dict[str, Any]:
    """Return a sample's row; of each disk seconds, bytes read and bytes written."""
    disks = (
        None
        if one.disks is None
        else {name: (use.busy_s, use.read_bytes, use.written_bytes) for name, use in one.disks.items()}
    )
    return {
        "at": one.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "host": one.host,
        "container": one.container,
        "memory_bytes": one.memory_bytes,
        "cpu_s": one.cpu_s,
        "disks": None if disks is None else json.dumps(disks, separators=(",", ":")),
    }


def _disks(text: str | None) -> dict[str, DiskUse] | None:
    return None if text is None else {name: DiskUse(*use) for name, use in json.loads(text).items()}


def forget_samples(journal: Journal, before: datetime) -> int:
    """Remove the samples before a moment, and return how many."""
    with journal.engine.begin() as connection:
        return connection.execute(
            delete(SAMPLES).where(SAMPLES.c.at < before.astimezone(UTC).isoformat(timespec="milliseconds"))
        ).rowcount
