"""Whether a move's data fits is asked of the very disk on which it will lie."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engine.contracts.container import MountFacts
from engine.errors import NotObservedError
from engine.verdict import Verdict
from hosts.facts.model import HostFacts
from phases.assess.readiness import judge_disk
from phases.context.service_facts import space_needs
from tests.fakes.facts import GIB, make_container, make_disk, make_host, make_volume

BIND = MountFacts("bind", "/srv/redis", "/conf", read_only=False)


def world(target: HostFacts, *mounts: MountFacts) -> Any:
    """Return redis with 10 GiB in a volume (and further mounts), on its way from wf005 to the target."""
    container = make_container(mounts=(*make_container().mounts, *mounts))
    source = make_host(
        host="wf005",
        containers=(container,),
        volumes=(make_volume("redis_data", size_bytes=10 * GIB),),
        path_sizes={"/srv/redis": GIB},
    )
    rules = [SimpleNamespace(path=mount.destination, rule="copy", kind=mount.kind) for mount in container.mounts]
    return SimpleNamespace(
        move_of=lambda service: SimpleNamespace(source="wf005", target="wf001"),
        facts=lambda host: source if host == "wf005" else target,
        container=lambda service, host: container,
        entry=lambda service: SimpleNamespace(mounts=rules, container="redis"),
        scope=SimpleNamespace(thresholds=lambda host: SimpleNamespace(disk_percent=85)),
    )


def test_a_volume_is_judged_by_the_disk_of_the_volumes_folder() -> None:
    """Docker's root has room, its `volumes` folder is a small disk of its own: it does not fit, and that
    disk is named.
    """
    small = make_disk(mount="/var/lib/docker/volumes", size_bytes=GIB, free_bytes=GIB)
    target = make_host(file_systems=(make_disk(), make_disk(mount="/var/lib/docker"), small))

    fits, after = judge_disk(world(target), "redis")

    assert (fits.verdict, after.verdict) == (Verdict.FAILED, Verdict.FAILED)
    assert "wf001: /var/lib/docker/volumes has 1.0 GiB free" in fits.text


def test_a_bind_mount_is_judged_by_the_disk_of_its_path() -> None:
    """It will lie at the same path on the target."""
    needs = space_needs(world(make_host(docker_root="/data/docker"), BIND), "redis")

    assert [(need.path, need.size_bytes) for need in needs] == [
        ("/data/docker/volumes/redis_data", 10 * GIB),
        ("/srv/redis", GIB),
    ]


def test_with_docker_silent_the_place_of_volumes_is_not_known() -> None:
    """The message says that Docker does not answer, not that there is no file system for nothing."""
    silent = make_host(docker_version="", docker_error="no answer in time", docker_root="")

    with pytest.raises(NotObservedError, match=r"wf001: its Docker Engine does not answer \(no answer in time\)"):
        judge_disk(world(silent), "redis")


def test_the_size_is_known_when_the_source_is_kept_under_its_new_name() -> None:
    """A rollback asks how much it sets aside, when the moved service's old container has been renamed."""
    container = make_container(name="redis-moved")
    source = make_host(host="wf005", containers=(container,), volumes=(make_volume("redis_data", size_bytes=10 * GIB),))
    moved = world(make_host())
    moved.facts = lambda host: source if host == "wf005" else make_host()

    assert [need.size_bytes for need in space_needs(moved, "redis")] == [10 * GIB]
