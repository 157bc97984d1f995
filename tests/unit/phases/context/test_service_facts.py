"""Whether a move's data fits is asked of the very disk on which it will lie."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engine.contracts.container import MountFacts
from engine.errors import NotObservedError
from engine.verdict import Judgement, Verdict
from hosts.facts.model import HostFacts
from phases.context.service_move import service_move
from runbooks.preflight import test_services as preflight
from tests.fakes.asking import answers_of
from tests.fakes.facts import GIB, make_container, make_disk, make_host, make_volume

BIND = MountFacts("bind", "/srv/redis", "/conf", read_only=False)


def context(target: HostFacts, *mounts: MountFacts) -> Any:
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
        move_of=lambda service: SimpleNamespace(service="redis", source="wf005", target="wf001"),
        facts=lambda host: source if host == "wf005" else target,
        container=lambda service, host: container,
        product=lambda service: None,
        entry=lambda service: SimpleNamespace(mounts=rules, container="redis"),
        scope=SimpleNamespace(thresholds=lambda host: SimpleNamespace(disk_percent=85)),
    )


def data_fits(there: Any) -> tuple[Judgement, ...]:
    """Return what preflight says of the room on the target."""
    return answers_of(preflight.test_data_fits, service_move=service_move(there, "redis"))


def test_a_volume_is_judged_by_the_disk_of_the_volumes_folder() -> None:
    """Docker's root has room, its `volumes` folder is a small disk of its own: it does not fit, and that
    disk is named.
    """
    small = make_disk(mount="/var/lib/docker/volumes", size_bytes=GIB, free_bytes=GIB)
    target = make_host(file_systems=(make_disk(), make_disk(mount="/var/lib/docker"), small))

    fits, after = data_fits(context(target))

    assert (fits.verdict, after.verdict) == (Verdict.FAILED, Verdict.FAILED)
    assert "wf001: /var/lib/docker/volumes has 1.0 GiB free" in fits.text


def test_a_bind_mount_is_judged_by_the_disk_of_its_path() -> None:
    """It will lie at the same path on the target."""
    needs = service_move(context(make_host(docker_root="/data/docker"), BIND), "redis").space_needs()

    assert [(need.path, need.size_bytes) for need in needs] == [
        ("/data/docker/volumes/redis_data", 10 * GIB),
        ("/srv/redis", GIB),
    ]


def test_with_docker_silent_the_place_of_volumes_is_not_known() -> None:
    """The message says that Docker does not answer, not that there is no file system for nothing."""
    silent = make_host(docker_version="", docker_error="no answer in time", docker_root="")

    with pytest.raises(NotObservedError, match=r"wf001: its Docker Engine does not answer \(no answer in time\)"):
        data_fits(context(silent))


def test_the_size_is_known_when_the_source_is_kept_under_its_new_name() -> None:
    """A rollback asks how much it sets aside, when the moved service's old container has been renamed."""
    container = make_container(name="redis-moved")
    source = make_host(host="wf005", containers=(container,), volumes=(make_volume("redis_data", size_bytes=10 * GIB),))
    moved = context(make_host())
    moved.facts = lambda host: source if host == "wf005" else make_host()

    assert [need.size_bytes for need in service_move(moved, "redis").space_needs()] == [10 * GIB]
