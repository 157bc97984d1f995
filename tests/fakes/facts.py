"""Facts for the unit tests of checks and actions: a small host that a test changes by what it is about."""

from __future__ import annotations

from dataclasses import MISSING, fields
from datetime import UTC, datetime
from typing import Any, Final

from engine.contracts.container import ContainerFacts, MountFacts
from hosts.facts.model import FileSystem, HostFacts, ImageFacts, ListeningSocket, NetworkFacts, VolumeFacts

GIB: Final = 1024**3
LABEL: Final = "lab/redis/1"


def make(kind: type[Any], **given: Any) -> Any:
    """Return a frozen value of `kind`; fields not given and without a default are None."""
    values = {f.name: None for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
    return kind(**{**values, **given})


def make_host(**given: Any) -> HostFacts:
    """Return a healthy, empty host wf001."""
    healthy: dict[str, Any] = {
        "host": "wf001",
        "gathered_at": datetime(2026, 1, 1, tzinfo=UTC),
        "machine_id": "m",
        "lab": True,
        "kernel": "6.1",
        "architecture": "x86_64",
        "os_name": "Debian 13",
        "docker_version": "26.1.5",
        "docker_error": "",
        "engine_id": "e",
        "storage_driver": "overlay2",
        "docker_root": "/var/lib/docker",
        "containers": (),
        "images": (),
        "volumes": (),
        "networks": (),
        "listening": (),
        "file_systems": (make_disk(),),
        "memory_total_bytes": 8 * GIB,
        "memory_available_bytes": 4 * GIB,
        "load_1m": 0.1,
        "cpus": 2,
        "clock_offset_s": 0.0,
        "compose_projects": (),
    }
    host: HostFacts = make(HostFacts, **{**healthy, **given})
    return host


def make_disk(**given: Any) -> FileSystem:
    """Return a root file system of 100 GiB, half free."""
    disk: dict[str, Any] = {
        "mount": "/", "device": "/dev/sda1", "size_bytes": 100 * GIB, "free_bytes": 50 * GIB, "inodes": 1_000_000,
        "inodes_free": 900_000,
    }  # fmt: skip
    made: FileSystem = make(FileSystem, **{**disk, **given})
    return made


def make_container(**given: Any) -> ContainerFacts:
    """Return redis, running on wf005 with one volume."""
    redis: dict[str, Any] = {
        "host": "wf005", "id": "c" * 64, "name": "redis", "image_ref": "redis:8", "image_id": "sha256:" + "1" * 64,
        "state": "running", "exit_code": 0, "health": "none", "restart_policy": "always",
        "mounts": (MountFacts("volume", "redis_data", "/data", read_only=False),), "networks": {"shop": ("redis",)},
        "published": (("0.0.0.0", 6379, 6379, "tcp"),), "labels": {}, "env": {}, "raw": {},  # noqa: S104 compared, never bound
    }  # fmt: skip
    made: ContainerFacts = make(ContainerFacts, **{**redis, **given})
    return made


def make_image(**given: Any) -> ImageFacts:
    """Return the image of redis."""
    image: dict[str, Any] = {
        "id": "sha256:" + "1" * 64, "tags": ("redis:8",), "architecture": "amd64",
        "layers": ("sha256:a", "sha256:b"), "size_bytes": 100,
    }  # fmt: skip
    made: ImageFacts = make(ImageFacts, **{**image, **given})
    return made


def make_volume(name: str, **given: Any) -> VolumeFacts:
    """Return a plain local volume."""
    volume: dict[str, Any] = {
        "name": name,
        "driver": "local",
        "labels": {},
        "options": {},
        "mountpoint": "",
        "size_bytes": 1,
    }
    made: VolumeFacts = make(VolumeFacts, **{**volume, **given})
    return made


def make_network(name: str, **given: Any) -> NetworkFacts:
    """Return a bridge network."""
    network: dict[str, Any] = {
        "id": name,
        "name": name,
        "driver": "bridge",
        "subnets": (),
        "labels": {},
        "internal": False,
    }
    made: NetworkFacts = make(NetworkFacts, **{**network, **given})
    return made


def make_socket(port: int, **given: Any) -> ListeningSocket:
    """Return a TCP socket listening everywhere."""
    socket: dict[str, Any] = {"protocol": "tcp", "address": "0.0.0.0", "port": port, "process": "nginx"}  # noqa: S104
    made: ListeningSocket = make(ListeningSocket, **{**socket, **given})
    return made
