"""Which relays keep every link working while its two ends are on different hosts. Pure: what is wanted, and what can't
be.

A relay has two ends, a container each. The near end is on the dependant's network under the provider's old name, or
on the source's published port. The far end is on the provider's own network: it listens on its host's private
address only, takes connections of the near end's host only, and leads to the provider's container: never to another
relay, never on a network with a real container of that name. Between the two there is mutual TLS, unless the plan says
why not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from engine.config.inventory import Link, PortEntry, ServiceEntry
from engine.config.plan import landed_port
from engine.config.scope import Scope
from engine.constants import LABEL_ROLE
from engine.errors import InputError
from engine.finding import say
from engine.verdict import Judgement, failed, passed
from hosts.facts.model import HostFacts

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 compared, never bound
PUBLISHED_ONLY: Final = "bridge"
"""The network of a relay that keeps only a published port: Docker's default one, where no names exist."""
NAMELESS: Final = frozenset({PUBLISHED_ONLY, "host", "none"})
"""Networks on which containers have no names: a far end reaches a provider there at its published port."""


@dataclass(frozen=True, order=True)
class FarEnd:
    """Where a relay comes out: on `network` of `host`, from which it connects to the provider as `name:port`."""

    host: str
    network: str
    name: str
    port: int


@dataclass(frozen=True, order=True)
class Relay:
    """One relay. Its near end on `host` listens as `alias:port` on `network`, and on the host's `publish` port where
    there is one.

    It leads to `to_address:to_port`, where the far end listens for `from_address` alone.
    """

    host: str
    network: str
    alias: str
    port: int
    to_address: str
    to_port: int
    publish: str = ""  # "0.0.0.0:5432", empty: not published
    far: FarEnd = FarEnd("", "", "", 0)
    from_address: str = ""
    encrypted: bool = True

    @property
    def hosts(self) -> tuple[str, str]:
        """Return the hosts of its near and its far end."""
        return self.host, self.far.host

    def text(self) -> str:
        """Return it as one line; it holds all that the two containers are made from."""
        shown = say(
            "{host}: {alias}:{port} on {network}",
            host=self.host,
            alias=self.alias,
            port=self.port,
            network=self.network,
        )
        if self.network == PUBLISHED_ONLY:
            shown = say("{host}: published {publish} as {port}", host=self.host, publish=self.publish, port=self.port)
        elif self.publish:
            shown = say("{shown} and published {publish}", shown=shown, publish=self.publish)
        way = say(
            "{encrypted} to {host} at {bracketed}:{to_port}",
            encrypted="TLS" if self.encrypted else say("NOT encrypted"),
            host=self.far.host,
            bracketed=bracketed(self.to_address),
            to_port=self.to_port,
        )
        return say(
            "{shown} -> {way}, from {from_address} only -> {bracketed}:{port} on {network}",
            shown=shown,
            way=way,
            from_address=self.from_address,
            bracketed=bracketed(self.far.name),
            port=self.far.port,
            network=self.far.network,
        )


