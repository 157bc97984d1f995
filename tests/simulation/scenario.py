"""What a story is about: services, hosts, links and clients, and the commands that are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from engine.config.environment import Environment
from engine.config.inventory import Inventory
from engine.config.plan import Plan
from engine.config.scope import Scope, build_scope
from tests.simulation.engine_api import create, network
from tests.simulation.replication import follow
from tests.simulation.world import NETWORK, Client, Container, File, Machine, Volume, World

ADDRESSES: Final = {"a": "192.0.2.1", "b": "192.0.2.2", "c": "192.0.2.3"}
STORE_IMAGE: Final = "sha256:" + "5e" + "0" * 61 + "1"
APP_IMAGE: Final = "sha256:" + "5e" + "0" * 61 + "2"
PORTS: Final = {"store": 5000, "app": 6000}
TARGETS: Final = {"single": {"store": "b"}, "pair": {"app": "b", "store": "c"}}


@dataclass(frozen=True)
class Command:
    """A command line, read."""

    phase: str
    services: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    break_lock: str | None = None
    discard: str | None = None
    undo: bool = False
    target_lost: str | None = None
    apply: bool = True

    @property
    def argv(self) -> tuple[str, ...]:
        """Return its words."""
        words = ["--lab"]
        for service in self.services:
            words += ["--service", service]
        for service in self.again:
            words += ["--retry", service]
        words += ["--break-lock", self.break_lock] if self.break_lock else []
        words += ["--discard-target-writes", self.discard] if self.discard else []
        words += ["--revert"] if self.undo else []
        words += ["--target-lost", self.target_lost] if self.target_lost else []
        return (*words, *(["--apply"] if self.apply else []))

    def text(self) -> str:
        """Return it as it is typed."""
        return f"nox -s {self.phase} -- {' '.join(self.argv)}"

    def with_lock_broken(self) -> Command:
        """Return it with the flag that takes over a lock."""
        return replace(self, break_lock="that run is dead")


@dataclass(frozen=True)
class Scenario:
    """One of the worlds, with what is done in it."""

    topology: str
    goals: tuple[Command, ...]
    product: str = "sim-store"
    strategy: str = "precopy"
    policy: str = "unless-stopped"
    replan: bool = False  # whether a second plan, approved too, sends the service elsewhere

    def text(self) -> str:
        """Return it in a line."""
        return f"{self.topology}, {self.product}, {self.strategy}, policy {self.policy}: " + "; then ".join(
            goal.text() for goal in self.goals
        )


def inventory_of(scenario: Scenario) -> dict[str, Any]:
    """Return the inventory's content."""
    targets = TARGETS[scenario.topology]
    services = {
        name: {
            "product": scenario.product if name == "store" else "sim-store",
            "host": "a",
            "container": name,
            "image": f"{name}:1",
            "networks": [NETWORK],
            "ports": [{"host": PORTS[name], "container": PORTS[name]}],
            "mounts": [{"source": f"{name}_data", "path": "/data"}],
            "health": {"kind": "http", "port": PORTS[name], "path": "/"},
        }
        for name in ("app", "store")
    }
    return {
        "version": 1,
        "hosts": {name: {"purpose": "modelled"} for name in ("a", *sorted(set(targets.values())))},
        "services": services,
        "links": [{"from": "app", "to": "store", "name": "store", "port": PORTS["store"]}],
    }


