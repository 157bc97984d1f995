"""The modelled products' own replication: how longshore talks to it, and what it does on a modelled host."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

from tests.simulation.world import Container, File, Machine, Volume, World

FOLLOWS: Final = "follow"
PRIMARY: Final = "promoted"


class SimReplication:
    """How longshore makes and asks a replica of a modelled store."""

    port = 5000
    data_at = "/data"
    wants_owner = False

    def conditions(self, user: str) -> tuple[list[str], bytes]:
        """Ask the source whether it can."""
        return ["replicate", "conditions"], b""

    def why_not(self, output: str, inspect: Mapping[str, Any]) -> str:
        """Return why not."""
        return "" if output.strip() == "ok" else "it can't"

    def password_file(self, user: str, password: str) -> str:
        """Return a password's file."""
        return "password"

    def base_copy(self, user: str, port: int) -> list[str]:
        """Return nothing: a replica fetches all by itself."""
        return []

    def standby(self, command: list[str], user: str, port: int) -> tuple[list[str] | None, list[str]]:
        """Return the replica's command."""
        return None, [FOLLOWS, str(port)]

    def before_standby(self) -> list[str]:
        """Return nothing."""
        return []

    def connect(self, password: str, port: int) -> tuple[list[str], bytes]:
        """Return nothing: its command says whom it follows."""
        return [], b""

    def status(self, user: str) -> tuple[list[str], bytes]:
        """Ask where it stands."""
        return ["replicate", "status"], b""

    def why_not_following(self, output: str) -> str:
        """Return why it does not follow."""
        return "" if json.loads(output)["follows"] else "it has lost its source"

    def end_of_source(self) -> list[str]:
        """Return the program that reads where the source ended."""
        return ["replicate", "end"]

    def end_in_data(self) -> str:
        """Return nothing more."""
        return ""

    def end_position(self, output: str) -> str:
        """Return where it ended."""
        return output.strip()

    def why_not_complete(self, output: str, end: str) -> str:
        """Return what it lacks."""
        seen = json.loads(output)["position"]
        return "" if seen == end else f"it is at {seen}"

    def promote(self, user: str) -> tuple[list[str], bytes]:
        """Make it a primary."""
        return ["replicate", "promote"], b""

    def why_not_promoted(self, output: str) -> str:
        """Return why it is none yet."""
        return "" if json.loads(output)["primary"] else "it still follows"


def position(volume: Volume) -> str:
    """Return where a store stands: how much it holds, and a digest of it."""
    held = sorted(volume.records())
    return f"{len(held)}/{sha256(repr(held).encode()).hexdigest()[:12]}"


def replicas(world: World) -> Iterator[tuple[Machine, Container]]:
    """Yield the replicas that run and follow."""
    for machine in world.machines.values():
        for one in machine.containers.values():
            if (
                one.running
                and one.role == "replica"
                and one.config.get("Cmd", [""])[:1] == [FOLLOWS]
                and PRIMARY not in one.files
            ):
                yield machine, one


def source_of(world: World, machine: Machine, port: str) -> tuple[Machine, Container] | None:
    """Return the store at the other end of the tunnel that comes out at a port of a host's loopback address."""
    for other in world.machines.values():
        for tunnel in other.containers.values():
            words = tunnel.config.get("Cmd") or []
            if (
                not tunnel.running
                or f"127.0.0.1:{port}:127.0.0.1:5000" not in words
                or machine.address not in words[-1]
            ):
                continue
            if (
                not (world.is_up(machine.name) and world.is_up(other.name))
                or frozenset((machine.name, other.name)) in world.cuts
            ):
                continue
            store = other.container(tunnel.host_config["NetworkMode"].partition(":")[2])
            if store is not None and store.running:
                return other, store
    return None


def follow(world: World) -> None:
    """Let every replica fetch what its source has and it lacks."""
    for machine, replica in replicas(world):
        found, into = (
            source_of(world, machine, replica.config["Cmd"][1]),
            machine.volumes.get(replica.volume_at("/data") or ""),
        )
        if found is None or into is None or machine.full:
            continue
        for name, file in found[0].volumes[found[1].volume_at("/data") or ""].files.items():
            here = into.files.setdefault(name, File())
            if here.records != file.records or here.mtime != file.mtime:
                here.records, here.mtime = set(file.records), file.mtime
                here.sync()


def said_by(world: World, machine: Machine, container: Container, what: str) -> str:
    """Return what a store or its replica says."""
    volume = machine.volumes[container.volume_at("/data") or ""]
    if what == "promote":
        container.files.add(PRIMARY)
    if what in {"conditions", "promote"}:
        return "ok\n"
    if what == "end":
        return f"{position(volume)}\n"
    follows = source_of(world, machine, container.config["Cmd"][1]) is not None
    return json.dumps({"follows": follows, "position": position(volume), "primary": PRIMARY in container.files})
