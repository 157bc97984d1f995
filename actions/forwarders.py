"""Which relays keep every link working while its two ends are on different hosts. Pure: what is wanted, and what can't be.

A relay stands on the dependant's network under the provider's old name, or on the source's published port, and points
straight at where the provider is now: never at another relay, never beside a real container of that name (review 11).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from engine.inventory import Link, ServiceEntry
from engine.plan import landed_port
from engine.scope import Scope
from engine.verdict import Judgement, failed, passed
from hosts.facts import HostFacts

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 compared, never bound
PUBLISHED_ONLY: Final = "bridge"
"""The network of a relay that keeps only a published port: Docker's default one, where no names exist."""


@dataclass(frozen=True, order=True)
class Forwarder:
    """One relay on `host`: listens as `alias:port` on `network`, and on the host's `publish` port where there is one."""

    host: str
    network: str
    alias: str
    port: int
    to_address: str
    to_port: int
    publish: str = ""  # "0.0.0.0:5432", empty: not published

    def text(self) -> str:
        """Return it as one line."""
        shown = f"{self.host}: {self.alias}:{self.port} on {self.network}"
        if self.network == PUBLISHED_ONLY:
            shown = f"{self.host}: published {self.publish}"
        elif self.publish:
            shown += f" and published {self.publish}"
        return f"{shown} -> {self.to_address}:{self.to_port}"


@dataclass(frozen=True)
class Wanted:
    """The relays to have, and the links that no relay can keep, each with its reason and the way out."""

    forwarders: frozenset[Forwarder]
    problems: tuple[str, ...] = ()


def wanted_forwarders(scope: Scope, where: Mapping[str, str]) -> frozenset[Forwarder]:
    """Return the relays that keep every link and every published port; `where` maps each service to its host now."""
    return plan_forwarders(scope, where).forwarders


def plan_forwarders(scope: Scope, where: Mapping[str, str]) -> Wanted:
    """Return the wanted relays and the problems; a link that was re-pointed needs none."""
    problems: list[str] = []
    links = [link for link in scope.links if link.key not in scope.repointed]
    for_links = {relay for link in links for relay in _for_link(scope, where, link, problems)}
    for_links |= {relay for link in links for relay in _left_behind(scope, where, link)}
    published = {relay for name in scope.services for relay in _for_ports(scope, where, name, problems)}
    return Wanted(_merged(for_links, published), tuple(dict.fromkeys(problems)))


def judge_links_relayable(scope: Scope, service: str, facts: Mapping[str, HostFacts]) -> Judgement:
    """Judge whether every link to and from the service can be kept once it is on its target.

    `facts` are those of the scope's hosts: a running container that has a relay's name on its network is a problem.
    """
    after = {name: entry.host for name, entry in scope.services.items()}
    for move in scope.moves:
        after[move.service] = move.target
        if move.service == service:
            break
    wanted = plan_forwarders(scope, after)
    provider = scope.services[service]
    names = {service, provider.container} | {link.name for link in scope.links if link.to == service}
    problems = [problem for problem in wanted.problems if problem.split(":", 1)[0] in _subjects(scope, service)]
    for relay in wanted.forwarders:
        holder = holder_of(relay, facts.get(relay.host))
        if holder and relay.alias in names and holder != provider.container:
            problems.append(f"{relay.text()}: container {holder} has this name on this network")
    links = [link for link in scope.links if service in (link.from_, link.to)]
    if problems:
        return failed(
            f"{service}: {len(problems)} links can't be kept: {problems[0]}. Expected: each of {len(links)} can. "
            "Publish the port on the source first, or re-point the dependant by hand",
            tuple(problems),
        )
    kept = sorted(relay.text() for relay in wanted.forwarders if relay.alias in names)
    left = tuple(f"{port.host}/{port.protocol} is not relayed: {port.unrelayed}" for port in provider.ports if port.unrelayed)
    told = f"; {len(left)} ports are left without" if left else ""
    return passed(f"{service}: all {len(links)} links can be kept, by {len(kept)} relays{told}", (*kept, *left), relays=len(kept))


def holder_of(relay: Forwarder, facts: HostFacts | None) -> str | None:
    """Return the running container that has the relay's alias on its network, except relays of ours."""
    if facts is None or relay.network == PUBLISHED_ONLY:
        return None
    facts.need_docker()
    for container in facts.containers:
        if not container.running or container.labels.get("longshore.role") == "forwarder":
            continue
        if relay.network in container.networks and relay.alias in {container.name, *container.networks[relay.network]}:
            return container.name
    return None


def _subjects(scope: Scope, service: str) -> set[str]:
    return {service} | {link_name(link) for link in scope.links if service in (link.from_, link.to)}


