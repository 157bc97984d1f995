"""How much hosts and containers need, from samples taken over days where there are enough, else from one
moment. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from checks.capacity.disk_utilisation import DiskLoad, container_disks, disk_intervals, host_disks
from checks.capacity.percentiles import FEWEST, high, seen_hours, seen_pairs
from engine.finding import say
from engine.journal.samples import HOST, Sample
from hosts.facts.model import HostFacts


@dataclass(frozen=True)
class Load:
    """What a host or a container needs: memory in bytes, processors (1.5 = one and a half); None: not known."""

    memory_bytes: int | None
    processors: float | None
    samples: int = 0
    hours: float = 0.0
    disk: DiskLoad = field(default_factory=DiskLoad)
    unseen_h: float = 0.0

    def is_enough(self, at_least_h: float) -> bool:
        """Return whether it was seen over enough time."""
        return self.samples >= FEWEST and self.hours >= at_least_h

    @property
    def text(self) -> str:
        """Return what it is drawn from."""
        gaps = say(", none in {unseen_h:.0f} h between them", unseen_h=self.unseen_h) if self.unseen_h else ""
        return (
            say("{samples:,} samples over {hours:.0f} h{gaps}", samples=self.samples, hours=self.hours, gaps=gaps)
            if self.samples
            else say("this moment only")
        )


def load_of(samples: Iterable[Sample], host: str, container: str = HOST) -> Load:
    """Return the load that samples show: 95 of 100 needed no more; counters are taken between two samples, but not over
    a restart or a gap.

    Samples of memory or processors alone are not counted. How long disks work for a container takes its host's
    samples of the same moments too.
    """
    samples = tuple(samples)
    mine = _ordered(samples, host, container)
    memory = [one.memory_bytes for one in mine if one.memory_bytes is not None]
    rates = [rate for one, other in seen_pairs(mine) if (rate := _rate(one, other)) is not None]
    disk = (
        host_disks(mine) if container == HOST else container_disks(mine, disk_intervals(_ordered(samples, host, HOST)))
    )
    whole = [one for one in mine if one.memory_bytes is not None and one.cpu_s is not None]
    hours = (whole[-1].at - whole[0].at).total_seconds() / 3600 if whole else 0.0
    return Load(high(memory), high(rates), len(whole), seen_hours(whole), disk, round(hours - seen_hours(whole), 3))


def _ordered(samples: Iterable[Sample], host: str, container: str) -> list[Sample]:
    return sorted((one for one in samples if (one.host, one.container) == (host, container)), key=lambda one: one.at)


def _rate(one: Sample, other: Sample) -> float | None:
    if one.cpu_s is None or other.cpu_s is None or other.cpu_s < one.cpu_s:
        return None
    return (other.cpu_s - one.cpu_s) / (other.at - one.at).total_seconds()


def load_now(facts: HostFacts) -> Load:
    """Return what a host needs at this moment: memory that is not available, and its load of the last minute as
    processors.
    """
    memory = facts.memory_total_bytes - facts.memory_available_bytes if facts.memory_total_bytes else None
    return Load(memory, min(facts.load_1m, float(facts.cpus)) if facts.cpus else None)


def container_load_now(facts: HostFacts, name: str) -> Load:
    """Return what a container needs at this moment: its memory, and its processors on average since it was started."""
    container = facts.container(name)
    usage = facts.around.usage.get(container.id) if container else None
    if container is None or usage is None:
        return Load(None, None)
    age_s = (facts.gathered_at - _started(container.raw, facts.gathered_at)).total_seconds()
    return Load(usage.memory_bytes, usage.cpu_s / age_s if usage.cpu_s is not None and age_s >= 1 else None)


def _started(raw: object, otherwise: datetime) -> datetime:
    """Return when a container was started; Docker reports it with nanoseconds, which Python's parser leaves out from
    3.11 on.
    """
    state = raw.get("State") if isinstance(raw, dict) else None
    text = str((state or {}).get("StartedAt") or "")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return otherwise
