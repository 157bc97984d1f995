"""The fleet of a played run: the real one, with modelled hosts, engines and facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from engine.errors import NotObservedError
from hosts.facts.model import FileSystem, HostFacts, ImageFacts, NetworkFacts, VolumeFacts
from hosts.facts.parse import parse_container
from hosts.fleet import Fleet
from tests.simulation.engine_api import IMAGE_TAGS, Api
from tests.simulation.process import Process
from tests.simulation.shell import SimHost


class Client:
    """What `Fleet.docker` returns."""

    def __init__(self, api: Api) -> None:
        """Hold the low-level client."""
        self.api = api

    def close(self) -> None:
        """Close nothing."""


class SimFleet(Fleet):
    """The hosts of one process."""

    def __init__(self, names: Iterable[str], environment: Any, process: Process) -> None:
        """Open nothing."""
        self.names = tuple(names)
        self.token = None
        self.process = process
        self._environment = environment
        self._hosts = {name: SimHost(process, name) for name in self.names}  # type: ignore[misc]
        self._identified = dict.fromkeys(self.names)
        self._docker = {}
        self._facts = {}
        self._lost = {}
        self._answers = {}

    def docker(self, name: str) -> Any:
        """Return the engine's client of a host."""
        self[name]  # declared lost, or not of this run
        return Client(Api(self.process, name, self))

    def _gather(self, name: str) -> HostFacts | NotObservedError:
        try:
            self[name]
            return self.process.call(name, "facts", lambda: facts_of(self.process, name))
        except NotObservedError as error:
            return error

    def close(self) -> None:
        """Close nothing."""


def facts_of(process: Process, name: str) -> HostFacts:
    """Return the facts of a modelled host."""
    world, machine = process.world, process.world.machines[name]
    engine = world.engine_up(name)
    free = 0 if machine.full else 1 << 40
    return HostFacts(
        host=name,
        gathered_at=datetime.fromtimestamp(world.now, UTC),
        machine_id=name,
        lab=True,
        kernel="Linux 6.1",
        architecture="x86_64",
        os_name="Model",
        docker_version="27.0" if engine else "",
        docker_error="" if engine else "connection refused",
        engine_id=f"engine-{name}" if engine else "",
        storage_driver="overlay2",
        docker_root="/var/lib/docker",
        containers=tuple(parse_container(name, one.inspect()) for one in machine.containers.values()) if engine else (),
        images=tuple(ImageFacts(one, (tag,), "amd64", ("l1",), 1) for one, tag in IMAGE_TAGS.items()),
        volumes=tuple(
            VolumeFacts(one.name, "local", dict(one.labels), {}, f"/var/lib/docker/volumes/{one.name}/_data", 1000)
            for one in machine.volumes.values()
        ),
        networks=tuple(
            NetworkFacts(one["Id"], key, "bridge", (), dict(one.get("Labels") or {}), False)
            for key, one in machine.networks.items()
        ),
        listening=(),
        file_systems=(FileSystem("/", "/dev/sda1", 1 << 41, free, 1000000, 900000),),
        memory_total_bytes=1 << 34,
        memory_available_bytes=1 << 33,
        load_1m=0.1,
        cpus=2,
        clock_offset_s=machine.offset_s,
        compose_projects=(),
    )


@contextmanager
def open_sim_hosts(process: Process, names: Iterable[str], environment: Any) -> Iterator[SimFleet]:
    """Open modelled hosts for the length of a run."""
    yield SimFleet(names, environment, process)