def bracketed(address: str) -> str:
    """Return an address as it is written before a port: one of IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


ROLE: Final = "forwarder"
"""The role of both containers of a relay, in their labels."""


@dataclass(frozen=True)
class RelayPlan:
    """The relays to have, and the links that no relay can keep, each with its reason and the way out."""

    forwarders: frozenset[Relay]
    problems: tuple[str, ...] = ()


def wanted_forwarders(scope: Scope, where: Mapping[str, str]) -> frozenset[Relay]:
    """Return the relays that keep every link and every published port; `where` maps each service to its host now."""
    return plan_forwarders(scope, where).forwarders


def plan_forwarders(scope: Scope, where: Mapping[str, str]) -> RelayPlan:
    """Return the wanted relays and the problems; a link that was re-pointed needs none."""
    problems: list[str] = []
    links = [link for link in scope.links if link.key not in scope.repointed]
    for_links = {relay for link in links for relay in _for_link(scope, where, link, problems)}
    for_links |= {relay for link in links for relay in _left_behind(scope, where, link)}
    published = {relay for name in scope.services for relay in _for_ports(scope, where, name, problems)}
    return RelayPlan(_merged(for_links, published), tuple(dict.fromkeys(problems)))


def hosts_of_relays(scope: Scope, where: Mapping[str, str], moving: Collection[str]) -> tuple[str, ...]:
    """Return every host on which an end of a relay is wanted now, or may be while these services move, or go back, in
    any order.

    Links that are re-pointed count too: their relays come back when that is undone. So do hosts that have no identity
    here.
    """
    targets = {move.service: move.target for move in scope.plan.moves if move.service in moving}
    places = {
        name: {where[name]} | ({entry.host, targets[name]} if name in targets else set())
        for name, entry in scope.services.items()
    }
    found: set[str] = set()
    for link in scope.links:
        if link.from_ not in places or link.to not in places or link.name in scope.environment.hosts:
            continue
        home = scope.services[link.to].host
        for here in places[link.from_] | ({home} if scope.services[link.from_].host == home else set()):
            found |= {end for there in places[link.to] if here != there for end in (here, there)}
    for name, entry in scope.services.items():
        relayed = any(not port.no_relay_because for port in entry.ports)
        found |= {end for there in places[name] if relayed and there != entry.host for end in (entry.host, there)}
    return tuple(sorted(found))


def judge_links_relayable(
    scope: Scope, service: str, facts: Mapping[str, HostFacts], where: Mapping[str, str] | None = None
) -> Judgement:
    """Judge whether every link to and from the service can be kept once it is on its target; `where` each service is
    now.

    `facts` are those of the scope's hosts: a running container that has a relay's name on its network is a problem, and
    so is somebody who listens where a far end is to listen.
    """
    after = dict(where) if where else {name: entry.host for name, entry in scope.services.items()}
    for move in scope.moves:
        after[move.service] = move.target
        if move.service == service:
            break
    wanted = plan_forwarders(scope, after)
    provider = scope.services[service]
    names = {service, provider.container} | {link.name for link in scope.links if link.to == service}
    problems = [problem for problem in wanted.problems if problem.split(":", 1)[0] in _subjects(scope, service)]
    for relay in sorted(wanted.forwarders):
        holder = holder_of(relay, facts.get(relay.host))
        if holder and relay.alias in names and holder != provider.container:
            problems.append(
                say("{relay}: container {holder} has this name on this network", relay=relay.text(), holder=holder)
            )
        listener = listener_at(facts.get(relay.far.host), relay.to_port)
        if listener and (relay.alias in names or relay.host == after[service]):
            problems.append(
                say(
                    "{host}: port {to_port} is {listener}'s, where the relay of {alias}:{port} is to come out. Set "
                    "other ports under relays: in the plan (first_port)",
                    host=relay.far.host,
                    to_port=relay.to_port,
                    listener=listener,
                    alias=relay.alias,
                    port=relay.port,
                )
            )
    links = [link for link in scope.links if service in (link.from_, link.to)]
    if problems:
        return failed(
            say(
                "{service}: {problems_count} links can't be kept: {problem}. Expected: each of {links_count} can. "
                "Change what is in the way, or re-point that dependant by hand",
                service=service,
                problems_count=len(problems),
                problem=problems[0],
                links_count=len(links),
            ),
            tuple(problems),
        )
    kept = sorted(relay.text() for relay in wanted.forwarders if relay.alias in names)
    left = tuple(
        f"{port.host}/{port.protocol} is not relayed: {port.no_relay_because}"
        for port in provider.ports
        if port.no_relay_because
    )
    exempt = say("; {count} ports are left without", count=len(left)) if left else ""
    return passed(
        say(
            "{service}: all {links_count} links can be kept, by {kept_count} relays{exempt}",
            service=service,
            links_count=len(links),
            kept_count=len(kept),
            exempt=exempt,
        ),
        (*kept, *left),
        relays=len(kept),
    )


def judge_relays_encrypted(scope: Scope, service: str) -> Judgement:
    """Judge whether what the relays of a service carry is encrypted between hosts: the plan may say why not, and people
    must see it.
    """
    relays = scope.plan.relays
    if relays.encrypt:
        return passed(
            say(
                "{service}: relays carry what they carry in mutual TLS, with keys that are made for each",
                service=service,
            )
        )
    return failed(
        say(
            "{service}: its relays are NOT encrypted between hosts: passwords and data cross in clear text. The "
            "plan's reason: {reason}. Expected: encrypted. Take relays: encrypt: false out of the plan, unless the "
            "approvers agree",
            service=service,
            reason=relays.reason,
        )
    )


def listener_at(facts: HostFacts | None, port: int) -> str | None:
    """Return who listens at a TCP port of a host, None for nobody and for relays of ours."""
    if facts is None:
        return None
    for container in facts.containers if facts.docker_version else ():
        published = {number for _, number, _, protocol in container.published if protocol == "tcp"}
        if container.running and port in published:
            return None if container.labels.get(LABEL_ROLE) == ROLE else say("container {name}", name=container.name)
    heard = next((one for one in facts.listening if (one.protocol, one.port) == ("tcp", port)), None)
    return (heard.process or say("a process")) if heard else None


def holder_of(relay: Relay, facts: HostFacts | None) -> str | None:
    """Return the running container that has the relay's alias on its network, except relays of ours."""
    if facts is None or relay.network == PUBLISHED_ONLY:
        return None
    facts.need_docker()
    for container in facts.containers:
        if not container.running or container.labels.get(LABEL_ROLE) == ROLE:
            continue
        if relay.network in container.networks and relay.alias in {container.name, *container.networks[relay.network]}:
            return container.name
    return None


