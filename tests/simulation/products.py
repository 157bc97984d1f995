"""The modelled products: they answer at their endpoints from what the model's volumes hold."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from engine.contracts.fingerprint import Fingerprint, FingerprintPart
from engine.contracts.product import Product, ServiceInstance
from engine.errors import UnreachableError
from engine.verdict import Judgement, failed, passed
from tests.simulation.process import Process
from tests.simulation.world import Container, Machine


@dataclass
class Asking:
    """Whose question it is now: products know no process."""

    process: Process | None = None


ASKING: Final = Asking()


class Store(Product):
    """A store of numbered records."""

    name = "sim-store"
    acts_on_start = False
    stop_grace_s = 10
    clean_exit_codes = frozenset({0, 143})
    ready_deadline_s = 20.0
    state_paths: tuple[str, ...] = ("/data",)
    writable_noise: tuple[str, ...] = ()
    trouble: tuple[Any, ...] = ()
    noise: tuple[Any, ...] = ()

    def ready(self, at: ServiceInstance) -> Judgement:
        """Ask whether it answers."""
        found = _connect(at)
        if found is None:
            return failed(f"{at.where}: connection refused. Expected: an answer")
        return passed(f"{at.where}: answers")

    def smoke(self, at: ServiceInstance, nonce: str) -> Judgement:
        """Use it."""
        return self.ready(at)

    def fingerprint(self, at: ServiceInstance, since: Fingerprint | None) -> Fingerprint:
        """Read the records of each writer, up to the bound of an earlier reading."""
        found = _connect(at)
        if found is None:
            raise UnreachableError(f"{at.where}: no answer to a reading. Expected: its records")
        machine, container = found
        volume = machine.volumes[container.volume_at("/data") or ""]
        parts = {}
        for name, file in sorted(volume.files.items()):
            before = since.parts.get(f"writer {name}") if since else None
            highest = int(before.bound["id_max"]) if before else max((number for _, number in file.records), default=0)
            kept = sorted(number for _, number in file.records if number <= highest)
            parts[f"writer {name}"] = FingerprintPart(
                len(kept), sha256(repr(kept).encode()).hexdigest(), bound={"id_max": highest}
            )
        return Fingerprint(at.service, parts)

    def export_commands(self, container: Any) -> tuple[Any, ...]:
        """Return none."""
        return ()


class Actor(Store):
    """A store that acts on the world when it starts."""

    name = "sim-actor"
    acts_on_start = True


def _connect(at: ServiceInstance) -> tuple[Machine, Container] | None:
    """Return who answers at an endpoint."""
    process = ASKING.process
    assert process is not None
    host, _, address = at.endpoint.host.partition("|")

    def do() -> tuple[Machine, Container] | None:
        world = process.world
        machine = world.machines[host]
        if address == machine.address or any(one.address == address for one in world.machines.values()):
            return world.published(address, at.endpoint.port, host)
        on = next(
            (
                one
                for one in machine.services()
                if one.running and address in {net["IPAddress"] for net in one.networks.values()}
            ),
            None,
        )
        return (machine, on) if on else None

    return process.call(host, f"ask {at.service} at {address}:{at.endpoint.port}", do)