def link_name(link: Link) -> str:
    """Return how messages call a link."""
    return f"{link.from_} to {link.to}"


def _for_link(scope: Scope, where: Mapping[str, str], link: Link, problems: list[str]) -> Iterable[Forwarder]:
    """Yield the relays on the dependant's networks, when its provider is on another host."""
    if link.from_ not in scope.services or link.to not in scope.services:
        return
    here, there = where[link.from_], where[link.to]
    if here == there or link.name in scope.environment.hosts:
        return
    dependant, provider = scope.services[link.from_], scope.services[link.to]
    networks = [name for name in dependant.networks if name in provider.networks] or list(dependant.networks)[:1]
    reached = reachable_port(provider, link.port, remaps_at(scope, link.to, there))
    if reached is None:
        problems.append(
            f"{link_name(link)}: {link.name}:{link.port} must cross from {here} to {there}, but {link.to} publishes no "
            f"{link.port}/tcp beyond loopback"
        )
        return
    if not networks:
        problems.append(f"{link_name(link)}: {link.from_} has no network on which the name {link.name} could be kept")
    for network in networks:
        holder = _same_name(scope, where, here, network, link)
        if holder:
            problems.append(f"{link_name(link)}: on {here} {holder} has the name {link.name} on network {network}")
        else:
            yield Forwarder(here, network, link.name, link.port, scope.environment.hosts[there].address, reached)


def _left_behind(scope: Scope, where: Mapping[str, str], link: Link) -> Iterable[Forwarder]:
    """Yield the relays that a provider leaves under its old name when a dependant of its old host has left too.

    A relay of the source stays as it was made when dependants follow: making it anew would cut its other clients off for the
    start of a container, and who is not declared may use the name.
    """
    if link.from_ not in scope.services or link.to not in scope.services:
        return
    home = scope.services[link.to].host
    if scope.services[link.from_].host == home != where[link.to] and where[link.from_] != home:
        yield from _for_link(scope, {**where, link.from_: home}, link, [])


def _same_name(scope: Scope, where: Mapping[str, str], host: str, network: str, link: Link) -> str | None:
    """Return another service on that host and network that goes by the link's name."""
    for name, entry in scope.services.items():
        if name != link.to and where[name] == host and network in entry.networks and link.name in {name, entry.container}:
            return name
    return None


def _for_ports(scope: Scope, where: Mapping[str, str], name: str, problems: list[str]) -> Iterable[Forwarder]:
    """Yield the relays on the source's own published ports of a service that has left it."""
    entry = scope.services[name]
    if where[name] == entry.host:
        return
    remaps = remaps_at(scope, name, where[name])
    for port in entry.ports:
        if port.unrelayed:
            continue
        if port.protocol != "tcp":
            problems.append(
                f"{name}: {port.host}/{port.protocol} can't be relayed: only TCP can. Re-point its clients, or say with unrelayed why they do without"
            )
        elif (port.address or "") in LOOPBACK:
            problems.append(f"{name}: {port.host}/tcp is published on loopback only, so {where[name]}'s can't be reached")
        else:
            address = scope.environment.hosts[where[name]].address
            publish = f"{port.address or '0.0.0.0'}:{port.host}"  # noqa: S104 as the service itself published it
            yield Forwarder(entry.host, PUBLISHED_ONLY, name, port.container, address, landed_port(port, remaps), publish)


def remaps_at(scope: Scope, service: str, host: str) -> Mapping[str, int]:
    """Return which of a service's published ports are others on a host: those that its move there says."""
    return next((move.ports for move in scope.plan.moves if (move.service, move.target) == (service, host)), {})


def reachable_port(provider: ServiceEntry, container_port: int, remaps: Mapping[str, int] | None = None) -> int | None:
    """Return the host port under which other hosts reach a container port, None when it is not published to them."""
    for port in provider.ports:
        if port.container == container_port and port.protocol == "tcp" and (port.address or "") not in LOOPBACK:
            return landed_port(port, remaps or {})
    return None


def _merged(for_links: set[Forwarder], published: set[Forwarder]) -> frozenset[Forwarder]:
    """Let one relay keep both a name and a published port, where host, port and destination are the same."""
    wanted = set(for_links)
    for relay in published:
        twin = next((other for other in sorted(for_links) if _serves(other, relay) and other in wanted), None)
        if twin is None:
            wanted.add(relay)
        else:
            wanted.remove(twin)
            wanted.add(Forwarder(twin.host, twin.network, twin.alias, twin.port, twin.to_address, twin.to_port, relay.publish))
    return frozenset(wanted)


def _serves(relay: Forwarder, other: Forwarder) -> bool:
    return (relay.host, relay.port, relay.to_address, relay.to_port) == (
        other.host, other.port, other.to_address, other.to_port,
    )  # fmt: skip
