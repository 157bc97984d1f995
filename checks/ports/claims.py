"""Who wants which port of a host: containers, processes, compose files, moves and relays, as claims that can be
compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from checks.compose.grouping import LABEL_PROJECT, LABEL_SERVICE
from checks.compose.model import ComposeProject, ComposeService
from checks.ports.addresses import Bound, bound_of
from engine.constants import LABEL_ROLE
from engine.contracts.container import ContainerFacts
from hosts.facts.model import HostFacts, ListeningSocket

PROXIES: Final = frozenset({"docker-proxy", "rootlesskit", ""})
"""Processes that listen for a container; "" is one whose name was not reported."""
ENDED: Final = frozenset({"exited", "created", "dead"})


class Level(IntEnum):
    """How sure it is that the port will be needed."""

    DECLARED = 1  # only a file says so, and nothing was ever started from it here
    CLAIMED = (
        2  # it will be taken: by a restart, by the next `docker compose up` of a project in use, by a move, by a relay
    )
    HELD = 3  # it is taken now


@dataclass(frozen=True)
class Claim:
    """One claim on ports of one host; `identity` is the same for one thing that is seen twice."""

    host: str
    first: int
    last: int
    protocol: str
    bound: Bound
    level: Level
    kind: str  # container | process | compose | move | relay
    who: str
    identity: str
    address: str = ""

    @property
    def port_text(self) -> str:
        """Return the port as messages have it."""
        number = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        shown = (
            f"[{self.address}]:{number}"
            if ":" in self.address
            else f"{self.address}:{number}"
            if self.address
            else number
        )
        return f"{shown}/{self.protocol}"


def claims_of_host(facts: HostFacts, projects: Iterable[ComposeProject]) -> tuple[Claim, ...]:
    """Return all claims on a host's ports; raises CouldNotLookError when its containers or sockets were not seen."""
    facts.need_docker()
    facts.need_sockets()
    of_containers = [claim for container in facts.containers for claim in _of_container(container)]
    of_sockets = [claim for socket in facts.listening if (claim := _of_socket(facts.host, socket, of_containers))]
    return (*of_containers, *of_sockets, *claims_of_projects(facts.host, projects, facts.containers))


def claims_of_projects(
    host: str, projects: Iterable[ComposeProject], containers: Iterable[ContainerFacts] = ()
) -> Iterator[Claim]:
    """Yield what the compose files of a host want; `containers` show which projects are in use there."""
    containers = tuple(containers)
    used = {container.labels.get(LABEL_PROJECT, "") for container in containers}
    named = {container.name: identity_of(container) for container in containers}
    running = {identity_of(container) for container in containers if container.running}
    for project in projects:
        for service in project.services:
            identity = named.get(service.container_name, f"{project.name}/{service.name}")
            listens_itself = service.on_host_network and identity in running  # then its sockets are seen
            if project.is_default and service.is_active and service.replicas and not listens_itself:
                level = Level.CLAIMED if project.name in used else Level.DECLARED
                yield from _of_service(host, project, service, level, identity)


def _of_service(
    host: str, project: ComposeProject, service: ComposeService, level: Level, identity: str
) -> Iterator[Claim]:
    for declared in service.claimed:
        published = declared.published
        if not published.is_fixed:
            continue  # Docker takes a port that is free
        who = f"{project.name}/{service.name} ({declared.place.text()})"
        address, protocol = published.address, published.protocol
        yield Claim(host, *published.host, protocol, bound_of(address), level, "compose", who, identity, address)


def identity_of(container: ContainerFacts) -> str:
    """Return what makes a container and the compose service behind it one thing."""
    project, service = container.labels.get(LABEL_PROJECT), container.labels.get(LABEL_SERVICE)
    return f"{project}/{service}" if project and service else container.name


def _of_container(container: ContainerFacts) -> Iterator[Claim]:
    if container.state in ENDED and container.restart_policy in {"", "no"}:
        return
    level = Level.CLAIMED if container.state in ENDED else Level.HELD
    kind = "relay" if container.labels.get(LABEL_ROLE) == "forwarder" else "container"
    for address, port, _, protocol in container.published:
        who = f"container {container.name} ({container.state})"
        yield Claim(
            container.host, port, port, protocol, bound_of(address), level, kind, who, identity_of(container), address
        )


def _of_socket(host: str, socket: ListeningSocket, of_containers: Iterable[Claim]) -> Claim | None:
    """Return the claim of a listening process, None when it listens for a container that is known."""
    protocol, bound = socket.protocol[:3], bound_of(socket.address, of_socket=True)
    if socket.process in PROXIES and any(
        (claim.first, claim.protocol) == (socket.port, protocol) for claim in of_containers
    ):
        return None
    who = f"process {socket.process or 'not named'} on {socket.address}"
    return Claim(
        host,
        socket.port,
        socket.port,
        protocol,
        bound,
        Level.HELD,
        "process",
        who,
        f"process {socket.process}:{socket.port}",
        socket.address,
    )
