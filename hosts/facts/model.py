"""Model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from engine.contracts.container import ContainerFacts
from engine.errors import NotObservedError
from engine.finding import say
from hosts.facts.system import SystemFacts


@dataclass(frozen=True)
class ImageFacts:
    """One image; `layers` are the RootFS diff IDs."""

    id: str
    tags: tuple[str, ...]
    architecture: str
    layers: tuple[str, ...]
    size_bytes: int


@dataclass(frozen=True)
class VolumeFacts:
    """One volume; `size_bytes` is None when it could not be measured."""

    name: str
    driver: str
    labels: Mapping[str, str]
    options: Mapping[str, str]
    mountpoint: str
    size_bytes: int | None


@dataclass(frozen=True)
class NetworkFacts:
    """One network."""

    id: str
    name: str
    driver: str
    subnets: tuple[str, ...]
    labels: Mapping[str, str]
    internal: bool


@dataclass(frozen=True)
class ListeningSocket:
    """One socket that listens; `process` is "" when it was not reported."""

    protocol: str
    address: str
    port: int
    process: str


@dataclass(frozen=True)
class FileSystem:
    """One mounted file system."""

    mount: str
    device: str
    size_bytes: int
    free_bytes: int
    inodes: int
    inodes_free: int
    reserved_bytes: int = 0  # neither used nor free to us: kept for root, or by a quota of the disk below

    @property
    def used_bytes(self) -> int:
        """Return what is used, as df counts it."""
        return self.size_bytes - self.free_bytes - self.reserved_bytes


@dataclass(frozen=True)
class HostFacts:
    """A host at one moment. `docker_version` is "" and `docker_error` says why when its engine did not answer.

    `clock_offset_s` is the host's clock minus ours, give or take `clock_uncertainty_s`; None when it could not be read.
    """

    host: str
    gathered_at: datetime
    machine_id: str
    lab: bool
    kernel: str
    architecture: str
    os_name: str
    docker_version: str
    docker_error: str
    engine_id: str
    storage_driver: str
    docker_root: str
    containers: tuple[ContainerFacts, ...] = field(repr=False)
    images: tuple[ImageFacts, ...]
    volumes: tuple[VolumeFacts, ...]
    networks: tuple[NetworkFacts, ...]
    listening: tuple[ListeningSocket, ...]
    file_systems: tuple[FileSystem, ...]
    memory_total_bytes: int
    memory_available_bytes: int
    load_1m: float
    cpus: int
    clock_offset_s: float | None
    compose_projects: tuple[str, ...]
    path_sizes: Mapping[str, int] = field(default_factory=dict)
    listening_error: str = ""
    clock_uncertainty_s: float = 0.0
    around: SystemFacts = field(default_factory=SystemFacts)

    def container(self, name: str) -> ContainerFacts | None:
        """Return a container by name; raises CouldNotLookError when the engine did not answer."""
        self.need_docker()
        return next((container for container in self.containers if container.name == name), None)

    def volume(self, name: str) -> VolumeFacts | None:
        """Return a volume by name; raises CouldNotLookError when the engine did not answer."""
        self.need_docker()
        return next((volume for volume in self.volumes if volume.name == name), None)

    def image_for(self, reference: str) -> ImageFacts | None:
        """Return the image with a tag or ID; raises CouldNotLookError when the engine did not answer."""
        self.need_docker()
        return next((image for image in self.images if reference == image.id or reference in image.tags), None)

    def bind_size(self, path: str) -> int | None:
        """Return the size in bytes of a bind mount's source, None when it was not measured."""
        return self.path_sizes.get(path)

    def file_system_of(self, path: str) -> FileSystem | None:
        """Return the file system that holds a path: the one with the longest matching mount point."""
        holding = [fs for fs in self.file_systems if path == fs.mount or path.startswith(fs.mount.rstrip("/") + "/")]
        return max(holding, key=lambda fs: len(fs.mount), default=None)

    def need_docker(self) -> None:
        """Raise CouldNotLookError when the engine did not answer: nothing is known about containers then."""
        if not self.docker_version:
            raise NotObservedError(
                say(
                    "{host}: its Docker Engine does not answer ({docker_error}). Try: ssh {host} docker version",
                    host=self.host,
                    docker_error=self.docker_error or say("no reason given"),
                )
            )

    def need_sockets(self) -> None:
        """Raise CouldNotLookError when the listening sockets could not be read."""
        if self.listening_error:
            raise NotObservedError(
                say(
                    "{host}: its listening sockets could not be read ({listening_error}). Expected: an answer of ss "
                    "(package iproute2). Try: ssh {host} ss -Hltnup",
                    host=self.host,
                    listening_error=self.listening_error,
                )
            )
