"""What else the one trip reports of a host: connections, firewall, mounts, kernel, users, and what containers use.

Each section that could not be read is in `errors` with its reason; `need` turns that into CouldNotLookError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from engine.errors import NotObservedError
from engine.finding import say
from engine.journal.samples import DiskUse

LOOK_WITH: Final[Mapping[str, str]] = {
    "connections": "ss -Htn state established",
    "namespaces": "sudo cat /proc/net/tcp",
    "firewall": "sudo iptables-save",
    "mounts": "cat /proc/mounts",
    "settings": "sysctl vm.max_map_count",
    "users": "cat /etc/passwd",
    "synchronised": "timedatectl show -p NTPSynchronized",
    "owners": "docker inspect CONTAINER",
    "limits": "docker inspect CONTAINER",
    "usage": "docker stats --no-stream",
    "mentions": "grep -rl docker /etc/systemd/system",
    "prunes": "grep -rl prune /etc/cron.d /etc/cron.daily /etc/systemd/system",
    "units": "grep -rl docker /etc/systemd/system",
}
"""A command to look with, for each section."""


@dataclass(frozen=True)
class Connection:
    """One established TCP connection, from the side of the host or container that was asked."""

    local_address: str
    local_port: int
    peer_address: str
    peer_port: int


@dataclass(frozen=True)
class ContainerSockets:
    """The TCP connections of one container's own network, and the ports that it listens on there."""

    connections: tuple[Connection, ...] = ()
    listening: frozenset[int] = frozenset()


class FirewallVerdict(str, Enum):
    """What a firewall's rule does with a packet that no earlier rule took."""

    ACCEPT = "ACCEPT"
    DROP = "DROP"
    REJECT = "REJECT"


@dataclass(frozen=True)
class FirewallRule:
    """One rule (or a chain's policy) as its tool printed it; `ports` are the destination ports that it names, empty:
    all.
    """

    chain: str
    text: str
    verdict: FirewallVerdict
    protocol: str = ""  # "": all
    ports: frozenset[int] = frozenset()
    is_narrow: bool = False  # it holds for some peers, interfaces or states only


@dataclass(frozen=True)
class Usage:
    """What a container used at one moment: memory without the page cache that can be dropped, processor seconds since
    its start.

    `disks` by name, where they were asked: None when they could not be read.
    """

    memory_bytes: int | None
    cpu_s: float | None
    disks: Mapping[str, DiskUse] | None = None


@dataclass(frozen=True)
class EngineSettings:
    """How the Docker Engine is set up, from `docker info`."""

    cgroup_driver: str = ""
    cgroup_version: str = ""
    security: tuple[str, ...] = ()  # "name=seccomp", "name=userns", "name=rootless"
    live_restore: bool = False

    @property
    def is_rootless(self) -> bool:
        """Return whether it runs without root."""
        return "rootless" in self._names

    @property
    def remaps_users(self) -> bool:
        """Return whether users in containers are others on the host (userns-remap)."""
        return "userns" in self._names

    @property
    def _names(self) -> set[str]:
        return {word.removeprefix("name=") for option in self.security for word in option.split(",")}


@dataclass(frozen=True)
class SystemFacts:
    """All of it; what was not read is empty here and is in `errors`."""

    host: str = ""
    connections: tuple[Connection, ...] = ()
    container_sockets: Mapping[int, ContainerSockets] = field(default_factory=dict)  # by the container's main process
    firewall: tuple[FirewallRule, ...] = ()
    read_only_mounts: frozenset[str] = frozenset()
    settings: Mapping[str, str] = field(default_factory=dict)  # "vm.max_map_count": "262144"
    users: Mapping[int, str] = field(default_factory=dict)
    owners: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # path: user, group
    is_synchronised: bool | None = None
    time_source: str = ""
    open_files: Mapping[int, int] = field(default_factory=dict)  # by process: its soft limit
    engine_open_files: int | None = None
    usage: Mapping[str, Usage] = field(default_factory=dict)  # by container id
    mentions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # file: container names in it
    prunes: tuple[str, ...] = ()  # files of systemd and cron that run `docker … prune`
    units: tuple[str, ...] = ()  # systemd's files that speak of docker or compose
    engine: EngineSettings = field(default_factory=EngineSettings)
    errors: Mapping[str, str] = field(default_factory=dict)

    def need(self, section: str) -> None:
        """Raise CouldNotLookError when a section could not be read."""
        if section in self.errors:
            raise NotObservedError(
                say(
                    "{host}: its {section} could not be read ({error}). Expected: an answer. Try: ssh {host} "
                    "{look_with}",
                    host=self.host,
                    section=section,
                    error=self.errors[section],
                    look_with=LOOK_WITH[section],
                )
            )

    def pruning(self) -> tuple[str, ...]:
        """Return the files of systemd and cron that remove stopped containers or unused volumes; raises
        CouldNotLookError.
        """
        self.need("prunes")
        return self.prunes

    def mentioning(self, container: str) -> tuple[str, ...]:
        """Return the files of systemd and cron that mention a container's name; raises CouldNotLookError."""
        self.need("mentions")
        return tuple(file for file, names in self.mentions.items() if any(container in name for name in names))
