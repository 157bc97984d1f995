"""Will a target still have room for work once all its moves are done: memory, processors, disk, against the
thresholds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from checks.capacity.baseline import Load
from checks.capacity.disk_space import SpaceNeed, judge_disk_after
from checks.capacity.disk_utilisation import DiskLoad
from checks.capacity.sample_source import OWN, SampleSource
from engine.verdict import Judgement, failed, passed, unknown
from hosts.facts.model import HostFacts


@dataclass(frozen=True)
class IncomingService:
    """A container that comes to a target, and what it needs where it is."""

    service: str
    load: Load


@dataclass(frozen=True)
class TargetUsage:
    """What a target needs now and what comes to it; from samples when all of them are enough, else from this moment."""

    facts: HostFacts
    host: Load
    arriving: tuple[IncomingService, ...]
    origin: SampleSource = OWN
    looks: Mapping[str, str] = field(default_factory=dict)
    """The query to look at when there is not enough of a host or service."""
    disk_looks: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_sampled(self) -> bool:
        """Return whether it is drawn from samples."""
        return all(load.samples for load in self.loads)

    @property
    def loads(self) -> tuple[Load, ...]:
        """Return the host's load and that of all that arrives."""
        return (self.host, *(one.load for one in self.arriving))

    @property
    def text(self) -> str:
        """Return what it is drawn from, as its weakest part."""
        weakest = min(self.loads, key=lambda load: load.samples)
        return self.origin.told(weakest.text) if weakest.samples or not self.origin.name else weakest.text


def chosen_load(
    facts: HostFacts, sampled: tuple[Load, Mapping[str, Load]], now: tuple[Load, Mapping[str, Load]], at_least_h: float
) -> TargetUsage:
    """Return a target's load from samples where the host and all that arrives have enough of them, else from this
    moment.
    """
    host, services = sampled
    is_enough = host.is_enough(at_least_h) and all(load.is_enough(at_least_h) for load in services.values())
    chosen_host, chosen = sampled if is_enough else now
    return TargetUsage(facts, chosen_host, tuple(IncomingService(name, load) for name, load in chosen.items()))


def judge_baseline(
    host: str,
    loads: Mapping[str, Load],
    at_least_h: float,
    origin: SampleSource = OWN,
    looks: Mapping[str, str] | None = None,
) -> Judgement:
    """Judge whether there are enough samples of a target and of all that comes to it; without them a busy day is not
    known.
    """
    few = {name: load for name, load in loads.items() if not load.is_enough(at_least_h)}
    if few:
        told = tuple(f"{name}: {load.text if load.samples else 'no samples'}" for name, load in few.items())
        first = (looks or {}).get(next(iter(few)), "")
        return unknown(
            f"{host}: not enough data of {len(few)} of {len(loads)}: {origin.told(told[0])}. Expected: {at_least_h:g} "
            "h of samples of each. Its load "
            f"after the moves is judged from one measurement only. {origin.advice(first)}",
            tuple(
                f"{line}; look: {looks[name]}" if looks and name in looks else line
                for name, line in zip(few, told, strict=True)
            ),
        )
    hours = min(load.hours for load in loads.values())
    return passed(origin.told(f"{host}: {len(loads)} were sampled for at least {hours:.0f} h"), hours=round(hours, 1))


def judge_memory_after(target: TargetUsage, threshold_percent: float) -> Judgement:
    """Judge whether the target's memory stays below its threshold once all is there."""
    total = target.facts.memory_total_bytes
    blind = _blind(
        target,
        {one.service: one.load.memory_bytes for one in target.arriving},
        target.host.memory_bytes if total else None,
    )
    if blind:
        return _unknown(target, "memory", blind)
    needed = (target.host.memory_bytes or 0) + sum(one.load.memory_bytes or 0 for one in target.arriving)
    parts = (
        f"now: {_mib(target.host.memory_bytes or 0)}",
        *(f"{one.service}: {_mib(one.load.memory_bytes or 0)}" for one in target.arriving),
    )
    return _judged(
        target, "memory", 100.0 * needed / total, threshold_percent, told=(f"{_mib(needed)} of {_mib(total)}", parts)
    )


