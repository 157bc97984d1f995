"""What a Prometheus with node_exporter and cAdvisor recorded, as samples: the queries, and their answers joined by
moment. Pure.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from engine.journal.samples import HOST, DiskUse, Sample
from hosts.local.prometheus import Series

STEP_S: Final = 300.0
"""As often as the timer of docs/sampling.md."""
_NO_DISK: Final = 'device!~"(dm-|fd|loop|md|ram|sr|zram).*"'
"""What lies on other disks would be counted twice."""


class Metric(str, Enum):
    """One request each; INSTANCES and NAMES stand for the hosts and containers that are asked about.

    https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md and
    https://github.com/prometheus/node_exporter.
    """

    HOST_MEMORY = (
        "max by (instance) (node_memory_MemTotal_bytes{INSTANCES} - node_memory_MemAvailable_bytes{INSTANCES})"
    )
    HOST_CPU = 'max by (instance) (sum by (instance, job) (node_cpu_seconds_total{INSTANCES,mode!~"idle|iowait"}))'
    HOST_BUSY = f"max by (instance, device) (node_disk_io_time_seconds_total{{INSTANCES,{_NO_DISK}}})"
    HOST_READ = f"max by (instance, device) (node_disk_read_bytes_total{{INSTANCES,{_NO_DISK}}})"
    HOST_WRITTEN = f"max by (instance, device) (node_disk_written_bytes_total{{INSTANCES,{_NO_DISK}}})"
    MEMORY = "max by (instance, name) (container_memory_working_set_bytes{INSTANCES,NAMES})"
    CPU = (
        "max by (instance, name) (sum by (instance, job, name, id) "
        "(container_cpu_usage_seconds_total{INSTANCES,NAMES}))"
    )
    READ = (
        "max by (instance, name, device) (sum by (instance, job, name, id, device) "
        "(container_fs_reads_bytes_total{INSTANCES,NAMES}))"
    )
    WRITTEN = (
        "max by (instance, name, device) (sum by (instance, job, name, id, device) "
        "(container_fs_writes_bytes_total{INSTANCES,NAMES}))"
    )


OF_HOSTS: Final = (Metric.HOST_MEMORY, Metric.HOST_CPU)
DISKS_OF_HOSTS: Final = (Metric.HOST_BUSY, Metric.HOST_READ, Metric.HOST_WRITTEN)
OF_CONTAINERS: Final = (Metric.MEMORY, Metric.CPU)
DISKS_OF_CONTAINERS: Final = (Metric.READ, Metric.WRITTEN)
Key = tuple[str, str]
"""A host and a container."""


def query_of(metric: Metric, instances: Iterable[str], containers: Iterable[str]) -> str:
    """Return the query of a metric for these instances and containers."""
    return metric.value.replace("INSTANCES", _selected("instance", instances)).replace(
        "NAMES", _selected("name", containers)
    )


def _selected(label: str, values: Iterable[str]) -> str:
    """Return a label's selector; what a pattern could read as its own is in brackets, for a backslash would have to
    be doubled.
    """
    chosen = [re.sub(r"[^A-Za-z0-9_:/-]", lambda found: f"[{found[0]}]", value) for value in values]
    return f'{label}=~"{"|".join(chosen)}"'


@dataclass
class _Moment:
    """What is known of one host or container at one moment."""

    memory_bytes: int | None = None
    cpu_s: float | None = None
    disks: dict[str, dict[Metric, float]] = field(default_factory=lambda: defaultdict(dict))

    def disk_uses(self, needed: Sequence[Metric]) -> dict[str, DiskUse] | None:
        """Return the disks with a value of each needed metric; None when there is no such disk."""
        whole = {
            name: [values[one] for one in needed] for name, values in self.disks.items() if set(needed) <= set(values)
        }
        return {
            name: DiskUse(values[0] if len(values) > 2 else None, int(values[-2]), int(values[-1]))  # noqa: PLR2004
            for name, values in whole.items()
        } or None


def samples_of(answers: Mapping[Metric, Iterable[Series]], hosts: Mapping[str, str]) -> tuple[Sample, ...]:
    """Return the samples that the answers make, in the order of time; `hosts` are by instance."""
    found: dict[tuple[float, str, str], _Moment] = defaultdict(_Moment)
    for metric, series in _rows(answers):
        host, container, disk = _subject(series, hosts)
        for at, value in series.points if host else ():
            _keep_highest(found[at, host, container], metric, disk, value)
    return tuple(
        Sample(
            datetime.fromtimestamp(at, UTC), host, container, one.memory_bytes, one.cpu_s,
            one.disk_uses(DISKS_OF_HOSTS if container == HOST else DISKS_OF_CONTAINERS),
        )
        for (at, host, container), one in sorted(found.items(), key=lambda item: item[0])
    )  # fmt: skip


def _rows(answers: Mapping[Metric, Iterable[Series]]) -> Iterator[tuple[Metric, Series]]:
    """Yield the rows that can be assigned: a container's row without its name would count as the host's."""
    for metric, rows in answers.items():
        for series in rows:
            if metric in {*OF_HOSTS, *DISKS_OF_HOSTS} or series.labels.get("name"):
                yield metric, series


def _subject(series: Series, hosts: Mapping[str, str]) -> tuple[str, str, str]:
    labels = series.labels
    return (
        hosts.get(labels.get("instance", ""), ""),
        labels.get("name", HOST),
        labels.get("device", "").removeprefix("/dev/"),
    )


def _keep_highest(moment: _Moment, metric: Metric, disk: str, value: float) -> None:
    """Keep a value; when two exporters report the same thing, the higher one."""
    if metric in {Metric.HOST_MEMORY, Metric.MEMORY}:
        moment.memory_bytes = max(moment.memory_bytes or 0, int(value))
    elif metric in {Metric.HOST_CPU, Metric.CPU}:
        moment.cpu_s = max(moment.cpu_s or 0.0, value)
    else:
        values = moment.disks[disk]
        values[metric] = max(values.get(metric, 0.0), value)


def poorest(
    answers: Mapping[Metric, Iterable[Series]], hosts: Mapping[str, str], metrics: Sequence[Metric], subject: Key
) -> Metric:
    """Return the metric with the fewest samples of a host or container: the one to check when there is not enough."""
    counts = Counter(dict.fromkeys(metrics, 0))
    for metric in metrics:
        for series in answers.get(metric, ()):
            if _subject(series, hosts)[:2] == subject:
                counts[metric] += len(series.points)
    return min(metrics, key=lambda metric: counts[metric])
