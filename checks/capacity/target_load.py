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
from engine.finding import say
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
        return self.origin.with_source(weakest.text) if weakest.samples or not self.origin.name else weakest.text


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
        sampled = tuple(
            say("{name}: {samples}", name=name, samples=load.text if load.samples else say("no samples"))
            for name, load in few.items()
        )
        first = (looks or {}).get(next(iter(few)), "")
        return unknown(
            say(
                "{host}: not enough data of {few_count} of {loads_count}: {origin}. Expected: {at_least_h:g} h of "
                "samples of each. Its load after the moves is judged from one measurement only. {advice}",
                host=host,
                few_count=len(few),
                loads_count=len(loads),
                origin=origin.with_source(sampled[0]),
                at_least_h=at_least_h,
                advice=origin.advice(first),
            ),
            tuple(
                say("{line}; look: {look}", line=line, look=looks[name]) if looks and name in looks else line
                for name, line in zip(few, sampled, strict=True)
            ),
        )
    hours = min(load.hours for load in loads.values())
    return passed(
        origin.with_source(f"{host}: {len(loads)} were sampled for at least {hours:.0f} h"), hours=round(hours, 1)
    )


def judge_memory_after(target: TargetUsage, threshold_percent: float) -> Judgement:
    """Judge whether the target's memory stays below its threshold once all is there."""
    total = target.facts.memory_total_bytes
    blind = _blind(
        target,
        {one.service: one.load.memory_bytes for one in target.arriving},
        target.host.memory_bytes if total else None,
    )
    if blind:
        return _unknown(target, say("memory"), blind)
    needed = (target.host.memory_bytes or 0) + sum(one.load.memory_bytes or 0 for one in target.arriving)
    parts = (
        say("now: {memory_bytes}", memory_bytes=_mib(target.host.memory_bytes or 0)),
        *(f"{one.service}: {_mib(one.load.memory_bytes or 0)}" for one in target.arriving),
    )
    return _judged(
        target,
        say("memory"),
        100.0 * needed / total,
        threshold_percent,
        shown=(say("{needed} of {total}", needed=_mib(needed), total=_mib(total)), parts),
    )


def judge_processors_after(target: TargetUsage, threshold_percent: float) -> Judgement:
    """Judge whether the target's processors stay below their threshold once all is there."""
    total = target.facts.cpus
    blind = _blind(
        target, {one.service: one.load.processors for one in target.arriving}, target.host.processors if total else None
    )
    if blind:
        return _unknown(target, say("processors"), blind)
    needed = (target.host.processors or 0.0) + sum(one.load.processors or 0.0 for one in target.arriving)
    parts = (
        say("now: {processors:.2f}", processors=target.host.processors or 0),
        *(
            say("{service}: {processors:.2f}", service=one.service, processors=one.load.processors or 0)
            for one in target.arriving
        ),
    )
    return _judged(
        target,
        say("processors"),
        100.0 * needed / total,
        threshold_percent,
        shown=(say("{needed:.2f} of {total}", needed=needed, total=total), parts),
    )


def judge_disks_busy_after(target: TargetUsage, threshold_percent: float, at_least_h: float) -> Judgement:
    """Judge whether the target's disks have time left once all is there; one moment says nothing about that, only
    samples do.
    """
    arriving = {one.service: one.load.disk for one in target.arriving}
    parts = {target.facts.host: target.host.disk, **arriving}
    few = [name for name, load in parts.items() if not load.is_enough(at_least_h)]
    shares = tuple(say("{name}: {busy}", name=name, busy=_busy(load)) for name, load in parts.items())
    if few:
        return unknown(
            say(
                "{host}: not enough data: how busy {few} keeps disks is not known. Expected: {at_least_h:g} h of "
                "samples with disk counters, of each. Look whether its kernel reports them: cat /proc/diskstats, and "
                "io.stat of the container's control group. {origin}. {advice}",
                host=target.facts.host,
                few=", ".join(few),
                at_least_h=at_least_h,
                origin=target.origin.with_source(say("Seen: {name}: {busy}", name=few[0], busy=_busy(parts[few[0]]))),
                advice=target.origin.advice(target.disk_looks.get(few[0], "")),
            ),
            shares,
        )
    percent = sum(load.busy_percent or 0.0 for load in parts.values())
    moved = sum(load.bytes_s or 0.0 for load in parts.values())
    return _judged(
        target,
        say("time of the busiest disk"),
        percent,
        threshold_percent,
        shown=(say("{moved:.1f} MB/s read and written", moved=moved / 1e6), shares),
    )


def judge_disk_after_all(target: HostFacts, needs: Iterable[SpaceNeed], threshold_percent: float) -> Judgement:
    """Judge whether the target's disks stay below their threshold once all that comes is there, not each move by
    itself.
    """
    needs = tuple(needs)
    answer = judge_disk_after(target, needs, threshold_percent)
    return replace(answer, text=say("{text}; {count} mounts of all moves together", text=answer.text, count=len(needs)))


def _busy(load: DiskLoad) -> str:
    share = (
        say("not known")
        if load.busy_percent is None
        else say(
            "{busy_percent:.1f} % of the time, {bytes_s:.1f} MB/s",
            busy_percent=load.busy_percent,
            bytes_s=(load.bytes_s or 0.0) / 1e6,
        )
    )
    return say("{share}; {samples:,} samples over {hours:.0f} h", share=share, samples=load.samples, hours=load.hours)


def _judged(
    target: TargetUsage, what: str, percent: float, threshold: float, *, shown: tuple[str, Sequence[str]]
) -> Judgement:
    host, head_room, (seen, parts) = target.facts.host, threshold - percent, shown
    if percent > threshold:
        return failed(
            say(
                "{host}: {what} will be {percent:.0f} % used after all moves ({seen}; from {text}). Expected: at most "
                "{threshold:g} %. Move something elsewhere in migration_plan.json, or make {host} larger. Look: ssh "
                "{host} docker stats --no-stream",
                host=host,
                what=what,
                percent=percent,
                seen=seen,
                text=target.text,
                threshold=threshold,
            ),
            tuple(parts),
            used_percent=round(percent, 1),
        )
    return passed(
        say(
            "{host}: {what} {percent:.0f} % used after all moves ({seen}), {head_room:.0f} points below {threshold:g} "
            "%; from {text}",
            host=host,
            what=what,
            percent=percent,
            seen=seen,
            head_room=head_room,
            threshold=threshold,
            text=target.text,
        ),
        tuple(parts),
        used_percent=round(percent, 1),
        head_room_points=round(head_room, 1),
    )


def _blind(target: TargetUsage, needs: Mapping[str, float | None], host: float | None) -> list[str]:
    return [name for name, value in {target.facts.host: host, **needs}.items() if value is None]


def _unknown(target: TargetUsage, what: str, blind: Sequence[str]) -> Judgement:
    return unknown(
        say(
            "{host}: not enough data: the {what} that {blind} needs is not known. Expected: a measurement of each. Is "
            "it running? Look: docker stats --no-stream on its host. {advice}",
            host=target.facts.host,
            what=what,
            blind=", ".join(blind),
            advice=target.origin.advice(target.looks.get(blind[0], "")),
        ),
        tuple(blind),
    )


def _mib(size_bytes: float) -> str:
    return say("{size_bytes:,.0f} MiB", size_bytes=size_bytes / 1024**2)
