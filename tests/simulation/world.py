"""The modelled machines: what Docker, disks, networks and clocks do, with nothing of longshore in it."""

from __future__ import annotations

import json
import marshal
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Any, Final

from tests.simulation.clock import BEGINNING

FLUSH_S: Final = 30.0
"""The kernel writes back by itself what was written so long ago. proc(5), dirty_expire_centisecs."""
NOT_SEEN_CALLS: Final = 6
"""Between the last look at one host and the start on the other somebody may start the first: nobody can see that."""
SERVICE_IMAGES: Final = "sha256:5e"
NETWORK: Final = "apps"
Record = tuple[str, int]


class Broken(BaseException):
    """The model itself was asked for what it does not know."""


@dataclass
class Ways:
    """How often anything changed that decides who reaches whom: what was found holds until the next change."""

    changes: int = 0

    def change(self) -> None:
        """Note a change."""
        self.changes += 1


WAYS: Final = Ways()


class WatchedDict(dict[Any, Any]):
    """A dict whose changes may change who reaches whom."""

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        WAYS.change()

    def pop(self, *given: Any) -> Any:
        """Remove a key."""
        WAYS.change()
        return super().pop(*given)

    def update(self, *given: Any, **named: Any) -> None:
        """Set several keys."""
        super().update(*given, **named)
        WAYS.change()

    def __delitem__(self, key: Any) -> None:
        raise Broken("not watched: use pop")

    def setdefault(self, *_: Any) -> Any:
        """Refuse what is not watched."""
        raise Broken("not watched: use an assignment")


class WatchedSet(set[Any]):
    """A set whose changes may change who reaches whom."""

    def add(self, item: Any) -> None:
        """Add an item."""
        super().add(item)
        WAYS.change()

    def discard(self, item: Any) -> None:
        """Remove an item that may not be there."""
        super().discard(item)
        WAYS.change()


@dataclass
class File:
    """A file of records: as programs see it, and as the disk has it."""

    records: set[Record] = field(default_factory=set)
    mtime: int = 0
    on_disk: tuple[frozenset[Record], int] | None = None  # where that is not as programs see it
    dirty_at: float | None = None
    is_on_disk: bool = False

    def sync(self) -> None:
        """Have it on disk, as it is now; whoever changes it later says again whether it is."""
        self.is_on_disk, self.dirty_at = True, None

    def disk(self) -> tuple[frozenset[Record], int] | None:
        """Return what the disk has, None for nothing."""
        return (frozenset(self.records), self.mtime) if self.is_on_disk else self.on_disk


