"""The port scan of an environment: all its hosts are looked at, and joined with the plan's moves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from checks.ports.claims import identity_of
from checks.ports.consumers import Setting, list_consumers, paired_variables
from checks.ports.planned_ports import PlannedPorts, PublishedPort
from checks.ports.report import HostScan, PortReport, report_of
from engine.config.scope import PlannedMove, Scope
from engine.errors import NotObservedError, RefusedError
from engine.run.options import LAB
from hosts.facts.compose_files import FoundFiles
from hosts.facts.model import HostFacts
from hosts.fleet import Fleet
from phases.assess.host_projects import LONGEST_ARGUMENT, read_host_projects
from services.registry import product_or_generic

MOST_AT_ONCE: Final = 16


@dataclass(frozen=True)
class Looked:
    """One host's scan, and the settings on it that may name ports."""

    scan: HostScan
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True)
class PortScan:
    """What was found, each host's part of it, and each move as it was counted."""

    report: PortReport
    hosts: Mapping[str, HostScan]
    arrivals: Mapping[str, PlannedPorts]


def scanned_hosts(scope: Scope) -> tuple[str, ...]:
    """Return the hosts to scan: the plan's, and all others of the inventory; a lab has no more than it has."""
    return (
        scope.known_hosts
        if scope.environment.environment == LAB
        else tuple(dict.fromkeys((*scope.hosts, *scope.inventory.hosts)))
    )


def scan_ports(scope: Scope, fleet: Fleet, where: Mapping[str, str]) -> PortScan:
    """Look at every host and return what was found; `where` is each service's host now.

    A host that does not answer is in the report with its error; raises RefusedError when a host of the plan is another
    machine.
    """
    names = scanned_hosts(scope)
    with ThreadPoolExecutor(max_workers=MOST_AT_ONCE) as pool:
        looked = list(pool.map(lambda name: _look(scope, fleet, name), names))
    scans = [one.scan for one in looked]
    arrivals = tuple(_arrivals(scope, {scan.host: scan.facts for scan in scans if scan.facts}, where))
    declared = {port.host for entry in {**scope.inventory.services, **scope.services}.values() for port in entry.ports}
    report = report_of(scans, arrivals, declared)
    consumers = list_consumers(
        report.remaps,
        scope.links,
        [setting for one in looked for setting in one.settings],
        after={
            **{name: entry.host for name, entry in scope.services.items()},
            **{one.service: one.target for one in arrivals},
        },
        addresses={name: identity.address for name, identity in scope.environment.hosts.items()},
    )
    return PortScan(
        replace(report, consumers=consumers),
        {scan.host: scan for scan in scans},
        {one.service: one for one in arrivals},
    )


def _look(scope: Scope, fleet: Fleet, name: str) -> Looked:
    if name not in scope.environment.hosts:
        environment = scope.environment.environment
        return Looked(
            HostScan(name, None, error=f"{name}: no identity in environment {environment}. Try: {scope.command('pin')}")
        )
    try:
        facts = fleet.facts(name)
    except NotObservedError as error:
        return Looked(HostScan(name, None, error=str(error)))
    except RefusedError as error:
        if name in scope.hosts:
            raise
        return Looked(HostScan(name, None, error=str(error)))
    try:
        found, scan = read_host_projects(fleet, facts)
    except NotObservedError as error:
        return Looked(HostScan(name, facts, error=str(error)), tuple(_of_containers(scope, facts)))
    return Looked(scan, (*_of_containers(scope, facts), *_of_files(scope, facts, found)))


def _arrivals(scope: Scope, facts: Mapping[str, HostFacts], where: Mapping[str, str]) -> Iterator[PlannedPorts]:
    """Yield the plan's moves: with the ports that the containers publish, or those of the inventory where a host was
    not seen.
    """
    for move in scope.plan.moves:
        if move.service not in scope.services:
            continue
        identities = scope.environment.hosts
        addresses = (
            {identities[move.source].address: identities[move.target].address}
            if {move.source, move.target} <= set(identities)
            else {}
        )
        ports, identity = _published(scope, move, facts.get(move.source))
        done = where.get(move.service) == move.target
        yield PlannedPorts(move.service, move.source, move.target, ports, identity, move.ports, done, addresses)


def _published(scope: Scope, move: PlannedMove, facts: HostFacts | None) -> tuple[tuple[PublishedPort, ...], str]:
    entry = scope.services[move.service]
    container = next((one for one in facts.containers if one.name == entry.container), None) if facts else None
    if container is None:
        return tuple(
            PublishedPort(port.host, port.container, port.protocol, port.address) for port in entry.ports
        ), entry.container
    ports = tuple(
        PublishedPort(port, inside, protocol, address) for address, port, inside, protocol in container.published
    )
    return ports, identity_of(container)


def _roles(scope: Scope, host: str) -> dict[str, str]:
    """Return what the products of a host's containers call a setting that names another service."""
    return {
        entry.container: product_or_generic(entry.product).settings_role
        for entry in scope.services.values()
        if entry.host == host
    }


def _of_containers(scope: Scope, facts: HostFacts) -> Iterator[Setting]:
    """Yield the variables and arguments of a host's containers."""
    roles = _roles(scope, facts.host)
    for container in facts.containers:
        role = roles.get(container.name, "")
        yield from paired_variables(facts.host, container.name, container.env, role)
        config = container.raw.get("Config") or {}
        words = " ".join(map(str, [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]))
        yield Setting(
            facts.host, f"container {container.name}, its command", words[:LONGEST_ARGUMENT], role, is_file=False
        )


def _of_files(scope: Scope, facts: HostFacts, found: FoundFiles) -> Iterator[Setting]:
    """Yield the texts that were fetched, each with what the product that has it mounted calls it."""
    roles = _roles(scope, facts.host)
    owners = {
        mount.source: roles.get(one.name, "")
        for one in facts.containers
        for mount in one.mounts
        if mount.kind == "bind"
    }
    for path, content in found.contents.items():
        if content is not None:
            yield Setting(facts.host, path, content.decode("utf-8", "replace"), _owner(path, owners))


def _owner(path: str, owners: Mapping[str, str]) -> str:
    holding: Iterable[str] = (
        source for source in owners if path == source or path.startswith(source.rstrip("/") + "/")
    )
    return owners.get(max(holding, key=len, default=""), "")