def judge_processors_after(target: TargetUsage, threshold_percent: float) -> Judgement:
    """Judge whether the target's processors stay below their threshold once all is there."""
    total = target.facts.cpus
    blind = _blind(
        target, {one.service: one.load.processors for one in target.arriving}, target.host.processors if total else None
    )
    if blind:
        return _unknown(target, "processors", blind)
    needed = (target.host.processors or 0.0) + sum(one.load.processors or 0.0 for one in target.arriving)
    parts = (
        f"now: {target.host.processors or 0:.2f}",
        *(f"{one.service}: {one.load.processors or 0:.2f}" for one in target.arriving),
    )
    return _judged(
        target, "processors", 100.0 * needed / total, threshold_percent, told=(f"{needed:.2f} of {total}", parts)
    )


def judge_disks_busy_after(target: TargetUsage, threshold_percent: float, at_least_h: float) -> Judgement:
    """Judge whether the target's disks have time left once all is there; one moment tells nothing of that, only samples
    do.
    """
    arriving = {one.service: one.load.disk for one in target.arriving}
    parts = {target.facts.host: target.host.disk, **arriving}
    few = [name for name, load in parts.items() if not load.is_enough(at_least_h)]
    told = tuple(f"{name}: {_busy(load)}" for name, load in parts.items())
    if few:
        return unknown(
            f"{target.facts.host}: not enough data: how busy {', '.join(few)} keeps disks is not known. Expected: "
            f"{at_least_h:g} h of samples that "
            "tell of disks, of each. Look whether its kernel tells: cat /proc/diskstats, and io.stat of the "
            "container's control group. "
            f"{target.origin.told('Seen: ' + few[0] + ': ' + _busy(parts[few[0]]))}. "
            f"{target.origin.advice(target.disk_looks.get(few[0], ''))}",
            told,
        )
    percent = sum(load.busy_percent or 0.0 for load in parts.values())
    moved = sum(load.bytes_s or 0.0 for load in parts.values())
    return _judged(
        target,
        "time of the busiest disk",
        percent,
        threshold_percent,
        told=(f"{moved / 1e6:.1f} MB/s read and written", told),
    )


def judge_disk_after_all(target: HostFacts, needs: Iterable[SpaceNeed], threshold_percent: float) -> Judgement:
    """Judge whether the target's disks stay below their threshold once all that comes is there, not each move by
    itself.
    """
    needs = tuple(needs)
    answer = judge_disk_after(target, needs, threshold_percent)
    return replace(answer, text=f"{answer.text}; {len(needs)} mounts of all moves together")


def _busy(load: DiskLoad) -> str:
    share = (
        "not known"
        if load.busy_percent is None
        else f"{load.busy_percent:.1f} % of the time, {(load.bytes_s or 0.0) / 1e6:.1f} MB/s"
    )
    return f"{share}; {load.samples:,} samples over {load.hours:.0f} h"


def _judged(
    target: TargetUsage, what: str, percent: float, threshold: float, *, told: tuple[str, Sequence[str]]
) -> Judgement:
    host, head_room, (seen, parts) = target.facts.host, threshold - percent, told
    if percent > threshold:
        return failed(
            f"{host}: {what} will be {percent:.0f} % used after all moves ({seen}; from {target.text}). Expected: at "
            f"most {threshold:g} %. Move "
            f"something elsewhere in migration_plan.json, or make {host} larger. Look: ssh {host} docker stats "
            "--no-stream",
            tuple(parts),
            used_percent=round(percent, 1),
        )
    return passed(
        (
            f"{host}: {what} {percent:.0f} % used after all moves ({seen}), {head_room:.0f} points below "
            f"{threshold:g} %; from {target.text}"
        ),
        tuple(parts),
        used_percent=round(percent, 1),
        head_room_points=round(head_room, 1),
    )


def _blind(target: TargetUsage, needs: Mapping[str, float | None], host: float | None) -> list[str]:
    return [name for name, value in {target.facts.host: host, **needs}.items() if value is None]


def _unknown(target: TargetUsage, what: str, blind: Sequence[str]) -> Judgement:
    return unknown(
        f"{target.facts.host}: not enough data: the {what} that {', '.join(blind)} needs is not known. Expected: a "
        "measurement of each. "
        "Is it running? Look: docker stats --no-stream on its host. "
        f"{target.origin.advice(target.looks.get(blind[0], ''))}",
        tuple(blind),
    )


def _mib(size_bytes: float) -> str:
    return f"{size_bytes / 1024**2:,.0f} MiB"