def _subjects(scope: Scope, service: str) -> set[str]:
    return {service} | {link_name(link) for link in scope.links if service in (link.from_, link.to)}


def link_name(link: Link) -> str:
    """Return how messages call a link."""
    return say("{from_} to {to}", from_=link.from_, to=link.to)


def _for_link(scope: Scope, where: Mapping[str, str], link: Link, problems: list[str]) -> Iterable[Relay]:
    """Yield the relays on the dependant's networks, when its provider is on another host."""
    if link.from_ not in scope.services or link.to not in scope.services:
        return
    here, there = where[link.from_], where[link.to]
    if here == there or link.name in scope.environment.hosts or {here, there} & scope.dead:
        return
    named = link_name(link)
    dependant, provider = scope.services[link.from_], scope.services[link.to]
    networks = [name for name in dependant.networks if name in provider.networks] or list(dependant.networks)[:1]
    if no := _no_identity(scope, here, there):
        problems.append(f"{named}: {link.name}:{link.port} must cross from {here} to {there}, but {no}")
        return
    if provider.needs_client_address:
        problems.append(
            f"{named}: {link.to} needs its clients' own addresses ({provider.needs_client_address}), and a relay hides "
            "them. "
            f"Let {link.from_} use the new address itself, and take the link out"
        )
    far = _far_end(scope, link.to, there, link.port)
    if far is None:
        problems.append(
            f"{named}: {link.name}:{link.port} must cross from {here} to {there}, but {link.to} is on no network of "
            "its own there and publishes no "
            f"{link.port}/tcp beyond loopback"
        )
        return
    if not networks:
        problems.append(f"{named}: {link.from_} has no network on which the name {link.name} could be kept")
    for network in networks:
        holder = _same_name(scope, where, here, network, link)
        if holder:
            problems.append(f"{named}: on {here} {holder} has the name {link.name} on network {network}")
        else:
            yield _relay(
                scope, Relay(here, network, link.name, link.port, "", 0, far=far), _key_of(link, here, network)
            )


def _relay(scope: Scope, relay: Relay, key: str) -> Relay:
    """Return a relay with the addresses of its ends and the port that is kept for it."""
    hosts = scope.environment.hosts
    ports = far_ports(scope)
    number = ports[key] if key in ports else far_ports(scope, key)[key]
    encrypted = scope.plan.relays.encrypt
    return replace(
        relay,
        to_address=hosts[relay.far.host].address,
        to_port=number,
        from_address=hosts[relay.host].address,
        encrypted=encrypted,
    )


def _far_end(scope: Scope, service: str, host: str, port: int) -> FarEnd | None:
    """Return where a relay to a service comes out: next to its container, or at its published port where containers
    have no names.
    """
    entry = scope.services[service]
    network = next((name for name in entry.networks if name not in NAMELESS), None)
    if network:
        return FarEnd(host, network, entry.container, port)
    reached = reachable_port(entry, port, remaps_at(scope, service, host))
    return FarEnd(host, PUBLISHED_ONLY, scope.environment.hosts[host].address, reached) if reached else None


def _no_identity(scope: Scope, *hosts: str) -> str:
    """Return that a host has no identity here and what to do, "" when each has one."""
    name = scope.environment.environment
    missing = next((host for host in hosts if host not in scope.environment.hosts), None)
    return (
        f"{missing} has no identity in environments/{name}.yaml. Expected: pinned. Try: {scope.command('pin')}"
        if missing
        else ""
    )


def far_ports(scope: Scope, *more: str) -> dict[str, int]:
    """Return the port on the far host's private address for every relay that the files allow: the same at all times of
    a migration.

    `more` are relays that the files do not mention: of a service that somebody has taken elsewhere. Raises InputError
    when there are more relays than ports.
    """
    targets = {move.service: move.target for move in scope.plan.moves}
    keys: set[str] = set(more)
    for link in scope.links:
        dependant = scope.services.get(link.from_)
        for host in {dependant.host, targets.get(link.from_, dependant.host)} if dependant else ():
            keys |= {_key_of(link, host, network) for network in dependant.networks} if dependant else set()
    keys |= {_published_key(name, port) for name, entry in scope.services.items() for port in entry.ports}
    first, count = scope.plan.relays.first_port, scope.plan.relays.ports
    if len(keys) > count:
        raise InputError(
            say(
                "migration_plan.json: relays/ports: {count} for {keys_count} relays that may be wanted; expected at "
                "least as many. Raise ports",
                count=count,
                keys_count=len(keys),
            )
        )
    taken: dict[int, str] = {}
    for key in sorted(
        keys
    ):  # a hash, not a number in line: another service in the inventory does not give all relays other ports
        offset = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4]) % count
        while offset in taken:
            offset = (offset + 1) % count
        taken[offset] = key
    return {key: first + offset for offset, key in taken.items()}


