"""How busy disks are: counters between samples, restarts and gaps left out, what nobody measured never 0."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from checks.capacity.baseline import load_of
from checks.capacity.disk_utilisation import DiskLoad
from engine.journal.samples import DiskUse, Sample
from hosts.facts.disks import parse_blocks, parse_disks

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
ID: Final = "a" * 64
Disks = Mapping[str, DiskUse] | None


def sample(minutes: float, disks: Disks, container: str = "") -> Sample:
    """Return a sample so many minutes after the start."""
    return Sample(START + timedelta(minutes=minutes), "wf001", container, 1, 1.0, disks)


def use(busy_s: float | None, read: int = 0, written: int = 0) -> DiskUse:
    """Return what a disk did."""
    return DiskUse(busy_s, read, written)


def of_host(*disks: Disks) -> DiskLoad:
    """Return a host's load with a sample a minute."""
    return load_of([sample(minute, one) for minute, one in enumerate(disks)], "wf001").disk


def of_container(host: tuple[Disks, ...], container: tuple[Disks, ...]) -> DiskLoad:
    """Return a container's load with a sample a minute of its host and of itself."""
    samples = [sample(minute, one) for minute, one in enumerate(host)] + [
        sample(minute, one, "redis") for minute, one in enumerate(container)
    ]
    return load_of(samples, "wf001", "redis").disk


def test_counters_become_percent_and_bytes_a_second() -> None:
    """30 of 60 seconds are 50 %; 600 bytes of a minute are 10 a second."""
    assert of_host({"sda": use(100.0, 1000, 1000)}, {"sda": use(130.0, 1400, 1200)}) == DiskLoad(50.0, 10.0, 2, 1 / 60)


def test_the_busiest_disk_counts() -> None:
    """Docker's data on one that rests does not hide one that works."""
    assert of_host({"sda": use(0.0), "sdb": use(0.0)}, {"sda": use(6.0), "sdb": use(54.0)}).busy_percent == 90.0


def test_counters_that_began_again_are_left_out() -> None:
    """A host was started again: no negative work, and none over the restart."""
    load = of_host({"sda": use(100.0)}, {"sda": use(106.0)}, {"sda": use(3.0)}, {"sda": use(9.0)})

    assert (load.busy_percent, load.samples) == (10.0, 4)
    assert of_host({"sda": use(9.0, 500)}, {"sda": use(15.0, 100)}).busy_percent is None
    assert of_host({"sda": use(9.0, 500)}, {"sda": use(3.0, 600)}).busy_percent is None


def test_a_disk_that_is_new_counts_from_its_second_sample() -> None:
    """What it did before it was watched was not done in this minute."""
    assert (
        of_host(
            {"sda": use(0.0)}, {"sda": use(6.0), "sdb": use(9999.0)}, {"sda": use(12.0), "sdb": use(10011.0)}
        ).busy_percent
        == 20.0
    )


def test_a_gap_is_neither_work_nor_time_that_was_looked_at() -> None:
    """Ten hours without a sample: the work in them is spread over nothing, and the hours are not counted."""
    rows = [
        sample(0, {"sda": use(0.0)}),
        sample(1, {"sda": use(6.0)}),
        sample(601, {"sda": use(36000.0)}),
        sample(602, {"sda": use(36006.0)}),
    ]

    assert load_of(rows, "wf001").disk == DiskLoad(10.0, 0.0, 4, 2 / 60)
    assert load_of(rows, "wf001").hours == 2 / 60


@pytest.mark.parametrize("disks", [(None, None), ({"sda": use(None)}, {"sda": use(None)}), ({"sda": use(1.0)},), ()])
def test_what_nobody_measured_is_not_known(disks: tuple[Disks, ...]) -> None:
    """Samples from before disks were looked at, counters that are missing, a single sample, none."""
    assert of_host(*disks).busy_percent is None
    assert not of_host(*disks).is_enough(0)


def test_a_container_has_the_part_of_its_bytes() -> None:
    """A quarter of the bytes of a disk that works 40 % of the time are 10 %."""
    host = ({"sda": use(0.0)}, {"sda": use(24.0, 2000, 2000)})

    assert of_container(host, ({}, {"sda": use(None, 1000)})) == DiskLoad(10.0, 1000 / 60, 2, 1 / 60)
    assert of_container(host, ({}, {"sda": use(None, 9000)})).busy_percent == 40.0
    assert of_container(host, ({}, {})).busy_percent == 0.0


def test_a_containers_part_is_not_known_without_its_hosts_or_its_own_counters() -> None:
    """Nor where all its bytes went to a disk that nobody watches, nor over its restart."""
    host = ({"sda": use(0.0)}, {"sda": use(24.0, 2000, 2000)})

    assert of_container((None, None), ({}, {"sda": use(None, 1000)})).busy_percent is None
    assert of_container(host, (None, None)).busy_percent is None
    assert of_container(host, ({}, {"": use(None, 1000)})).busy_percent is None
    assert of_container(host, ({"sda": use(None, 5000)}, {"sda": use(None, 10)})).busy_percent is None
    assert of_container(host, ({"sda": use(None, 5000)}, {})).busy_percent is None


def test_bytes_of_a_disk_that_moved_none_are_its_whole_time() -> None:
    """Two counters that were read a moment apart: the higher answer is taken."""
    assert of_container(({"sda": use(0.0)}, {"sda": use(6.0)}), ({}, {"sda": use(None, 10)})).busy_percent == 10.0


def test_enough_samples_of_disks_are_their_own() -> None:
    """A fortnight of samples without disks, and an hour with them, are an hour."""
    rows = [sample(60 * hour, None) for hour in range(100)] + [
        sample(6000 + 5 * turn, {"sda": use(turn)}) for turn in range(13)
    ]
    load = load_of(rows, "wf001")

    assert load.is_enough(24)
    assert not load.disk.is_enough(24)
    assert load.disk.is_enough(1)


def test_version_1_of_control_groups_is_read() -> None:
    """Rows by Read and Write; their Total is none of them, nor is what is no number."""
    text = f"blkio/docker/{ID}/blkio.throttle.io_service_bytes_recursive:"
    rows = "\n".join(
        [*(f"{text}8:0 {what}" for what in ("Read 10", "Write 20", "Sync 5", "Total 30", "Read x")), "Total 30"]
    )

    assert parse_blocks(rows, {"8:0": "sda"}) == {ID: {"sda": use(None, 10, 20)}}


def test_a_container_that_moved_nothing_is_listed_and_one_without_a_file_is_not() -> None:
    """With systemd's name of the group."""
    assert parse_blocks(f"system.slice/docker-{ID}.scope/io.stat:\n", {}) == {ID: {}}
    assert parse_blocks("", {}) == {}


@pytest.mark.parametrize("row", ["8 0 sda 1 2", "8 0 sda a 0 0 0 0 0 0 0 0 0 0", "8 0 sdb 1 0 0 0 0 0 0 0 0 0 0", ""])
def test_a_line_without_counters_is_no_disk(row: str) -> None:
    """Cut off, garbled, or of another disk."""
    assert parse_disks(row, ["sda"]) == (None, {})
