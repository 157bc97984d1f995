"""`inventory.yaml`: hosts, services, links and thresholds, the world as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from engine.problems import SECRET_FORMAT, Strict, parse_shape, read_data, refuse, unknown_name

REFERENCE: Final = re.compile(r"^(env|file|command|container-env):.+$")
EVERY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 compared, never bound

Wave = Literal["critical", "monitoring", "auxiliary"]
Percent = Annotated[float, Field(gt=0, le=100)]
Port = Annotated[int, Field(ge=1, le=65535)]


def _reference(value: str) -> str:
    if not REFERENCE.fullmatch(value):
        # The value may be a real password: pydantic's message must not carry it, so the text says only what is expected.
        raise ValueError("expected a reference: env:NAME, file:PATH, command:ARGV or container-env:NAME, never the secret itself")
    return value


def _address(value: str) -> str:
    try:
        ip_address(value)
    except ValueError:
        raise ValueError("expected an IPv4 or IPv6 address") from None
    return value


SecretReference = Annotated[str, AfterValidator(_reference), Field(json_schema_extra={"format": SECRET_FORMAT, "pattern": REFERENCE.pattern})]
Address = Annotated[str, AfterValidator(_address)]


class Thresholds(Strict):
    """Above which a host is not fit to carry more, in percent of what it has."""

    cpu_percent: Percent = Field(70, description="CPU use", examples=[70])
    memory_percent: Percent = Field(80, description="memory use", examples=[80])
    disk_percent: Percent = Field(85, description="use of the fullest file system that holds data", examples=[85])


class HostEntry(Strict):
    """One machine, by the name that ssh knows it by."""

    purpose: str = Field(description="what the machine is for", examples=["to be emptied and switched off"])
    thresholds: Thresholds | None = Field(None, description="other thresholds than those of the inventory")
    notes: str = Field("", description="what a person should know")


class PortEntry(Strict):
    """One published port."""

    host: Port = Field(description="port on the host", examples=[5432])
    container: Port = Field(description="port in the container", examples=[5432])
    protocol: Literal["tcp", "udp"] = Field("tcp", description="transport protocol")
    address: Address = Field("0.0.0.0", description="address of the host that it is published on")  # noqa: S104 Docker's default


class MountEntry(Strict):
    """One mount and its rule."""

    kind: Literal["volume", "bind", "tmpfs"] = Field("volume", description="as docker inspect calls it")
    source: str = Field("", description="volume name or host path", examples=["postgres_data"])
    at: str = Field(description="path in the container", examples=["/var/lib/postgresql/data"])
    rule: Literal["copy", "same_on_target", "drop"] = Field(
        "copy", description="copy: travels; same_on_target: belongs to each host (docker.sock, localtime); drop: not needed"
    )


class HealthEntry(Strict):
    """How to ask whether the service answers."""

    kind: Literal["http", "tcp", "container"] = Field(description="http: 200; tcp: connects; container: its own health check")
    port: Port | None = Field(None, description="port in the container", examples=[9090])
    path: str = Field("/", description="path of the URL", examples=["/-/ready"])


class ServiceEntry(Strict):
    """One service: one container of one product on one host."""

    product: str = Field(description="file in services/ that knows it; generic for anything else", examples=["postgres"])
    host: str = Field(description="where it runs now", examples=["wf005"])
    container: str = Field(description="name of its container", examples=["postgres"])
    image: str = Field(description="complete image reference", examples=["postgres:17"])
    wave: Wave | None = Field(None, description="group of moves")
    ports: tuple[PortEntry, ...] = Field((), description="published ports")
    mounts: tuple[MountEntry, ...] = Field((), description="mounts, each with its rule")
    networks: tuple[str, ...] = Field((), description="Docker networks that it is on")
    health: HealthEntry | None = Field(None, description="health endpoint")
    options: dict[str, Any] = Field(default_factory=dict, description="what its product needs to know; see services/<product>.py")
    secrets: dict[str, SecretReference] = Field(default_factory=dict, description="credentials by reference")
    writable_layer: str | None = Field(None, description="why changes outside its mounts may stay behind", examples=["caches only"])
    guards: dict[str, str] = Field(default_factory=dict, description="who else could start it, and how that is held: compose, systemd, …")
    notes: str = Field("", description="what a person should know")


class Link(Strict):
    """`from` reaches `to` as `name`:`port`."""

    from_: str = Field(alias="from", description="the dependant", examples=["n8n"])
    to: str = Field(description="the service that it needs", examples=["postgres"])
    name: str = Field(description="the name by which it reaches it", examples=["postgres"])
    port: Port = Field(description="port in the container of `to`", examples=[5432])
    needed_at_start: bool = Field(True, description="false: the dependant starts without it; such links may form a circle")


class Inventory(Strict):
    """The world as it is."""

    version: Literal[1] = Field(description="version of this format")
    thresholds: Thresholds = Field(default_factory=Thresholds, description="for all hosts")
    hosts: dict[str, HostEntry] = Field(description="machines by name")
    services: dict[str, ServiceEntry] = Field(description="services by name")
    links: tuple[Link, ...] = Field((), description="who depends on whom")


def load_inventory(path: Path) -> Inventory:
    """Return the inventory of a file; raises InputError with all its problems."""
    inventory, problems = parse_shape(Inventory, data := read_data(path))
    refuse(path, problems + (_rough_problems(data) if inventory is None else list(problems_of(inventory))))
    assert inventory is not None
    return inventory


def _rough_problems(data: Any) -> list[str]:
    """Return the logical problems that show although the shape is wrong: parts that parse are judged by themselves."""
    if not isinstance(data, Mapping):
        return []
    parts = {"version": 1, "hosts": _parsed(HostEntry, data.get("hosts")), "services": _parsed(ServiceEntry, data.get("services"))}
    links = [link for link in data.get("links") or () if parse_shape(Link, link)[0]]
    rough, _ = parse_shape(Inventory, {**parts, "links": links})
    services = data.get("services")
    known = {str(name) for name in services} if isinstance(services, Mapping) else set()
    return list(problems_of(rough, known)) if rough else []


def _parsed(model: type[Strict], entries: Any) -> dict[str, Any]:
    entries = entries if isinstance(entries, Mapping) else {}
    return {name: entry for name, entry in entries.items() if parse_shape(model, entry)[0]}


def problems_of(inventory: Inventory, also_known: set[str] | None = None) -> Iterator[str]:
    """Yield what is wrong although the shape is right: unknown names, one port for two, circles of links."""
    hosts, services = list(inventory.hosts), [*inventory.services, *(also_known or set())]
    for name, entry in inventory.services.items():
        if entry.host not in hosts:
            yield unknown_name(f"services/{name}/host", "host", entry.host, hosts)
        if entry.health and entry.health.kind != "container" and entry.health.port is None:
            yield f"services/{name}/health/port: missing; expected the port in the container that answers {entry.health.kind}"
    for position, link in enumerate(inventory.links):
        for end, service in (("from", link.from_), ("to", link.to)):
            if service not in services:
                yield unknown_name(f"links/{position}/{end}", "service", service, sorted(set(services)))
    yield from port_clashes(inventory.services, {name: entry.host for name, entry in inventory.services.items()}, "services")
    yield from _circles(inventory.links)
    yield from _shared_containers(inventory.services)


def _shared_containers(services: Mapping[str, ServiceEntry]) -> Iterator[str]:
    seen: dict[tuple[str, str], str] = {}
    for name, entry in services.items():
        other = seen.setdefault((entry.host, entry.container), name)
        if other != name:
            yield f"services/{name}/container: {entry.container} on {entry.host} is that of {other}; expected one service per container"


def port_clashes(services: Mapping[str, ServiceEntry], where: Mapping[str, str], path: str) -> Iterator[str]:
    """Yield each pair of services that publish one port on one host, when each service is on the host of `where`."""
    published = [(name, port, where[name]) for name, entry in services.items() for port in entry.ports if name in where]
    for (one, port, host), (other, other_port, other_host) in combinations(published, 2):
        if host == other_host and _same_port(port, other_port):
            yield f"{path}/{other}/ports: {other_port.host}/{port.protocol} on {host} is published by {one} too; expected one service per port"


def _same_port(one: PortEntry, other: PortEntry) -> bool:
    if (one.host, one.protocol) != (other.host, other.protocol):
        return False
    if one.address in EVERY_ADDRESS or other.address in EVERY_ADDRESS:
        return "::" in {one.address, other.address} or ip_address(one.address).version == ip_address(other.address).version
    return one.address == other.address


def _circles(links: tuple[Link, ...]) -> Iterator[str]:
    needs: dict[str, list[str]] = {}
    for link in links:
        if link.needed_at_start:
            needs.setdefault(link.from_, []).append(link.to)
    told: set[frozenset[str]] = set()
    for start in needs:
        circle = _circle_from(start, needs)
        if circle and frozenset(circle) not in told:
            told.add(frozenset(circle))
            yield f"links: a circle: {' → '.join(circle)}; mark the link that is not needed at start with needed_at_start: false"


def _circle_from(start: str, needs: Mapping[str, list[str]]) -> list[str]:
    """Return a path from `start` back to itself, empty when there is none."""
    paths = [[start]]
    seen = {start}
    while paths:
        path = paths.pop()
        for following in needs.get(path[-1], []):
            if following == start:
                return [*path, start]
            if following not in seen:
                seen.add(following)
                paths.append([*path, following])
    return []
