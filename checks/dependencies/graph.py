"""Who depends on whom: as the inventory declares it, as settings say it, and as connections show it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from checks.dependencies.environment_links import draft_links
from engine.config.inventory import Link
from engine.constants import LABEL_ROLE
from engine.contracts.container import ContainerFacts
from engine.finding import joined, say
from engine.i18n.language import term
from engine.report_sections import Graph, Kind, Line, Node, Table
from engine.verdict import Judgement, failed, passed, unknown
from hosts.facts.model import HostFacts
from hosts.facts.system import Connection

COUNTED: Final = re.compile(r"\d+ connections")


@dataclass(frozen=True, order=True)
class Dependency:
    """`from_` reaches `to` at a port of its container; both are services by name, or containers as `container@host`."""

    from_: str
    to: str
    port: int

    def text(self) -> str:
        """Return it as one line."""
        return f"{self.from_} → {self.to}:{self.port}"


@dataclass(frozen=True)
class DependencyGraph:
    """All edges: how each was seen, and by which links it is declared."""

    seen: Mapping[Dependency, tuple[str, ...]] = field(default_factory=dict)
    declared: frozenset[Dependency] = frozenset()
    outside: Mapping[tuple[str, str, int], int] = field(
        default_factory=dict
    )  # service, address of no host of ours, port: connections
    blind: Mapping[str, str] = field(default_factory=dict)  # host: why its connections are not known

    @property
    def edges(self) -> tuple[Dependency, ...]:
        """Return all, declared or seen."""
        return tuple(sorted({*self.seen, *self.declared}))

    @property
    def undeclared(self) -> tuple[Dependency, ...]:
        """Return what was seen and is not declared."""
        return tuple(sorted(set(self.seen) - self.declared))

    def with_unreachable(self, hosts: Mapping[str, str]) -> DependencyGraph:
        """Return the same, with the hosts that nothing is known about, each with its reason."""
        return replace(self, blind={**self.blind, **hosts})

    def graph(self, where: Mapping[str, str]) -> Graph:
        """Return the edges as a graph; `where` holds the host of each service, other containers carry theirs in their
        names.
        """
        names = sorted({end for edge in self.edges for end in (edge.from_, edge.to)})
        nodes = [Node(name, where.get(name) or name.rpartition("@")[2]) for name in names]
        lines = [Line(edge.from_, edge.to, f"{edge.port}, {self._kind(edge)}", self._kind(edge)) for edge in self.edges]
        return Graph(
            term("Who depends on whom, drawn"),
            tuple(sorted(nodes, key=lambda node: (node.column, node.name))),
            tuple(lines),
        )

    def _kind(self, edge: Dependency) -> Kind:
        if edge not in self.declared:
            return "undeclared"
        return "declared" if edge in self.seen else "unseen"

    def table(self) -> Table:
        """Return one row for each edge, then what goes to addresses outside."""
        rows: list[tuple[str, str, str, str]] = [
            (
                edge.from_,
                f"{edge.to}:{edge.port}",
                say("yes") if edge in self.declared else say("NO"),
                "; ".join(self.seen.get(edge, ())) or say("not seen"),
            )
            for edge in self.edges
        ]
        rows += [
            (name, f"{address}:{port}", say("outside"), say("{count} connections", count=count))
            for (name, address, port), count in sorted(self.outside.items())
        ]
        rows += [
            (host, "–", "–", say("UNKNOWN: {reason}", reason=reason)) for host, reason in sorted(self.blind.items())
        ]
        return Table(term("Who depends on whom"), ("from", "to", "declared", "seen"), tuple(rows))


def read_references(
    hosts: Iterable[HostFacts],
    links: Iterable[Link],
    services: Mapping[tuple[str, str], str],
    addresses: Mapping[str, str],
) -> DependencyGraph:
    """Return the references between the containers of some hosts.

    `services` names a service by host and container name, `addresses` a host by its address.

    A relay of ours is left out: what it carries is a declared link.
    """
    hosts = tuple(hosts)
    seen: dict[Dependency, list[str]] = defaultdict(list)
    outside: dict[tuple[str, str, int], int] = defaultdict(int)
    places = _Places(hosts, services, addresses)
    for facts in hosts:
        for edge, how in _by_settings(facts, places):
            seen[edge].append(how)
        for edge, count in _by_connections(facts, places, outside).items():
            seen[edge].append(f"{count} connections")
    declared = frozenset(Dependency(link.from_, link.to, link.port) for link in links)
    blind = {facts.host: facts.around.errors["namespaces"] for facts in hosts if "namespaces" in facts.around.errors}
    return DependencyGraph({edge: tuple(dict.fromkeys(how)) for edge, how in seen.items()}, declared, outside, blind)


def merge_references(looks: Iterable[DependencyGraph]) -> DependencyGraph:
    """Return what was seen in any of several looks at the same hosts; of connections the most that were
    open at once.
    """
    seen: dict[Dependency, dict[str, None]] = defaultdict(dict)
    outside: dict[tuple[str, str, int], int] = {}
    blind: dict[str, str] = {}
    declared: frozenset[Dependency] = frozenset()
    for look in looks:
        declared |= look.declared
        blind |= look.blind
        for edge, how in look.seen.items():
            seen[edge] |= dict.fromkeys(how)
        for end, count in look.outside.items():
            outside[end] = max(count, outside.get(end, 0))
    return DependencyGraph({edge: _most(how) for edge, how in seen.items()}, declared, outside, blind)


def _most(how: Iterable[str]) -> tuple[str, ...]:
    """Return the ways in which an edge was seen, with one count of connections: the largest."""
    counts = [int(one.split()[0]) for one in how if COUNTED.fullmatch(one)]
    return (*(one for one in how if not COUNTED.fullmatch(one)), *([f"{max(counts)} connections"] if counts else []))


def judge_links_declared(references: DependencyGraph, service: str, host: str) -> Judgement:
    """Judge whether every connection of a service with another container is a link of the inventory: only those are
    tested and kept.

    `host` is where the service is: without an answer about its connections nothing is proven.
    """
    mine = [edge for edge in references.edges if service in (edge.from_, edge.to)]
    undeclared = [edge for edge in references.undeclared if service in (edge.from_, edge.to)]
    if undeclared:
        details = tuple(
            say("{edge} ({seen})", edge=edge.text(), seen="; ".join(references.seen[edge])) for edge in undeclared
        )
        first = undeclared[0]
        return failed(
            say(
                "{service}: {undeclared_count} of {mine_count} connections are not declared: {detail}. Expected: a "
                "link for each, or it breaks with the move. Add under links: in inventory.yaml: {{from: {from_}, to: "
                "{to}, name: {to}, port: {port}}}",
                service=service,
                undeclared_count=len(undeclared),
                mine_count=len(mine),
                detail=details[0],
                from_=first.from_,
                to=first.to,
                port=first.port,
            ),
            details,
            undeclared=len(undeclared),
        )
    if host in references.blind:
        return unknown(
            say(
                "{service}: its connections on {host} are not known ({blind}). Expected: an answer. Try: ssh {host} "
                "true, and as root there: cat /proc/net/tcp",
                service=service,
                host=host,
                blind=references.blind[host],
            )
        )
    silent = tuple(
        say("{edge}: declared, not seen at this moment", edge=edge.text())
        for edge in mine
        if edge not in references.seen
    )
    blind = joined(
        "; ",
        (
            say("connections on {host} are not known ({reason})", host=host, reason=reason)
            for host, reason in references.blind.items()
        ),
    )
    declared = say(
        "{service}: all {mine_count} connections with other containers are declared, {count} of them seen",
        service=service,
        mine_count=len(mine),
        count=len(mine) - len(silent),
    )
    return passed(
        say("{declared}{blind}", declared=declared, blind=f"; {blind}" if blind else ""), silent, links=len(mine)
    )


class _Places:
    """Where an address and a port lead, on some host."""

    def __init__(
        self, hosts: Iterable[HostFacts], services: Mapping[tuple[str, str], str], addresses: Mapping[str, str]
    ) -> None:
        self.services, self.addresses = services, addresses
        self.gateways: set[tuple[str, str]] = set()
        self.published: dict[tuple[str, int], tuple[ContainerFacts, int]] = {}
        self.own: dict[tuple[str, str], ContainerFacts] = {}
        for facts in hosts:
            for container in facts.containers:
                self._add(facts.host, container)

    def _add(self, host: str, container: ContainerFacts) -> None:
        for network in (((container.raw.get("NetworkSettings") or {}).get("Networks")) or {}).values():
            for key in ("IPAddress", "GlobalIPv6Address"):
                if network.get(key):
                    self.own[host, str(network[key])] = container
            self.gateways.add((host, str(network.get("Gateway") or "")))
        for _, port, inside, protocol in container.published:
            if protocol == "tcp" and container.running:
                self.published[host, port] = (container, inside)

    def name(self, container: ContainerFacts) -> str:
        """Return the service, or the container and its host."""
        return self.services.get((container.host, container.name), f"{container.name}@{container.host}")

    def peer(self, host: str, connection: Connection) -> tuple[ContainerFacts, int] | None:
        """Return the container and its port that a connection from this host leads to, None when it is none of ours."""
        found = self.own.get((host, connection.peer_address))
        if found:
            return found, connection.peer_port
        there = (
            host if (host, connection.peer_address) in self.gateways else self.addresses.get(connection.peer_address)
        )
        return self.published.get((there, connection.peer_port)) if there else None


def _by_settings(facts: HostFacts, places: _Places) -> Iterator[tuple[Dependency, str]]:
    """Yield what environments say of containers of the same host: `name:port`, and pairs of …HOST and …PORT."""
    ours = [container for container in facts.containers if LABEL_ROLE not in container.labels and container.running]
    entries = {container.name: {"container": container.name} for container in ours}
    by_name = {container.name: container for container in ours}
    for link in draft_links(ours, entries):
        dependant, provider = by_name[link["from"]], by_name[link["to"]]
        yield (
            Dependency(places.name(dependant), places.name(provider), int(link["port"])),
            f"settings of {dependant.name}",
        )


def _by_connections(
    facts: HostFacts, places: _Places, outside: dict[tuple[str, str, int], int]
) -> dict[Dependency, int]:
    """Count the connections that containers of a host opened, by where they lead; one at a port that it listens on was
    opened by the other end.
    """
    counted: dict[Dependency, int] = defaultdict(int)
    for container in facts.containers:
        sockets = facts.around.container_sockets.get((container.raw.get("State") or {}).get("Pid") or 0)
        if not container.running or sockets is None or LABEL_ROLE in container.labels or _is_on_host(container):
            continue
        for connection in sockets.connections:
            if connection.local_port in sockets.listening or _is_loopback(connection.peer_address):
                continue
            found, here = places.peer(facts.host, connection), places.name(container)
            if found is None:
                outside[here, connection.peer_address, connection.peer_port] += 1
            elif LABEL_ROLE not in found[0].labels and found[0].id != container.id:
                counted[Dependency(here, places.name(found[0]), found[1])] += 1
    return counted


def _is_on_host(container: ContainerFacts) -> bool:
    return str((container.raw.get("HostConfig") or {}).get("NetworkMode") or "") == "host"


def _is_loopback(address: str) -> bool:
    return bool(re.match(r"127\.|::1$", address))
