"""Samples of all hosts of an environment, for the capacity that preflight judges."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Final

from checks.capacity.baseline import Load, load_of
from engine.errors import NotObservedError
from engine.finding import say
from engine.journal.samples import Sample
from engine.report_sections import Table
from hosts.facts.usage import read_load
from hosts.fleet import Fleet

MOST_AT_ONCE: Final = 16
KEPT: Final = timedelta(days=35)
"""A month with its end: older samples are forgotten."""


def take_samples(fleet: Fleet, hosts: Iterable[str]) -> tuple[list[Sample], dict[str, str]]:
    """Return one sample of each host and of each of its running containers, and why hosts are missing."""
    names = tuple(hosts)
    with ThreadPoolExecutor(max_workers=MOST_AT_ONCE) as pool:
        answers = list(pool.map(lambda name: _of(fleet, name), names))
    samples = [sample for answer in answers if not isinstance(answer, str) for sample in answer]
    return samples, {name: answer for name, answer in zip(names, answers, strict=True) if isinstance(answer, str)}


def _of(fleet: Fleet, host: str) -> list[Sample] | str:
    try:
        seen, now = read_load(fleet[host]), datetime.now(UTC)
    except NotObservedError as error:
        return str(error)
    return [
        Sample(now, host, container, usage.memory_bytes, usage.cpu_s, usage.disks) for container, usage in seen.items()
    ]


def baseline_table(samples: Iterable[Sample]) -> Table:
    """Return what is known of each host and container."""
    samples = tuple(samples)
    subjects = sorted({(one.host, one.container) for one in samples})
    rows = tuple(
        (host, container or say("the host"), *_cells(load_of(samples, host, container))) for host, container in subjects
    )
    return Table("Baseline", ("host", "what", "memory", "processors", "disk busy", "samples", "hours"), rows)


def _cells(load: Load) -> tuple[str, str, str, str, str]:
    memory = (
        say("not known")
        if load.memory_bytes is None
        else say("{memory_bytes:,.0f} MiB", memory_bytes=load.memory_bytes / 1024**2)
    )
    processors = say("not known") if load.processors is None else f"{load.processors:.2f}"
    busy = (
        say("not known")
        if load.disk.busy_percent is None
        else say(
            "{busy_percent:.0f} %, {bytes_s:.1f} MB/s",
            busy_percent=load.disk.busy_percent,
            bytes_s=(load.disk.bytes_s or 0) / 1e6,
        )
    )
    return memory, processors, busy, f"{load.samples:,}", f"{load.hours:.1f}"
