"""Whom containers are connected to right now: at an address of another host, or through a relay of ours."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from engine.constants import LABEL_ROLE
from engine.contracts.container import ContainerFacts
from engine.finding import say
from hosts.facts.model import HostFacts
from hosts.facts.system import Connection

HOST_NETWORK = "host"
FORWARDER = "forwarder"
OURS_OR_THEIRS = frozenset({None, "service"})
"""Roles of containers that do work: moved services and everybody else's, not helpers and relays."""


def connections_to(facts: HostFacts, container: str, address: str, port: int) -> int:
    """Count a container's connections to an address and port; raises CouldNotLookError when its connections are not
    known.
    """
    facts.around.need("namespaces")
    found = facts.container(container)
    return (
        sum((one.peer_address, one.peer_port) == (address, port) for one in _connections(facts, found)) if found else 0
    )


def users_of(facts: HostFacts, relays: Collection[tuple[str, str, int]]) -> tuple[str, ...]:
    """Return the containers of a host that are connected to a relay of ours now, each with what it uses; relays are
    (network, alias, port).

    Raises CouldNotLookError when the connections are not known.
    """
    if not relays:
        return ()
    facts.around.need("namespaces")
    ends = {end: f"{alias}:{port}" for network, alias, port in relays for end in _ends(facts, network, alias, port)}
    users: dict[tuple[str, str], int] = {}
    for container in facts.containers:
        for one in _connections(facts, container) if container.labels.get(LABEL_ROLE) in OURS_OR_THEIRS else ():
            used = ends.get((one.peer_address, one.peer_port))
            if used:
                users[container.name, used] = users.get((container.name, used), 0) + 1
    return tuple(
        say("{name} on {host}: {count} connections to {used}", name=name, host=facts.host, count=count, used=used)
        for (name, used), count in sorted(users.items())
    )


def names_of(facts: HostFacts, network: str, addresses: Collection[str]) -> tuple[str, ...]:
    """Return the containers of a host that have these addresses on one of its networks, except relays of ours."""
    return tuple(
        container.name
        for container in facts.containers
        if container.labels.get(LABEL_ROLE) in OURS_OR_THEIRS
        and {address for address, _ in _addresses(container, network)} & set(addresses)
    )


def _addresses(container: ContainerFacts, network: str, port: int = 0) -> Iterator[tuple[str, int]]:
    endpoint = ((container.raw.get("NetworkSettings") or {}).get("Networks") or {}).get(network) or {}
    yield from ((str(endpoint[key]), port) for key in ("IPAddress", "GlobalIPv6Address") if endpoint.get(key))


def relay_named(facts: HostFacts, network: str, alias: str) -> ContainerFacts | None:
    """Return the running relay of ours that has a name on a network."""
    return next(
        (
            container
            for container in facts.containers
            if container.running
            and container.labels.get(LABEL_ROLE) == FORWARDER
            and alias in container.networks.get(network, ())
        ),
        None,
    )


def _ends(facts: HostFacts, network: str, alias: str, port: int) -> Iterator[tuple[str, int]]:
    relay = relay_named(facts, network, alias)
    yield from _addresses(relay, network, port) if relay else ()


def _connections(facts: HostFacts, container: ContainerFacts) -> tuple[Connection, ...]:
    """Return a running container's connections; of one in the host's network those of the host."""
    if not container.running:
        return ()
    if str((container.raw.get("HostConfig") or {}).get("NetworkMode") or "") == HOST_NETWORK:
        return facts.around.connections
    sockets = facts.around.container_sockets.get((container.raw.get("State") or {}).get("Pid") or 0)
    return sockets.connections if sockets else ()
