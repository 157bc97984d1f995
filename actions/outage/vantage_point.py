"""Where the outage probe looks from, and what it asks: as a dependant on the source does, else at the published port.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from actions.relays.planning import LOOPBACK
from engine.config.inventory import ServiceEntry
from engine.config.scope import Scope
from engine.contracts.product import ProbeQuestion
from engine.finding import say
from services.registry import product_or_generic

HOST_NETWORK: Final = "host"


@dataclass(frozen=True)
class ProbeTarget:
    """What the probe asks: from which network of the source, under which name and port, with which question."""

    network: str  # a dependant's network, or "host"
    name: str  # the link's name, or an address
    port: int
    question: str  # http, tcp, or the name of the product's own question
    path: str = "/"
    own: ProbeQuestion | None = field(default=None, compare=False)

    def words(self) -> list[str]:
        """Return the probe program's arguments that say what is asked: a kind, a path, and for a product's own question
        what is sent and how good answers begin, in hex.
        """
        if self.own is None:
            return [self.question, self.path, "", ""]
        return ["own", self.path, self.own.sends.hex(), ",".join(start.hex() for start in self.own.good)]

    def viewpoint(self, host: str) -> str:
        """Return where the outage was seen from, for the evidence."""
        return say(
            "{question} at {name}:{port} from network {network} on {host}",
            question=self.question,
            name=self.name,
            port=str(self.port),
            network=self.network,
            host=host,
        )


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


def _question(entry: ServiceEntry, container_port: int) -> tuple[str, str, ProbeQuestion | None]:
    """Return the question at the product's own level, its path and what is sent; a bare connect only where nothing
    better is known.
    """
    own = product_or_generic(entry.product).probe_question
    if own is not None:
        return own.name, "/", own
    health = entry.health
    if health is not None and health.kind == "http" and health.port in {None, container_port}:
        return "http", health.path or "/", None
    return "tcp", "/", None