def _key_of(link: Link, host: str, network: str) -> str:
    return f"{link.to} {link.port} {link.name} {network} {host}"


def _published_key(service: str, port: PortEntry) -> str:
    return f"{service} {port.container} published {port.address or ''} {port.host}/{port.protocol}"


def _left_behind(scope: Scope, where: Mapping[str, str], link: Link) -> Iterable[Relay]:
    """Yield the relays that a provider leaves under its old name when a dependant of its old host has left too.

    A relay of the source stays as it was made when dependants follow: making it anew would cut its other clients off
    for the start of a container, and who is not declared may use the name.
    """
    if link.from_ not in scope.services or link.to not in scope.services:
        return
    home = scope.services[link.to].host
    if scope.services[link.from_].host == home != where[link.to] and where[link.from_] != home:
        yield from _for_link(scope, {**where, link.from_: home}, link, [])


def _same_name(scope: Scope, where: Mapping[str, str], host: str, network: str, link: Link) -> str | None:
    """Return another service on that host and network that goes by the link's name."""
    for name, entry in scope.services.items():
        if (
            name != link.to
            and where[name] == host
            and network in entry.networks
            and link.name in {name, entry.container}
        ):
            return name
    return None


def _for_ports(scope: Scope, where: Mapping[str, str], name: str, problems: list[str]) -> Iterable[Relay]:
    """Yield the relays on the source's own published ports of a service that has left it."""
    entry, there = scope.services[name], where[name]
    if there == entry.host or {there, entry.host} & scope.dead:
        return
    for port in entry.ports:
        if port.no_relay_because:
            continue
        named = f"{name}: {port.host}/{port.protocol}"
        far = _far_end(scope, name, there, port.container) if there in scope.environment.hosts else None
        if port.protocol != "tcp":
            problems.append(
                f"{named} can't be relayed: only TCP can. Re-point its clients, or say with no_relay_because "
                "why they do without"
            )
        elif entry.needs_client_address:
            problems.append(
                f"{named} can't be relayed: {name} needs its clients' own addresses ({entry.needs_client_address}), "
                "and a relay hides them. "
                "Point its clients to the new host themselves (DNS, an address that moves), and say so with "
                "no_relay_because"
            )
        elif no := _no_identity(scope, entry.host, there):
            problems.append(f"{named} can't be relayed from {entry.host} to {there}: {no}")
        elif far is None:
            problems.append(
                f"{named} is published on loopback only and on no network of its own, so {there}'s can't be reached"
            )
        else:
            publish = f"{bracketed(port.address or '0.0.0.0')}:{port.host}"  # noqa: S104 as the service itself published it
            relay = Relay(entry.host, PUBLISHED_ONLY, name, port.container, "", 0, publish, far)
            yield _relay(scope, relay, _published_key(name, port))


def remaps_at(scope: Scope, service: str, host: str) -> Mapping[str, int]:
    """Return which of a service's published ports are others on a host: those that its move there says."""
    return next((move.ports for move in scope.plan.moves if (move.service, move.target) == (service, host)), {})


def reachable_port(provider: ServiceEntry, container_port: int, remaps: Mapping[str, int] | None = None) -> int | None:
    """Return the host port under which other hosts reach a container port, None when it is not published to them."""
    for port in provider.ports:
        if port.container == container_port and port.protocol == "tcp" and (port.address or "") not in LOOPBACK:
            return landed_port(port, remaps or {})
    return None


def _merged(for_links: set[Relay], published: set[Relay]) -> frozenset[Relay]:
    """Let one relay keep both a name and a published port, where host, port and destination are the same."""
    wanted = set(for_links)
    for relay in sorted(published):
        twin = next(
            (other for other in sorted(wanted & for_links) if _serves(other, relay) and not other.publish), None
        )
        if twin is None:
            wanted.add(relay)
        else:
            wanted.remove(twin)
            wanted.add(replace(twin, publish=relay.publish))
    return frozenset(wanted)


def _serves(relay: Relay, other: Relay) -> bool:
    return (relay.host, relay.port, relay.far) == (other.host, other.port, other.far)
