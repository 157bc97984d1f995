"""Does the data fit on the target: bytes and inodes now, and the disk threshold after the move."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed, unknown
from hosts.facts.model import FileSystem, HostFacts

KIBI: Final = 1024

SPACE_FACTOR: Final = 1.3
"""services.md 0.8: free bytes on the target at least 1.3 times the source's data."""


@dataclass(frozen=True)
class SpaceNeed:
    """Data that will be put on the target: whose, below which path there, how much; `None` = could not be measured."""

    what: str  # "postgres: volume shop_data"
    path: str  # path on the target that decides the file system
    size_bytes: int | None
    entries: int | None = None  # files and directories, for inodes


@dataclass(frozen=True)
class _Load:
    """All needs that fall on one file system of the target."""

    file_system: FileSystem
    size_bytes: int
    entries: int


def judge_space(target: HostFacts, needs: Iterable[SpaceNeed], factor: float = SPACE_FACTOR) -> Judgement:
    """Judge whether every target file system has `factor` times the bytes and inodes that will land on it."""
    needs = tuple(needs)
    problem = _not_measured(target, needs)
    if problem:
        return problem
    loads = _loads(target, needs)
    problems = [text for load in loads for text in _too_small(target.host, load, factor)]
    total = sum(load.size_bytes for load in loads)
    if problems:
        return failed(
            say(
                "{problem}. Make room or choose another target: ssh {host} df -h", problem=problems[0], host=target.host
            ),
            tuple(problems),
            needed_bytes=int(total * factor),
        )
    return passed(
        say(
            "{host}: {total} of data from {needs_count} mounts fit {factor:g} times on {loads_count} file systems",
            host=target.host,
            total=_size(total),
            needs_count=len(needs),
            factor=factor,
            loads_count=len(loads),
        ),
        needed_bytes=int(total * factor),
        free_bytes=min(load.file_system.free_bytes for load in loads) if loads else 0,
    )


def judge_disk_after(target: HostFacts, needs: Iterable[SpaceNeed], threshold_percent: float) -> Judgement:
    """Judge whether the target's file systems stay below `threshold_percent` used once the data is there."""
    needs = tuple(needs)
    problem = _not_measured(target, needs)
    if problem:
        return problem
    loads = _loads(target, needs)
    shares = {load.file_system.mount: _used_percent_after(load) for load in loads}
    over = {mount: share for mount, share in shares.items() if share > threshold_percent}
    if over:
        mount, share = max(over.items(), key=lambda item: item[1])
        return failed(
            say(
                "{host}: {mount} will be {share:.0f} % full after the move. Expected: at most {threshold_percent:g} "
                "%. Make room: ssh {host} df -h {mount}",
                host=target.host,
                mount=mount,
                share=share,
                threshold_percent=threshold_percent,
            ),
            tuple(say("{name}: {percent:.1f} %", name=name, percent=percent) for name, percent in sorted(over.items())),
            used_percent=round(share, 1),
        )
    highest = max(shares.values(), default=0.0)
    return passed(
        say(
            "{host}: at most {highest:.0f} % of {count} file systems used after the move (threshold "
            "{threshold_percent:g} %)",
            host=target.host,
            highest=highest,
            count=len(shares),
            threshold_percent=threshold_percent,
        ),
        used_percent=round(highest, 1),
    )


def _not_measured(target: HostFacts, needs: Sequence[SpaceNeed]) -> Judgement | None:
    """Return UNKNOWN when a size or the file system behind a path is not known; an unknown size is never 0."""
    blind = [need.what for need in needs if need.size_bytes is None]
    if blind:
        return unknown(
            say(
                "{host}: size not known of {blind}. Expected: a size in bytes for each of {count} mounts. Try: docker "
                "system df -v on the source",
                host=target.host,
                blind=", ".join(blind),
                count=len(needs),
            )
        )
    lost = [need.path for need in needs if target.file_system_of(need.path) is None]
    if lost:
        return unknown(
            say(
                "{host}: no file system found for {lost}. Expected: one per path. Try: ssh {host} df -P {first_lost}",
                host=target.host,
                lost=joined(", ", lost),
                first_lost=lost[0],
            )
        )
    return None


def _loads(target: HostFacts, needs: Iterable[SpaceNeed]) -> list[_Load]:
    """Return what falls on each file system; one that is mounted at several places is one."""
    file_systems: dict[str, FileSystem] = {}
    sizes: dict[str, int] = defaultdict(int)
    entries: dict[str, int] = defaultdict(int)
    for need in needs:
        file_system = target.file_system_of(need.path)
        if file_system is not None:
            disk = _disk_of(file_system)
            file_systems.setdefault(disk, file_system)
            sizes[disk] += need.size_bytes or 0
            entries[disk] += need.entries or 0
    return [_Load(file_system, sizes[disk], entries[disk]) for disk, file_system in file_systems.items()]


def _disk_of(file_system: FileSystem) -> str:
    """Return what identifies a file system: its device, or its mount point when the device is only a kind
    (`tmpfs`, `overlay`).
    """
    return file_system.device if "/" in file_system.device else file_system.mount


def _too_small(host: str, load: _Load, factor: float) -> list[str]:
    found: list[str] = []
    file_system = load.file_system
    if file_system.free_bytes < load.size_bytes * factor:
        found.append(
            say(
                "{host}: {mount} has {free_bytes} free. Expected: {needed} ({factor:g} times {data})",
                host=host,
                mount=file_system.mount,
                free_bytes=_size(file_system.free_bytes),
                needed=_size(load.size_bytes * factor),
                factor=factor,
                data=_size(load.size_bytes),
            )
        )
    if file_system.inodes and file_system.inodes_free < load.entries * factor:
        found.append(
            say(
                "{host}: {mount} has {inodes_free:,} inodes free. Expected: {entries:,.0f} ({factor:g} times "
                "{load_entries:,})",
                host=host,
                mount=file_system.mount,
                inodes_free=file_system.inodes_free,
                entries=load.entries * factor,
                factor=factor,
                load_entries=load.entries,
            )
        )
    return found


def _used_percent_after(load: _Load) -> float:
    """Return the share as df shows it: used of what is used or free; what the file system keeps back counts
    as neither.
    """
    file_system = load.file_system
    usable = file_system.used_bytes + file_system.free_bytes
    return 100.0 * (file_system.used_bytes + load.size_bytes) / usable if usable else 100.0


def _size(size_bytes: float) -> str:
    """Return a size with a unit, in powers of 1024."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < KIBI:
            return (
                say("{size_bytes:.0f} {unit}", size_bytes=size_bytes, unit=unit)
                if unit == "B"
                else say("{size_bytes:.1f} {unit}", size_bytes=size_bytes, unit=unit)
            )
        size_bytes /= KIBI
    return say("{size_bytes:.1f} TiB", size_bytes=size_bytes)
