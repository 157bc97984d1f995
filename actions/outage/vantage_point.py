"""Where the outage probe looks from, and what it asks: as a dependant on the source does, else at the published port.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from actions.relays.planning import LOOPBACK
from engine.config.inventory import ServiceEntry
from engine.config.scope import Scope

OWN_PROTOCOLS: Final = frozenset({"postgres", "redis"})
HOST_NETWORK: Final = "host"


@dataclass(frozen=True)
class ProbeTarget:
    """What the probe asks: from which network of the source, under which name and port, with which question."""

    network: str  # a dependant's network, or "host"
    name: str  # the link's name, or an address
    port: int
    question: str  # postgres | redis | http | tcp
    path: str = "/"

    def viewpoint(self, host: str) -> str:
        """Return where the outage was seen from, for the evidence."""
        return f"{self.question} at {self.name}:{self.port} from network {self.network} on {host}"


def choose_probe_target(scope: Scope, service: str, where: Mapping[str, str]) -> ProbeTarget | None:
    """Return where to look at a service from its source host; None when nobody there can reach it.

    A dependant's view comes first: it is the one that the relay under the old name must keep. `where` is before the
    move.
    """
    entry = scope.services[service]
    for link in scope.dependants_of(service):
        if where.get(link.from_) != entry.host:
            continue
        shared = [network for network in scope.services[link.from_].networks if network in entry.networks]
        if shared:
            return ProbeTarget(shared[0], link.name, link.port, *_question(entry, link.port))
    for port in entry.ports:
        if port.protocol == "tcp" and (port.address or "") not in LOOPBACK:
            address = scope.environment.hosts[entry.host].address
            return ProbeTarget(HOST_NETWORK, address, port.host, *_question(entry, port.container))
    return None


def _question(entry: ServiceEntry, container_port: int) -> tuple[str, str]:
    """Return the question at the product's own level and its path; a bare connect only where nothing better
    is known.
    """
    if entry.product in OWN_PROTOCOLS:
        return entry.product, "/"
    health = entry.health
    if health is not None and health.kind == "http" and health.port in {None, container_port}:
        return "http", health.path or "/"
    return "tcp", "/"
