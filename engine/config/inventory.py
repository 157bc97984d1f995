"""`inventory.yaml`: hosts, services, links and thresholds, the world as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import combinations, product
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from engine.config.partial_model import PartialModel, read_draft
from engine.config.reference_rules import Rewrite, rewrite_problems
from engine.config.validation import SECRET_FORMAT, Strict, unknown_name

REFERENCE: Final = re.compile(r"^(env|file|command|container-env):.+$")
NAME: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
"""What Docker allows as a container's name; it is safe in paths, URLs and shells too."""
KEYS: Final[dict[str, JsonValue]] = {"propertyNames": {"pattern": NAME.pattern}}
EVERY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 compared, never bound

Wave = Literal["critical", "monitoring", "auxiliary"]
Percent = Annotated[float, Field(gt=0, le=100)]
Port = Annotated[int, Field(ge=1, le=65535)]


def _reference(value: str) -> str:
    if not REFERENCE.fullmatch(value):
        # The value may be a real password: pydantic's message must not carry it, so the text says only what is
        # expected.
        raise ValueError(
            "expected a reference: env:NAME, file:PATH, command:ARGV or container-env:NAME, never the secret itself"
        )
    return value


def _address(value: str) -> str:
    try:
        ip_address(value)
    except ValueError:
        raise ValueError("expected an IPv4 or IPv6 address") from None
    return value


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError('expected a name of letters, digits, "_", "." and "-" that begins with a letter or digit')
    return value


KeyName = Annotated[str, AfterValidator(_name)]
"""A name as the key of a mapping; its field has KEYS, because a pattern at the key would switch off an editor's check
of the others.
"""
Name = Annotated[KeyName, Field(json_schema_extra={"pattern": NAME.pattern})]
SecretReference = Annotated[
    str, AfterValidator(_reference), Field(json_schema_extra={"format": SECRET_FORMAT, "pattern": REFERENCE.pattern})
]
Address = Annotated[str, AfterValidator(_address)]


LinkKey = tuple[str, str, str, int]
"""The ends of a link, and the name and port by which one reaches the other."""


class Thresholds(Strict):
    """Above which a host is not fit to carry more, in percent of what it has."""

    cpu_percent: Percent = Field(70, description="CPU use", examples=[70])
    memory_percent: Percent = Field(80, description="memory use", examples=[80])
    disk_percent: Percent = Field(85, description="use of the fullest file system that holds data", examples=[85])
    io_percent: Percent = Field(70, description="time in which the busiest disk that holds data works", examples=[70])


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
    no_relay_because: str = Field(
        "",
        description="why its clients do without a relay on the old host",
        examples=["HTTP/3: browsers fall back to TCP"],
    )


class MountEntry(Strict):
    """One mount and its rule."""

    kind: Literal["volume", "bind", "tmpfs"] = Field("volume", description="as docker inspect calls it")
    source: str = Field("", description="volume name or host path", examples=["postgres_data"])
    path: str = Field(description="path in the container", examples=["/var/lib/postgresql/data"])
    rule: Literal["copy", "same_on_target", "drop"] = Field(
        "copy",
        description="copy: travels; same_on_target: belongs to each host (docker.sock, localtime); drop: not needed",
    )


class HealthEntry(Strict):
    """How to ask whether the service answers."""

    kind: Literal["http", "tcp", "container"] = Field(
        description="http: 200; tcp: connects; container: its own health check"
    )
    port: Port | None = Field(None, description="port in the container", examples=[9090])
    path: str = Field("/", description="path of the URL", examples=["/-/ready"])


class LoadEntry(Strict):
    """One request of a load test."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = Field("GET", description="of HTTP")
    path: str = Field(pattern=r"^/\S*$", description="path of the URL, with its query", examples=["/healthz"])
    body: str = Field("", description="what is sent")
    expect: Annotated[int, Field(ge=100, le=599)] = Field(200, description="the status that counts as an answer")
    writes: bool = Field(False, description="it changes something: sent in the lab only")

    @model_validator(mode="after")
    def _reads_or_says_so(self) -> LoadEntry:
        if self.method not in {"GET", "HEAD"} and not self.writes:
            raise ValueError(f"{self.method} may change something. Expected: GET or HEAD, or writes: true")
        return self


class Hook(Strict):
    """A command of the operator's own, run on a host at a fixed place of a move; it must bear being run twice."""

    argv: tuple[str, ...] = Field(
        min_length=1, description="program and arguments, no shell", examples=[["/usr/local/bin/drain", "shop"]]
    )
    timeout_s: float = Field(60, gt=0, le=900, description="deadline in seconds; counts as its estimate too")
    undo_argv: tuple[str, ...] = Field((), description="what undoes it when the move is undone; nothing without it")


