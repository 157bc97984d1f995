"""How busy disks are, and which part of that each container is, from counters between two samples. Pure.

No counter says how long a disk worked for one container. Its part of the bytes in the same time is taken for its part
of the work: the same container will keep another disk of the same kind busy for as long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from checks.capacity.percentiles import FEWEST, high, seen_hours, seen_pairs
from engine.journal.samples import DiskUse, Sample

NOTHING: Final = DiskUse(None, 0, 0)


@dataclass(frozen=True)
class DiskLoad:
    """How long in 100 the busiest disk works for a host or a container, and bytes a second; None: not known."""

    busy_percent: float | None = None
    bytes_s: float | None = None
    samples: int = 0
    hours: float = 0.0

    def is_enough(self, at_least_h: float) -> bool:
        """Return whether it was seen over enough time."""
        return self.busy_percent is not None and self.samples >= FEWEST and self.hours >= at_least_h


class DiskInterval(NamedTuple):
    """What one disk did between two samples."""

    busy: float  # 0 to 1
    moved_bytes: int


Turns = Mapping[tuple[datetime, datetime], Mapping[str, DiskInterval]]


def host_disks(samples: Sequence[Sample]) -> DiskLoad:
    """Return how busy a host's busiest disk is: of each disk, 95 of 100 times it was no busier; samples in order of
    time.
    """
    busy: dict[str, list[float]] = defaultdict(list)
    rates: list[float] = []
    for (start, end), disks in disk_intervals(samples).items():
        rates.append(sum(turn.moved_bytes for turn in disks.values()) / (end - start).total_seconds())
        for name, turn in disks.items():
            busy[name].append(100.0 * turn.busy)
    return _load(samples, [share for times in busy.values() if (share := high(times)) is not None], rates)


def container_disks(samples: Sequence[Sample], host: Turns) -> DiskLoad:
    """Return how busy a container keeps its host's disks, by its part of their bytes; samples in order of time."""
    busy: list[float] = []
    rates: list[float] = []
    for one, other in seen_pairs(samples):
        moved, disks = _moved(one.disks, other.disks), host.get((one.at, other.at))
        part = None if moved is None or disks is None else _part(moved, disks)
        if moved is not None and part is not None:
            busy.append(100.0 * part)
            rates.append(sum(moved.values()) / (other.at - one.at).total_seconds())
    highest = high(busy)
    return _load(samples, [] if highest is None else [highest], rates)


def _load(samples: Iterable[Sample], busy: Sequence[float], rates: Sequence[float]) -> DiskLoad:
    measured = [one for one in samples if one.disks is not None]
    return DiskLoad(max(busy, default=None), high(rates), len(measured), seen_hours(measured))


def disk_intervals(samples: Sequence[Sample]) -> Turns:
    """Return what a host's disks did between each two samples; a disk whose counters began again, or that is new, is
    left out.
    """
    return {(one.at, other.at): turns for one, other in seen_pairs(samples) if (turns := dict(_turns(one, other)))}


def _turns(one: Sample, other: Sample) -> Iterator[tuple[str, DiskInterval]]:
    seconds = (other.at - one.at).total_seconds()
    before = one.disks or {}
    for name, use in (other.disks or {}).items():
        busy_s, moved = (
            _less(use.busy_s, before[name].busy_s) if name in before else None,
            _added(before.get(name, NOTHING), use),
        )
        if busy_s is not None and busy_s >= 0 and moved is not None:
            yield name, DiskInterval(min(1.0, busy_s / seconds), moved)


def _moved(one: Mapping[str, DiskUse] | None, other: Mapping[str, DiskUse] | None) -> dict[str, int] | None:
    """Return the bytes by disk that a container moved; None when it was not read, or was started again in between."""
    if one is None or other is None:
        return None
    added = {name: _added(one.get(name, NOTHING), other.get(name, NOTHING)) for name in {*one, *other}}
    known = {name: moved for name, moved in added.items() if moved is not None}
    return known if len(known) == len(added) else None


def _part(moved: Mapping[str, int], disks: Mapping[str, DiskInterval]) -> float | None:
    """Return the part of the time in which disks worked for these bytes; None when they all went where
    nobody looked.
    """
    known = {name: size for name, size in moved.items() if name in disks}
    if not any(known.values()):
        return 0.0 if not any(moved.values()) else None
    return min(1.0, sum(_share(size, disks[name]) for name, size in known.items()))


def _share(moved: int, turn: DiskInterval) -> float:
    return turn.busy * min(1.0, moved / turn.moved_bytes) if turn.moved_bytes else (turn.busy if moved else 0.0)


def _added(one: DiskUse, other: DiskUse) -> int | None:
    read, written = other.read_bytes - one.read_bytes, other.written_bytes - one.written_bytes
    return read + written if read >= 0 and written >= 0 else None


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
