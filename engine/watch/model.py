"""The samples of a watch as its judges read them: subjects, metrics, series, events, intervals, and their source."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class SubjectKind(StrEnum):
    """What a series of samples describes."""

    HOST = "host"
    CONTAINER = "container"
    DISK = "disk"
    """A block device, by its name in /proc/diskstats."""
    FILE_SYSTEM = "file_system"
    """A mounted file system, by its mount point."""
    INTERFACE = "interface"
    """A physical network interface, by its name in /sys/class/net."""


@dataclass(frozen=True, order=True)
class Subject:
    """One host, or one container, disk, file system or interface of it; the name of a host as a subject is ""."""

    host: str
    kind: SubjectKind = SubjectKind.HOST
    name: str = ""


class Metric(StrEnum):
    """What can be asked of a subject; counters are asked as rates over the time between two samples."""

    CPU_PERCENT = "cpu_percent"
    """Host: busy share of all processors; idle and waiting for IO are not busy, steal is."""
    STEAL_PERCENT = "steal_percent"
    CPU_CORES = "cpu_cores"
    """Host and container: processor-seconds per second."""
    THROTTLED_PERCENT = "throttled_percent"
    """Container: share of the time in which its CPU quota held it back."""
    LOAD = "load"
    """Host: load average of one minute."""
    MEMORY_PERCENT = "memory_percent"
    """Host: memory that is not available."""
    MEMORY_BYTES = "memory_bytes"
    """Host: not available. Container: usage without inactive file pages, as `docker stats` counts."""
    ANON_BYTES = "anon_bytes"
    MAJOR_FAULTS_S = "major_faults_s"
    REFAULTS_S = "refaults_s"
    SWAP_IN_S = "swap_in_s"
    """Host: pages a second."""
    SWAP_OUT_S = "swap_out_s"
    PRESSURE_CPU_PERCENT = "pressure_cpu_percent"
    """Host: share of the time in which some task waited (/proc/pressure, "some")."""
    PRESSURE_MEMORY_PERCENT = "pressure_memory_percent"
    PRESSURE_IO_PERCENT = "pressure_io_percent"
    DISK_BUSY_PERCENT = "disk_busy_percent"
    """Disk; of a host: its busiest disk."""
    READ_BYTES_S = "read_bytes_s"
    WRITTEN_BYTES_S = "written_bytes_s"
    FILE_SYSTEM_PERCENT = "file_system_percent"
    """File system: used of used and free to users; of a host: its fullest."""
    FILE_SYSTEM_BYTES = "file_system_bytes"
    INODES_PERCENT = "inodes_percent"
    RECEIVED_BYTES_S = "received_bytes_s"
    SENT_BYTES_S = "sent_bytes_s"
    NETWORK_ERRORS_S = "network_errors_s"
    NETWORK_DROPS_S = "network_drops_s"
    LINK_PERCENT = "link_percent"
    """Interface: the busier direction's share of its speed; no sample where the speed is not known."""
    RESTARTS = "restarts"
    """Container: RestartCount of the engine."""
    OOM_KILLS = "oom_kills"


@dataclass(frozen=True)
class Series:
    """Values at moments in milliseconds of the Unix epoch, ascending; both arrays have the same length."""

    at_ms: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        return len(self.at_ms)


@dataclass(frozen=True, order=True)
class Interval:
    """A time from a moment to another, which it does not include, in milliseconds of the Unix epoch."""

    from_ms: int
    to_ms: int

    @property
    def length_ms(self) -> int:
        """Return how long it lasts."""
        return self.to_ms - self.from_ms


@dataclass(frozen=True)
class WatchEvent:
    """Something that happened on a host: an event of its engine, a reboot, an engine restart, or lost events.

    `kind` is Docker's action (die, oom, health_status, start, stop, restart, kill, destroy) or one of `reboot`,
    `engine_restart`, `events_lost`, `spool_dropped`; `body` holds what is known besides.
    """

    host: str
    at_ms: int
    kind: str
    container: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)


class Source(Protocol):
    """Where a watch's samples come from: our own database, or a Prometheus; as a whole, or not at all."""

    name: str
    period_s: float

    def series(self, subject: Subject, metric: Metric, between: Interval) -> Series:
        """Return the samples of one metric; empty when the subject or metric was not read."""

    def hourly(self, subject: Subject, metric: Metric, between: Interval) -> Mapping[int, Rollup]:
        """Return the roll-ups by the full hour at which they begin, in milliseconds of the Unix epoch."""

    def subjects(self, hosts: Iterable[str]) -> tuple[Subject, ...]:
        """Return what is known of these hosts, sorted."""

    def events(self, hosts: Iterable[str], between: Interval) -> tuple[WatchEvent, ...]:
        """Return the events of these hosts in the order of time."""

    def watched(self, host: str, between: Interval) -> tuple[Interval, ...]:
        """Return the times in which the host was sampled, merged and sorted; a gap is longer than
        max(3 periods, 5 minutes).
        """


@dataclass(frozen=True)
class Rollup:
    """The samples of one step of time: how many, least, mean, median, most, and the 95th percentile."""

    n: int
    least: float
    mean: float
    median: float
    most: float
    p95: float