class Hooks(Strict):
    """The places of a move where a hook can run."""

    before_hold: Hook | None = Field(
        None, description="on the source, before its restart policy is changed and it is stopped"
    )
    after_commit: Hook | None = Field(None, description="on the target, once it serves")


class ServiceEntry(Strict):
    """One service: one container of one product on one host."""

    product: str = Field(
        description="file in services/ that knows it; generic for anything else", examples=["postgres"]
    )
    host: Name = Field(description="where it runs now", examples=["wf005"])
    container: Name = Field(description="name of its container", examples=["postgres"])
    image: str = Field(description="complete image reference", examples=["postgres:17"])
    wave: Wave | None = Field(None, description="group of moves")
    ports: tuple[PortEntry, ...] = Field((), description="published ports")
    mounts: tuple[MountEntry, ...] = Field((), description="mounts, each with its rule")
    networks: tuple[Name, ...] = Field((), description="Docker networks that it is on")
    health: HealthEntry | None = Field(None, description="health endpoint")
    options: dict[str, Any] = Field(
        default_factory=dict, description="what its product needs to know; see services/<product>.py"
    )
    secrets: dict[str, SecretReference] = Field(default_factory=dict, description="credentials by reference")
    secret_variables: tuple[str, ...] = Field(
        (),
        description="environment variables and labels that are secret although their names do not say so",
        examples=[["LICENSE"]],
    )
    ignore_writable_layer_because: str | None = Field(
        None, description="why changes outside its mounts may stay behind", examples=["caches only"]
    )
    public_names: tuple[str, ...] = Field(
        (),
        description="names by which clients outside reach it: a person points them to its new host",
        examples=[["shop.example.com"]],
    )
    needs_client_address: str = Field(
        "",
        description="why it must see its clients' own addresses: then no relay may stand before it",
        examples=["its rate limits are per address"],
    )
    team: str = Field("", description="who answers for it and is told before it moves", examples=["data platform"])
    load: tuple[LoadEntry, ...] = Field(
        (),
        description="requests of a load test, sent in turn to its health port, or its first one",
        examples=[[{"path": "/healthz"}]],
    )
    hooks: Hooks = Field(default_factory=Hooks, description="commands of your own around the move")
    restart_guards: dict[str, str] = Field(
        default_factory=dict,
        description=(
            "who else could start it, and how that is held: compose, systemd, …; `writer NAME`: why a container "
            "beside it does not write"
        ),
    )
    notes: str = Field("", description="what a person should know")


class Link(Strict):
    """`from` reaches `to` as `name`:`port`."""

    from_: Name = Field(alias="from", description="the dependant", examples=["n8n"])
    to: Name = Field(description="the service that it needs", examples=["postgres"])
    name: Name = Field(description="the name by which it reaches it", examples=["postgres"])
    port: Port = Field(description="port in the container of `to`", examples=[5432])
    needed_at_start: bool = Field(
        True, description="false: the dependant starts without it; such links may form a circle"
    )
    rewrite: tuple[Rewrite, ...] = Field(
        (), description="where `from` says where `to` is; repoint rewrites it for good"
    )

    @property
    def key(self) -> LinkKey:
        """Return what makes it this link."""
        return (self.from_, self.to, self.name, self.port)


class Inventory(Strict):
    """The world as it is."""

    version: Literal[1] = Field(description="version of this format")
    thresholds: Thresholds = Field(default_factory=Thresholds, description="for all hosts")
    hosts: dict[KeyName, HostEntry] = Field(description="machines by name", json_schema_extra=KEYS)
    services: dict[KeyName, ServiceEntry] = Field(description="services by name", json_schema_extra=KEYS)
    links: tuple[Link, ...] = Field((), description="who depends on whom")


@dataclass(frozen=True)
class Known:
    """The names that other places may use; None: where they should stand is no mapping, so no name can be called
    unknown.
    """

    hosts: tuple[str, ...] | None
    services: tuple[str, ...] | None

    def unknown_host(self, path: str, host: str) -> Iterator[str]:
        """Yield the problem of a host that is not known."""
        if self.hosts is not None and host not in self.hosts:
            yield unknown_name(path, "host", host, self.hosts)

    def unknown_service(self, path: str, service: str) -> Iterator[str]:
        """Yield the problem of a service that is not known."""
        if self.services is not None and service not in self.services:
            yield unknown_name(path, "service", service, self.services)