@dataclass
class Volume:
    """A volume with its files."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)

    def records(self) -> set[Record]:
        """Return all records in it."""
        return set().union(*(file.records for file in self.files.values())) if self.files else set()

    def power_cut(self, now: float) -> None:
        """Lose what was written and is not on disk."""
        for _name, file in list(self.files.items()):
            if file.dirty_at is None or now - file.dirty_at > FLUSH_S:
                file.sync()
            else:
                records, file.mtime = file.on_disk or (frozenset(), file.mtime)
                file.records = set(records)
                file.sync()

    def content(self) -> dict[str, tuple[frozenset[Record], int]]:
        """Return what a full comparison sees."""
        return {name: (frozenset(file.records), file.mtime) for name, file in self.files.items()}


@dataclass
class Container:
    """A container of Docker's."""

    id: str
    name: str
    config: dict[str, Any]
    host_config: dict[str, Any]
    image: str
    networks: dict[str, dict[str, Any]]
    mounts: list[dict[str, Any]]
    status: str = "created"
    exit_code: int = 0
    started_at: float = 0.0
    finished_at: float = 0.0
    stopped_by_hand: bool = False
    auto_remove: bool = False
    files: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    probe: dict[str, Any] | None = None
    by_hand_at: int = -100  # the number of the call before which a person started it
    created_at: float = 0.0

    def __post_init__(self) -> None:
        """Watch its networks."""
        self.networks = WatchedDict(self.networks)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in {"name", "status", "networks"}:
            WAYS.change()

    @property
    def running(self) -> bool:
        """Return whether it runs."""
        return self.status == "running"

    @cached_property
    def labels(self) -> dict[str, str]:
        """Return its labels: like its command and its ports, they are those with which it was made."""
        return dict(self.config.get("Labels") or {})

    @cached_property
    def role(self) -> str:
        """Return what longshore made it for, "" for what is not longshore's."""
        return self.labels.get("longshore.role", "")

    @property
    def policy(self) -> str:
        """Return its restart policy's name."""
        return (self.host_config.get("RestartPolicy") or {}).get("Name") or "no"

    @cached_property
    def is_service(self) -> bool:
        """Return whether it is one of the modelled services' (not a helper or a relay)."""
        return self.image.startswith(SERVICE_IMAGES) and self.role in {"", "service"}

    @cached_property
    def published(self) -> tuple[tuple[int, int], ...]:
        """Return (host port, container port) of each."""
        bindings = (self.host_config.get("PortBindings") or {}).items()
        return tuple(
            (int(place["HostPort"]), int(inside.partition("/")[0]))
            for inside, places in bindings
            for place in places or ()
        )

    def volume_at(self, path: str) -> str | None:
        """Return the volume mounted at a path."""
        return next((mount["Name"] for mount in self.mounts if mount["Destination"] == path), None)

    @cached_property
    def relays_to(self) -> tuple[str, int] | None:
        """Return where a relay leads."""
        for word in self.config.get("Cmd") or ():
            kind, _, rest = str(word).partition(":")
            if kind in {"TCP", "OPENSSL", "OPENSSL-CONNECT", "TCP4"}:
                address, _, port = rest.partition(",")[0].rpartition(":")
                return address, int(port)
        return None

    @cached_property
    def listens_on(self) -> int | None:
        """Return the port at which a relay listens."""
        for word in self.config.get("Cmd") or ():
            kind, _, rest = str(word).partition(":")
            if kind in {"TCP-LISTEN", "OPENSSL-LISTEN"}:
                return int(rest.partition(",")[0])
        return None

    def inspect(self) -> dict[str, Any]:
        """Return what `docker inspect` prints."""
        networks = {
            name: {**one, "IPAddress": one["IPAddress"] if self.running else "", "DNSNames": [self.name]}
            for name, one in self.networks.items()
        }
        return marshal.loads(  # noqa: S302 our own bytes: the fastest deep copy of what is JSON
            marshal.dumps(
                {
                    "Id": self.id,
                    "Name": f"/{self.name}",
                    "Image": self.image,
                    "Created": stamp(self.created_at),
                    "State": {
                        "Status": self.status,
                        "Running": self.running,
                        "Paused": False,
                        "Restarting": False,
                        "OOMKilled": False,
                        "Dead": False,
                        "Pid": 1000 if self.running else 0,
                        "ExitCode": self.exit_code,
                        "Error": "",
                        "StartedAt": stamp(self.started_at),
                        "FinishedAt": stamp(self.finished_at),
                    },
                    "RestartCount": 0,
                    "Config": self.config,
                    "HostConfig": self.host_config,
                    "NetworkSettings": {"Networks": networks},
                    "Mounts": self.mounts,
                }
            )
        )


@lru_cache(maxsize=4096)
def stamp(moment: float) -> str:
    """Return a moment as the engine writes it."""
    if not moment:
        return "0001-01-01T00:00:00Z"
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


