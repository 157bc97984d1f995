"""Is every connection between two containers declared as a link? An undeclared one would lose its way when an end moves. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from engine.inventory import Link
from engine.model import ContainerFacts
from engine.product import LABEL_ROLE
from engine.verdict import Judgement, failed, passed, unknown
from hosts.facts import HostFacts

SHOWN: Final = 10


@dataclass(frozen=True, order=True)
class Connection:
    """One container's established connection to another one's port, each end by host and container."""

    client_host: str
    client: str
    server_host: str
    server: str
    port: int

    def text(self) -> str:
        """Return it with both ends."""
        return f"{self.client} on {self.client_host} → {self.server}:{self.port} on {self.server_host}"


def list_connections(hosts: Collection[HostFacts], addresses: Mapping[str, str]) -> set[Connection]:
    """Return the connections between containers that are established now; `addresses` are the hosts' own, by name.

    Relays, probes and helpers of ours are no ends. A connection through a host's published port counts as one to the container.
    """
    found: set[Connection] = set()
    for facts in hosts:
        inside = {address: container for container in facts.containers for address in _addresses(container)}
        for container in facts.containers:
            sockets = facts.connections.get(container.id)
            if sockets is None or LABEL_ROLE in container.labels:
                continue
            for port, remote, remote_port in sockets.established:
                if port in sockets.listening:
                    continue  # it is the server here; its client's own list has the connection too
                for server_host, server, server_port in _servers(facts, inside, hosts, addresses, remote, remote_port):
                    if LABEL_ROLE not in server.labels and server.id != container.id:
                        found.add(Connection(facts.host, container.name, server_host, server.name, server_port))
    return found


def _addresses(container: ContainerFacts) -> Iterator[str]:
    networks = (container.raw.get("NetworkSettings") or {}).get("Networks") or {}
    yield from (address for network in networks.values() for address in (network.get("IPAddress"), network.get("GlobalIPv6Address")) if address)


def _servers(  # noqa: PLR0917 where to look, and for what
    facts: HostFacts,
    inside: Mapping[str, ContainerFacts],
    hosts: Iterable[HostFacts],
    addresses: Mapping[str, str],
    remote: str,
    port: int,
) -> Iterator[tuple[str, ContainerFacts, int]]:
    """Yield whose port that is: a neighbour's own, or one that a host publishes."""
    if remote in inside:
        yield facts.host, inside[remote], port
        return
    gateways = {
        str(network.get("Gateway"))
        for container in facts.containers
        for network in ((container.raw.get("NetworkSettings") or {}).get("Networks") or {}).values()
    }
    for host in hosts:
        if remote == addresses.get(host.host) or (host.host == facts.host and remote in gateways):
            for container in host.containers:
                for _, published, own, protocol in container.published:
                    if published == port and protocol == "tcp" and container.running:
                        yield host.host, container, own


def judge_connections_declared(service: str, container: ContainerFacts, seen: Collection[Connection], names: Mapping[tuple[str, str], str],
                               links: Collection[Link], *, unread: str = "") -> Judgement:  # fmt: skip
    """Judge whether each connection from or to a service's container stands in the inventory; `names` are services by host and container."""
    if unread:
        return unknown(f"{service}: the connections of its container could not be read: {unread}")
    ends = (container.host, container.name)
    mine = sorted(one for one in seen if ends in {(one.client_host, one.client), (one.server_host, one.server)})
    declared = {(link.from_, link.to, link.port) for link in links}

    def is_declared(one: Connection) -> bool:
        return (names.get((one.client_host, one.client)), names.get((one.server_host, one.server)), one.port) in declared

    undeclared = [one for one in mine if not is_declared(one)]
    if not undeclared:
        return passed(f"{service}: all {len(mine)} of its connections with other containers are declared (one that is idle now is not seen)")
    told = tuple(one.text() for one in undeclared)
    first = undeclared[0]
    here, there = (names.get(end, f"?{end[1]}") for end in ((first.client_host, first.client), (first.server_host, first.server)))
    return failed(
        f"{service}: {len(undeclared)} of {len(mine)} connections are not declared: {'; '.join(told[:3])}. Expected: each is a link of the "
        f"inventory, so that a relay keeps its name. "
        f"Add: {{from: {here}, to: {there}, name: {first.server}, port: {first.port}}}, or end the connection",
        told[:SHOWN],
        undeclared=len(undeclared),
    )