def read_inventory(path: Path) -> PartialModel[Inventory]:
    """Return the inventory of a file as far as it can be judged; raises InputError when it can't be read."""
    return read_draft(Inventory, path, {"version": 1, "hosts": {}, "services": {}})


def known_in(draft: PartialModel[Inventory]) -> Known:
    """Return the names of a file, those of wrong entries too: they are there, only their entries are not right."""
    return Known(draft.names("hosts"), draft.names("services"))


def names_of(inventory: Inventory) -> Known:
    """Return the names of an inventory."""
    return Known(tuple(inventory.hosts), tuple(inventory.services))


def load_inventory(path: Path) -> Inventory:
    """Return the inventory of a file; raises InputError with all its problems."""
    draft = read_inventory(path)
    return draft.judged(problems_of(draft))


def problems_of(draft: PartialModel[Inventory]) -> Iterator[str]:
    """Yield what is wrong although the shape is right: unknown names, one port for two, circles of links."""
    inventory, known = draft.rough, known_in(draft)
    if inventory is None:
        return
    for name, entry in inventory.services.items():
        yield from service_problems(f"services/{name}", entry, known)
    yield from link_problems("links", inventory.links, known)
    yield from port_clashes(
        inventory.services, {name: entry.host for name, entry in inventory.services.items()}, "services"
    )
    yield from _circles(inventory.links)
    yield from _shared_containers(inventory.services)


def service_problems(path: str, entry: ServiceEntry, known: Known) -> Iterator[str]:
    """Yield what is wrong with one service by itself."""
    yield from known.unknown_host(f"{path}/host", entry.host)
    if entry.health and entry.health.kind != "container" and entry.health.port is None:
        yield f"{path}/health/port: missing; expected the port in the container that answers {entry.health.kind}"


def link_problems(path: str, links: tuple[Link, ...], known: Known) -> Iterator[str]:
    """Yield the ends of links that are no service."""
    for position, link in enumerate(links):
        yield from known.unknown_service(f"{path}/{position}/from", link.from_)
        yield from known.unknown_service(f"{path}/{position}/to", link.to)
        for number, rewrite in enumerate(link.rewrite):
            yield from rewrite_problems(f"{path}/{position}/rewrite/{number}", rewrite)


def _shared_containers(services: Mapping[str, ServiceEntry]) -> Iterator[str]:
    seen: dict[tuple[str, str], str] = {}
    for name, entry in services.items():
        other = seen.setdefault((entry.host, entry.container), name)
        if other != name:
            yield (
                f"services/{name}/container: {entry.container} on {entry.host} is that of {other}; expected one "
                "service per container"
            )


def port_clashes(services: Mapping[str, ServiceEntry], where: Mapping[str, str], path: str) -> Iterator[str]:
    """Yield each pair of services that publish one port on one host, when each service is on the host of `where`."""
    for (one, entry), (other, other_entry) in combinations(services.items(), 2):
        if where[one] == where[other]:
            for port in _shared_ports(entry, other_entry):
                yield (
                    f"{path}/{other}/ports: {port} on {where[other]} is published by {one} too; expected one "
                    "service per port"
                )


def taken_by(entry: ServiceEntry, newcomer: ServiceEntry, *, ports: bool = True) -> Iterator[str]:
    """Yield what a newcomer wants and a service on the same host has: published ports (unless left out), the
    container's name.
    """
    for port in _shared_ports(entry, newcomer) if ports else ():
        yield f"port {port}"
    if entry.container == newcomer.container:
        yield f"the container name {entry.container}"


def _shared_ports(one: ServiceEntry, other: ServiceEntry) -> Iterator[str]:
    yield from (
        f"{port.host}/{port.protocol}" for port, its in product(other.ports, one.ports) if _same_port(port, its)
    )


def _same_port(one: PortEntry, other: PortEntry) -> bool:
    if (one.host, one.protocol) != (other.host, other.protocol):
        return False
    if one.address in EVERY_ADDRESS or other.address in EVERY_ADDRESS:
        return (
            "::" in {one.address, other.address} or ip_address(one.address).version == ip_address(other.address).version
        )
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
            yield (
                f"links: a circle: {' → '.join(circle)}; mark the link that is not needed at start with "
                "needed_at_start: false"
            )


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
