"""Checks of capacity: unknown sizes are UNKNOWN, too little space is FAILED with numbers."""

from __future__ import annotations

import pytest

from checks.capacity.disk_space import SpaceNeed, judge_disk_after, judge_space
from engine.verdict import Verdict
from tests.fakes.facts import GIB, make_disk, make_host

NEED = SpaceNeed("redis: volume redis_data", "/var/lib/docker", 10 * GIB, 1000)


def test_enough_space_passes_with_denominators() -> None:
    """The text says how much and how many."""
    answer = judge_space(make_host(), [NEED])
    assert answer.passed
    assert "10.0 GiB" in answer.text
    assert "1 mounts" in answer.text


def test_space_for_the_data_but_not_for_1_3_times_fails() -> None:
    """Free bytes must be 1.3 times the data."""
    answer = judge_space(make_host(file_systems=(make_disk(free_bytes=12 * GIB),)), [NEED])
    assert answer.verdict is Verdict.FAILED
    assert "12.0 GiB free" in answer.text
    assert "13.0 GiB" in answer.text


def test_too_few_inodes_fail() -> None:
    """Bytes alone are not enough."""
    answer = judge_space(make_host(file_systems=(make_disk(inodes_free=1200),)), [NEED])
    assert answer.verdict is Verdict.FAILED
    assert "1,200 inodes" in answer.text


def test_needs_on_one_file_system_are_added_up() -> None:
    """Two volumes that each fit may not fit together."""
    assert (
        judge_space(make_host(file_systems=(make_disk(free_bytes=20 * GIB),)), [NEED, NEED]).verdict is Verdict.FAILED
    )


def test_one_disk_mounted_twice_is_counted_once() -> None:
    """A bind mount's folder and Docker's may be the same disk under two names; two tmpfs are two."""
    needs = [NEED, SpaceNeed("redis: bind /srv/redis", "/srv/redis", 10 * GIB)]

    def judged(device: str) -> Verdict:
        disks = tuple(
            make_disk(mount=mount, device=device, free_bytes=20 * GIB) for mount in ("/var/lib/docker", "/srv")
        )
        return judge_space(make_host(file_systems=disks), needs).verdict

    assert (judged("/dev/vda"), judged("tmpfs")) == (Verdict.FAILED, Verdict.PASSED)


def test_unknown_size_is_unknown_never_zero() -> None:
    """Not measured is not empty."""
    answer = judge_space(make_host(), [SpaceNeed("redis: volume redis_data", "/var/lib/docker", None)])
    assert answer.verdict is Verdict.UNKNOWN
    assert "redis_data" in answer.text


def test_path_without_file_system_is_unknown() -> None:
    """No file system known, no verdict."""
    assert judge_space(make_host(file_systems=()), [NEED]).verdict is Verdict.UNKNOWN


def test_disk_over_its_threshold_after_the_move_fails() -> None:
    """50 GiB used + 10 GiB of 100 GiB = 60 %."""
    assert judge_disk_after(make_host(), [NEED], 60).passed
    answer = judge_disk_after(make_host(), [NEED], 59)
    assert answer.verdict is Verdict.FAILED
    assert "60 % full" in answer.text


def test_what_a_disk_keeps_back_counts_as_df_counts_it() -> None:
    """A file system that keeps space for root, or a quota below it, is as full as df says: used of what is used or
    free.
    """
    disk = make_disk(mount="/var/lib/docker", size_bytes=250 * GIB, free_bytes=30 * GIB, reserved_bytes=160 * GIB)
    judgement = judge_disk_after(
        make_host(file_systems=(disk,)), [SpaceNeed("redis: data", "/var/lib/docker/volumes", 1 * GIB)], 85
    )
    assert judgement.passed
    assert judgement.measured["used_percent"] == pytest.approx(67.8, abs=0.1)