@dataclass
class Machine:
    """A host: its engine, its disk, its files, its clock."""

    name: str
    address: str
    containers: dict[str, Container] = field(default_factory=WatchedDict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    networks: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    run_files: dict[str, str] = field(default_factory=dict)  # tmpfs
    lock: dict[str, Any] | None = None
    audit: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    up_at: float = 0.0
    engine_at: float = 0.0
    offset_s: float = 0.0
    full: bool = False
    gone: bool = False  # it never comes back
    addresses: int = 1

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in {"up_at", "containers"}:
            WAYS.change()

    def container(self, name: str) -> Container | None:
        """Return a container by name or (the beginning of its) id."""
        if name in self.containers:
            return self.containers[name]
        named = next((one for one in self.containers.values() if one.name == name), None)
        return named or (
            next((one for one in self.containers.values() if len(name) >= 12 and one.id.startswith(name)), None)
        )

    def services(self) -> Iterator[Container]:
        """Yield the containers of modelled services."""
        return (one for one in self.containers.values() if one.is_service)


@dataclass
class Client:
    """Somebody who writes numbered records all the time: by a name on a host's network, or at a published port."""

    name: str
    service: str
    host: str
    network: str  # "" for the published port of the host
    alias: str
    port: int
    follows: str = ""  # the image of the service that writes: from wherever it runs
    number: int = 0
    acknowledged: dict[int, float] = field(default_factory=dict)
    refused: int = 0
    last_good: float = BEGINNING


@dataclass
class World:
    """All machines and clients, and the time that passes."""

    machines: dict[str, Machine]
    clients: list[Client] = field(default_factory=list)
    acts: set[str] = field(default_factory=set)  # services that act on start
    now: float = BEGINNING
    ids: int = 0
    cuts: set[frozenset[str]] = field(default_factory=WatchedSet)  # pairs of hosts
    violations: list[str] = field(default_factory=list)
    acted: dict[Record, float] = field(default_factory=dict)
    watchers: list[Callable[[], None]] = field(default_factory=list)
    by_hand: bool = False
    calls: int = 0  # of all processes
    after_writes: Callable[[World], None] = lambda _world: None
    repairs: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    ways: dict[tuple[Any, ...], Any] = field(default_factory=dict)  # who answers there, since the last change
    ways_at: int = -1

    def mend_all(self) -> None:
        """Let all that was broken for a while be whole again."""
        for _, repair in self.repairs:
            repair()
        self.repairs.clear()
        back = [max(one.up_at, one.engine_at) for one in self.machines.values() if not one.gone]
        longest = max(back, default=0.0)
        while self.now < longest:
            self.advance(min(30.0, longest - self.now + 0.1))
        self.advance(1.0)

    def violate(self, text: str) -> None:
        """Note that an invariant was broken, once."""
        if text not in self.violations:
            self.violations.append(text)

    def new_id(self) -> str:
        """Return an id as the engine makes them."""
        self.ids += 1
        return sha256(f"id {self.ids}".encode()).hexdigest()

    # time

    def advance(self, seconds: float) -> None:
        """Let time pass: hosts come back, clients write."""
        pieces = 1 if seconds <= 1 else min(8, int(seconds) + 1)
        for _ in range(pieces):
            self.now += seconds / pieces
            self._tick()

    def _tick(self) -> None:
        if self.repairs:
            for one in [one for one in self.repairs if one[0] <= self.now]:
                self.repairs.remove(one)
                one[1]()
        machines = self.machines.values()
        for machine in machines:
            if machine.engine_at and self.now >= max(machine.engine_at, machine.up_at):
                machine.engine_at = 0.0
                self.engine_begins(machine)
            if machine.up_at and self.now >= machine.up_at:
                machine.up_at = 0.0
        for client in self.clients:
            self.write(client)
        self.after_writes(self)
        for machine in machines:
            for container in machine.containers.values():
                if container.probe is not None and container.running:
                    self._ask(machine, container, container.probe)

    def is_up(self, name: str) -> bool:
        """Return whether a host runs."""
        return self.machines[name].up_at <= self.now

    def engine_up(self, name: str) -> bool:
        """Return whether a host's engine answers."""
        return self.is_up(name) and self.machines[name].engine_at <= self.now

    # clients

    def write(self, client: Client) -> None:
        """Try to write the next record; remember it when it was acknowledged."""
        host = self._host_of(client)
        found = self.reach(host, client.network, client.alias, client.port) if host else None
        if found is None:
            client.refused += 1
            return
        machine, container = found
        client.number += 1
        if self.store(machine, container, (client.name, client.number)):
            client.acknowledged[client.number] = self.now
            client.last_good = self.now
        else:
            client.refused += 1

    def _host_of(self, client: Client) -> str:
        """Return where a client writes from, "" for one that runs nowhere."""
        if not client.follows:
            return client.host
        key = ("home", client.follows)
        ways = self._known_ways()
        if key not in ways:
            homes = (
                name
                for name, one in self.machines.items()
                if any(it.image == client.follows and it.running for it in one.services())
            )
            ways[key] = next(homes, "")
        return str(ways[key])

    def _known_ways(self) -> dict[tuple[Any, ...], Any]:
        """Return what was found since the last change."""
        if self.ways_at != WAYS.changes:
            self.ways.clear()
            self.ways_at = WAYS.changes
        return self.ways

    def store(self, machine: Machine, container: Container, record: Record) -> bool:
        """Let a service keep a record, on disk before it says so."""
        name = container.volume_at("/data")
        if name is None or machine.full or name not in machine.volumes:
            return False
        file = machine.volumes[name].files.setdefault(record[0], File())
        file.records.add(record)
        file.mtime = int((self.now + machine.offset_s) * 1e9) + record[1] % 1000
        file.sync()
        return True

    def reach(self, host: str, network: str, alias: str, port: int, depth: int = 0) -> tuple[Machine, Container] | None:
        """Return which service's container answers there, through relays."""
        key, ways = (host, network, alias, port, depth), self._known_ways()
        if key not in ways:
            ways[key] = self._find(host, network, alias, port, depth)
        found: tuple[Machine, Container] | None = ways[key]
        return found

    def _find(self, host: str, network: str, alias: str, port: int, depth: int) -> tuple[Machine, Container] | None:
        if depth > 5 or not self.is_up(host):
            return None
        machine = self.machines[host]
        if not network:  # a published port: of the host that is named, or of this address
            at = self.machines[alias].address if alias in self.machines else alias
            return self.published(at, port, host, depth)
        on = [one for one in machine.containers.values() if one.status == "running" and network in one.networks]
        for container in sorted(on, key=lambda one: one.role == "forwarder") if len(on) > 1 else on:
            names = {container.name, *(container.networks[network].get("Aliases") or ())}
            if alias in names:
                return self._through(machine, container, port, depth)
        return None

    def published(self, address: str, port: int, asker: str, depth: int = 0) -> tuple[Machine, Container] | None:
        """Return which service's container answers at a host's address and port."""
        machine = next((one for one in self.machines.values() if one.address == address), None)
        if machine is None or not self.is_up(machine.name) or frozenset((asker, machine.name)) in self.cuts:
            return None
        for container in machine.containers.values():
            for outside, inside in container.published if container.status == "running" else ():
                if outside == port:
                    return self._through(machine, container, inside, depth)
        return None

    def _through(
        self, machine: Machine, container: Container, port: int, depth: int
    ) -> tuple[Machine, Container] | None:
        if container.role != "forwarder":
            return (machine, container) if container.is_service else None
        to = container.relays_to
        if to is None or container.listens_on != port:
            return None
        if all(one.address != to[0] for one in self.machines.values()):  # the far end, which uses a name
            return next(
                (
                    found
                    for name in container.networks
                    if (found := self.reach(machine.name, name, to[0], to[1], depth + 1))
                ),
                None,
            )
        keys = container.labels.get("longshore.relay.keys", "")
        if keys and not self._fit(keys, to):
            return None
        return self.published(to[0], to[1], machine.name, depth + 1)

    def _fit(self, keys: str, to: tuple[str, int]) -> bool:
        """Return whether the far end at an address has the keys that a near end expects, and expects the near end's."""
        machine = next(one for one in self.machines.values() if one.address == to[0])
        wanted = ":".join(reversed(keys.split(":")))
        ends = (
            one
            for one in machine.containers.values()
            if one.running and any(port == to[1] for port, _ in one.published)
        )
        return any(one.labels.get("longshore.relay.keys") == wanted for one in ends)

    def _ask(self, machine: Machine, container: Container, probe: dict[str, Any]) -> None:
        network = "" if probe["network"] == "host" else probe["network"]
        good = self.reach(machine.name, network, probe["name"], probe["port"]) is not None
        now = int((self.now + machine.offset_s) * 1e9)
        if good is not probe["state"]:
            last = probe["last_good"] if not good else probe["last"]
            line = {
                "good": good,
                "at_ns": now,
                "began_ns": now - 1000,
                "seen": "200" if good else "refused",
                "last_ns": last,
            }
            container.log.append(json.dumps(line))
            probe["state"] = good
        probe["last"] = now
        if good:
            probe["last_good"] = now

    # the engine

    def start(self, machine: Machine, container: Container) -> str:
        """Start a container; return why it can't, "" when it runs."""
        if container.running:
            return ""
        for name in container.networks:
            if name not in machine.networks and name != "bridge":  # the engine makes it, and looks when it starts it
                return f"network {name} not found"
        mode, _, other_name = str(container.host_config.get("NetworkMode", "")).partition(":")
        if mode == "container" and machine.container(other_name) is None:
            return f"joining network namespace of container: No such container: {other_name}"
        mine = {outside for outside, _ in container.published}
        for other in machine.containers.values():
            if other.running and other is not container and mine & {outside for outside, _ in other.published}:
                return (
                    f"driver failed programming external connectivity on endpoint {container.name}: port is "
                    "already allocated"
                )
        container.status, container.started_at, container.exit_code = "running", self.now + machine.offset_s, 0
        container.stopped_by_hand = False
        for name in container.networks:
            machine.addresses += 1
            container.networks[name]["IPAddress"] = f"172.30.0.{machine.addresses % 250 + 1}"
        if container.is_service:
            self._began(machine, container)
        return ""

    def _began(self, machine: Machine, container: Container) -> None:
        others = [
            f"{other.name} on {one.name}"
            for one in self.machines.values()
            for other in one.services()
            if other is not container
            and other.running
            and other.image == container.image
            and self.calls - other.by_hand_at > NOT_SEEN_CALLS
        ]
        if others and not self.by_hand:
            self.violate(f"two writers: {container.name} on {machine.name} started next to {', '.join(others)}")
        if container.image in self.acts:
            record = (f"act-{container.image[-4:]}", len(self.acted) + 1)
            if self.store(machine, container, record):
                self.acted[record] = self.now

    def stop(self, machine: Machine, container: Container, *, code: int = 0, by_hand: bool = True) -> None:
        """Stop a container."""
        if container.status == "running":
            self.after_writes(self)  # what was written is sent before the end
            container.status, container.exit_code, container.finished_at = "exited", code, self.now + machine.offset_s
        container.stopped_by_hand = by_hand or container.stopped_by_hand
        if container.auto_remove and container.status == "exited":
            machine.containers.pop(container.id, None)

    def engine_ends(self, machine: Machine, seconds: float, *, code: int = 0) -> None:
        """Let an engine be away for a while; its containers end."""
        for container in list(machine.containers.values()):
            if container.running:
                self.stop(machine, container, code=code, by_hand=False)
        machine.engine_at = self.now + seconds

    def engine_begins(self, machine: Machine) -> None:
        """Start what its restart policy wants."""
        for container in list(machine.containers.values()):
            wants = container.policy == "always" or (
                container.policy == "unless-stopped" and not container.stopped_by_hand
            )
            if wants and not container.running and container.started_at:
                self.start(machine, container)

    def reboot(self, machine: Machine, seconds: float, *, power_cut: bool = False) -> None:
        """Let a host go down and come back; what lies in /run is gone, and after a power cut what was not on disk."""
        self.engine_ends(machine, seconds + 2, code=137 if power_cut else 0)
        machine.up_at = self.now + seconds
        machine.run_files.clear()
        for volume in machine.volumes.values():
            if power_cut:
                volume.power_cut(self.now)
            else:
                for file in volume.files.values():
                    file.sync()

    def lose(self, machine: Machine) -> None:
        """Let a host go down and never come back; its disk stays readable for the invariants alone."""
        self.reboot(machine, math.inf, power_cut=True)
        machine.gone = True

    def mounted_by_running(self, machine: Machine, volume: str) -> list[str]:
        """Return the running services that write into a volume."""
        return [one.name for one in machine.services() if one.running and one.volume_at("/data") == volume]

    def survivors(self) -> set[Record]:
        """Return every record that is anywhere."""
        found: set[Record] = set()
        for machine in self.machines.values():
            for volume in machine.volumes.values():
                found |= volume.records()
        return found

    def acknowledged(self, service: str | None = None) -> set[Record]:
        """Return every record whose write a client saw acknowledged."""
        mine = {
            (client.name, number)
            for client in self.clients
            if service in {None, client.service}
            for number in client.acknowledged
        }
        return mine | (set(self.acted) if service is None else set())