@lru_cache(maxsize=64)
def scope_of(scenario: Scenario, services: tuple[str, ...], replanned: bool) -> Scope:
    """Return the scope of a run."""
    targets = dict(TARGETS[scenario.topology])
    if replanned:
        targets["store"] = "c"
    inventory = Inventory.model_validate(inventory_of(scenario) if not replanned else _with_c(inventory_of(scenario)))
    moves = [
        {"service": name, "source": "a", "target": target, "wave": "critical", "strategy": scenario.strategy}
        for name, target in targets.items()
    ]
    plan = Plan.model_validate(
        {
            "version": 1,
            "title": "Empty a",
            "approvals": [],
            "moves": moves,
            "window": {
                "status": "agreed",
                "starts_at": "2000-01-01T00:00:00Z",
                "ends_at": "2200-01-01T00:00:00Z",
                "time_zone": "UTC",
            },
        }
    )
    environment = Environment.model_validate(
        {
            "environment": "lab",
            "require_clean_checkout": False,
            "hosts": {
                name: {
                    "address": address,
                    "ssh_host_key": "ssh-ed25519 AAAAC3Nz",
                    "machine_id": name * 32,
                    "engine_id": f"engine-{name}",
                    "lab": True,
                }
                for name, address in ADDRESSES.items()
            },
        }
    )
    return build_scope(inventory, plan, environment, services=services)


def _with_c(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "hosts": {**content["hosts"], "c": {"purpose": "modelled"}}}


def build_world(scenario: Scenario) -> World:
    """Return the world as it is before anything is moved."""
    machines = {name: Machine(name, address) for name, address in ADDRESSES.items()}
    machines["outside"] = Machine("outside", "198.51.100.1")
    world = World(machines)
    home = machines["a"]
    home.networks[NETWORK] = network(world)
    for name, image in (("app", APP_IMAGE), ("store", STORE_IMAGE)):
        volume = home.volumes[f"{name}_data"] = Volume(f"{name}_data")
        volume.files["conf"] = File({("conf", 1)}, 1)
        volume.files["conf"].sync()
        made = home.containers[create(world, home, body_of(scenario, name, image), name)["Id"]]
        world.start(home, made)
    if scenario.strategy == "replicate":
        world.after_writes = follow
    if scenario.product == "sim-actor":
        world.acts.add(STORE_IMAGE)
    for name in ("a", "b", "c"):
        _foreign(world, machines[name])
    world.clients = [
        Client("net", "store", "a", NETWORK, "store", PORTS["store"], follows=APP_IMAGE),
        Client("pub", "store", "outside", "", "a", PORTS["store"]),
    ]
    if scenario.topology == "pair":
        world.clients.append(Client("app", "app", "outside", "", "a", PORTS["app"]))
    return world


def body_of(scenario: Scenario, name: str, image: str) -> dict[str, Any]:
    """Return the create body of a service as its people made it."""
    port = str(PORTS[name])
    return {
        "Image": f"{name}:1",
        "Hostname": name,
        "Labels": {"team": "shop"},
        "Env": [f"NAME={name}"],
        "Cmd": ["serve"],
        "Entrypoint": ["run"],
        "ExposedPorts": {f"{port}/tcp": {}},
        "HostConfig": {
            "Binds": [f"{name}_data:/data"],
            "NetworkMode": NETWORK,
            "PortBindings": {f"{port}/tcp": [{"HostIp": "", "HostPort": port}]},
            "RestartPolicy": {"Name": scenario.policy, "MaximumRetryCount": 0},
        },
        "NetworkingConfig": {"EndpointsConfig": {NETWORK: {"Aliases": None}}},
    }


def _foreign(world: World, machine: Machine) -> None:
    """Put things of others on a host."""
    volume = machine.volumes["others"] = Volume("others", {"team": "others"})
    volume.files["theirs"] = File({("theirs", 1)}, 1)
    volume.files["theirs"].sync()
    body = {
        "Image": "other:1",
        "Labels": {"team": "others"},
        "Cmd": [],
        "HostConfig": {"Binds": ["others:/data"], "RestartPolicy": {"Name": "always"}},
    }
    made: Container = machine.containers[create(world, machine, body, "other")["Id"]]
    world.start(machine, made)
    machine.keys.append(f"ssh-ed25519 AAAAadmin{machine.name} admin@example.org")


def goals_of(services: Sequence[str], *phases: Command) -> tuple[Command, ...]:
    """Return each phase's command for these services."""
    return tuple(replace(phase, services=tuple(services)) for phase in phases)


@dataclass
class Plans:
    """Which of the plans is in the files now, and which were approved."""

    replanned: bool = False
    approved: set[str] = field(default_factory=set)
