"""Docker's API of a modelled host: the methods of the SDK's low-level client that longshore calls, with
their errors.
"""

from __future__ import annotations

import copy
import json
from importlib.util import find_spec
from typing import Any, Final

import docker.errors
import requests

from hosts.coordination.lock import lost_lock
from tests.simulation.process import EngineAway, Process
from tests.simulation.world import NETWORK, Broken, Container, Machine, World

FENCED: Final = find_spec("hosts.docker.fence") is not None
"""Whether this version sends what changes an engine under the host's fence."""
IMAGE_TAGS: Final = {
    "sha256:" + "5e" + "0" * 61 + "1": "store:1",
    "sha256:" + "5e" + "0" * 61 + "2": "app:1",
    "sha256:" + "7b" * 32: "longshore/toolbox:1",
}


def image_id(reference: str) -> str:
    """Return the id of an image by its tag or id."""
    return next((known for known, tag in IMAGE_TAGS.items() if reference in {known, tag}), reference)


class Api:
    """The low-level client of one host's engine, as one process sees it."""

    def __init__(self, process: Process, host: str, fleet: Any = None) -> None:
        """Know whose calls these are, and under which token."""
        self.process, self.host, self.fleet = process, host, fleet

    @property
    def world(self) -> World:
        """Return the world."""
        return self.process.world

    @property
    def machine(self) -> Machine:
        """Return the host."""
        return self.process.world.machines[self.host]

    def _change(self, what: str, do: Any) -> Any:
        """Change something, under the fence of the host's lock."""

        def fenced() -> Any:
            token = getattr(self.fleet, "token", None)
            held = self.machine.lock
            if FENCED and token and not (held and held["token"] == token):
                raise lost_lock(self.host, json.dumps(held["holder"]) if held else "")
            return do()

        return self._call(what, fenced)

    def _call(self, what: str, do: Any) -> Any:
        try:
            return self.process.call(self.host, f"docker api {what}", do, needs=lambda: self.world.engine_up(self.host))
        except EngineAway:
            raise requests.exceptions.ConnectionError("connection refused") from None

    def _need(self, name: str) -> Container:
        found = self.machine.container(name)
        if found is None:
            raise docker.errors.NotFound("404", explanation=f"No such container: {name}")
        return found

    def inspect_container(self, name: str) -> dict[str, Any]:
        """Return a container."""
        return self._call(f"inspect {name}", lambda: self._need(name).inspect())

    def __getattr__(self, name: str) -> Any:
        """Say what the model lacks."""
        if name.startswith("__"):
            raise AttributeError(name)
        raise Broken(f"no model of the engine's {name}")

    def diff(self, name: str) -> list[dict[str, Any]]:
        """Return what a container wrote into its own layer: the modelled services write into volumes only."""

        def do() -> list[dict[str, Any]]:
            self._need(name)
            return []

        return self._call(f"diff {name}", do)

    def info(self) -> dict[str, Any]:
        """Return the engine's id."""
        return {"ID": f"engine-{self.host}"}

    def start(self, name: str) -> None:
        """Start a container."""

        def do() -> None:
            said = self.world.start(self.machine, self._need(name))
            if said:
                kind = docker.errors.NotFound if said.endswith("not found") else docker.errors.APIError
                raise kind("refused", explanation=said)

        self._change(f"start {name}", do)

    def stop(self, name: str, timeout: int = 10) -> None:
        """Stop a container."""
        self._change(f"stop {name}", lambda: self.world.stop(self.machine, self._need(name)))

    def rename(self, name: str, new: str) -> None:
        """Give a container another name."""

        def do() -> None:
            found = self._need(name)
            other = next(
                (one for one in self.machine.containers.values() if one.name == new and one is not found), None
            )
            if other is not None:
                raise docker.errors.APIError(
                    "409", explanation=f'Conflict. The container name "/{new}" is already in use'
                )
            found.name = new

        self._change(f"rename {name} {new}", do)

    def update_container(self, name: str, restart_policy: dict[str, Any]) -> dict[str, Any]:
        """Change a container's restart policy."""

        def do() -> dict[str, Any]:
            self._need(name).host_config["RestartPolicy"] = {"MaximumRetryCount": 0, **restart_policy}
            return {"Warnings": None}

        return self._change(f"update {name} restart={restart_policy.get('Name')}", do)

    def create_container_from_config(self, body: dict[str, Any], name: str) -> dict[str, Any]:
        """Create a container."""
        return self._change(f"create {name}", lambda: create(self.world, self.machine, copy.deepcopy(body), name))

    def remove_container(self, name: str, v: bool = False, force: bool = False) -> None:
        """Remove a container."""

        def do() -> None:
            found = self._need(name)
            if found.running and not force:
                raise docker.errors.APIError(
                    "409", explanation=f'cannot remove container "/{found.name}": container is running'
                )
            self.machine.containers.pop(found.id)

        self._change(f"remove {name}", do)

    def connect_container_to_network(
        self, name: str, network: str, aliases: Any = None, driver_opt: Any = None
    ) -> None:
        """Connect a container to a further network."""
        self._change(
            f"connect {name} {network}",
            lambda: self._need(name).networks.__setitem__(network, endpoint(network, aliases)),
        )

    def networks(self, filters: dict[str, str] | None = None) -> list[dict[str, Any]]:
        """Return the networks."""
        wanted = (filters or {}).get("label", "")

        def do() -> list[dict[str, Any]]:
            return [
                copy.deepcopy(one) for one in self.machine.networks.values()
                if not wanted or wanted in {f"{key}={value}" for key, value in (one.get("Labels") or {}).items()}
            ]  # fmt: skip

        return self._call("networks", do)

    def inspect_network(self, name: str) -> dict[str, Any]:
        """Return a network by name or id, with the containers on it that run."""

        def do() -> dict[str, Any]:
            found = next((one for one in self.machine.networks.values() if name in {one["Name"], one["Id"]}), None)
            if found is None:
                raise docker.errors.NotFound("404", explanation=f"network {name} not found")
            on = {
                one.id: {} for one in self.machine.containers.values() if one.running and found["Name"] in one.networks
            }
            return {**copy.deepcopy(found), "Containers": on}

        return self._call(f"inspect network {name}", do)

    def create_network(self, name: str, **about: Any) -> dict[str, Any]:
        """Create a network."""

        def do() -> dict[str, Any]:
            made = network(self.world, name, labels=about.get("labels") or {})
            self.machine.networks[name] = made
            return {"Id": made["Id"]}

        return self._change(f"create network {name}", do)

    def remove_network(self, name: str) -> None:
        """Remove a network that no container uses."""

        def do() -> None:
            found = next((one for one in self.machine.networks.values() if name in {one["Name"], one["Id"]}), None)
            if found is None:
                raise docker.errors.NotFound("404", explanation=f"network {name} not found")
            if any(found["Name"] in one.networks and one.running for one in self.machine.containers.values()):
                raise docker.errors.APIError("403", explanation="network has active endpoints")
            self.machine.networks.pop(found["Name"])

        self._change(f"remove network {name}", do)

    def inspect_volume(self, name: str) -> dict[str, Any]:
        """Return a volume."""

        def do() -> dict[str, Any]:
            found = self.machine.volumes.get(name)
            if found is None:
                raise docker.errors.NotFound("404", explanation=f"get {name}: no such volume")
            return {
                "Name": name,
                "Driver": "local",
                "Labels": dict(found.labels),
                "Options": None,
                "Mountpoint": f"/var/lib/docker/volumes/{name}/_data",
            }

        return self._call(f"inspect volume {name}", do)

    def create_volume(
        self, name: str, driver: str = "local", driver_opts: Any = None, labels: Any = None
    ) -> dict[str, Any]:
        """Create a volume; one that is there is returned as it is."""

        def do() -> dict[str, Any]:
            from tests.simulation.world import Volume  # noqa: PLC0415

            self.machine.volumes.setdefault(name, Volume(name, dict(labels or {})))
            return {"Name": name}

        return self._change(f"create volume {name}", do)

    def remove_volume(self, name: str, force: bool = False) -> None:
        """Remove a volume."""

        def do() -> None:
            said = remove_volume(self.machine, name)
            if said:
                kind = docker.errors.NotFound if said.endswith("no such volume") else docker.errors.APIError
                raise kind("refused", explanation=said)

        self._change(f"remove volume {name}", do)

    def inspect_image(self, name: str) -> dict[str, Any]:
        """Return an image: all hosts have all of them."""
        return self._call(
            f"inspect image {name}",
            lambda: {"Id": image_id(name), "RepoTags": [IMAGE_TAGS.get(image_id(name), "")], "Size": 1},
        )

    def images(self, name: str = "") -> list[dict[str, Any]]:
        """Return the images of a tag."""
        return self._call(f"images {name}", lambda: [{"Id": image_id(name), "RepoTags": [name]}])

    def containers(self, all: bool = False, filters: Any = None) -> list[dict[str, Any]]:  # noqa: A002 the SDK's name
        """Return the containers."""
        wanted = filters.get("label", []) if filters else []
        wanted = [wanted] if isinstance(wanted, str) else wanted

        def do() -> list[dict[str, Any]]:
            return [
                {"Id": one.id, "Names": [f"/{one.name}"], "State": one.status, "Labels": one.labels}
                for one in self.machine.containers.values()
                if (all or one.running) and all_labels(one, wanted)
            ]

        return self._call("list containers", do)


def all_labels(container: Container, wanted: list[str]) -> bool:
    """Return whether a container has all these labels."""
    mine = {f"{key}={value}" for key, value in container.labels.items()} | set(container.labels)
    return set(wanted) <= mine


def remove_volume(machine: Machine, name: str) -> str:
    """Remove a volume; return why that can't be done."""
    if name not in machine.volumes:
        return f"get {name}: no such volume"
    users = [one.name for one in machine.containers.values() if name in {mount.get("Name") for mount in one.mounts}]
    if users:
        return f"remove {name}: volume is in use - [{users[0]}]"
    machine.volumes.pop(name)
    return ""


def endpoint(name: str, aliases: Any) -> dict[str, Any]:
    """Return a container's place on a network."""
    return {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": list(aliases) if aliases else None,
        "NetworkID": f"net-{name}",
        "EndpointID": "e",
        "Gateway": "172.30.0.1",
        "IPAddress": "",
        "DriverOpts": None,
        "MacAddress": "",
    }


def network(world: World, name: str = NETWORK, labels: dict[str, str] | None = None) -> dict[str, Any]:
    """Return a network."""
    return {
        "Id": world.new_id(),
        "Name": name,
        "Driver": "bridge",
        "Options": {},
        "Internal": False,
        "EnableIPv6": False,
        "Attachable": False,
        "Labels": labels or {},
        "IPAM": {"Driver": "default", "Config": []},
    }


def create(
    world: World, machine: Machine, body: dict[str, Any], name: str, *, auto_remove: bool = False
) -> dict[str, Any]:
    """Create a container from the body of the create call."""
    if any(one.name == name for one in machine.containers.values()):
        raise docker.errors.APIError("409", explanation=f'Conflict. The container name "/{name}" is already in use')
    host_config = body.pop("HostConfig", {}) or {}
    networking = (body.pop("NetworkingConfig", {}) or {}).get("EndpointsConfig") or {}
    networks = {one: endpoint(one, (given or {}).get("Aliases")) for one, given in networking.items()}
    mounts = []
    for bind in host_config.get("Binds") or []:
        source, at = bind.split(":")[:2]
        mounts.append(volume_mount(world, machine, source, at, read_only=bind.endswith(":ro")))
    mounts.extend(
        volume_mount(world, machine, mount["Source"], mount["Target"], read_only=bool(mount.get("ReadOnly")))
        for mount in host_config.get("Mounts") or []
    )
    made = Container(
        world.new_id(),
        name,
        body,
        host_config,
        image_id(str(body.get("Image", ""))),
        networks,
        mounts,
        auto_remove=auto_remove,
    )
    made.created_at = world.now + machine.offset_s
    machine.containers[made.id] = made
    return {"Id": made.id, "Warnings": []}


def volume_mount(world: World, machine: Machine, source: str, at: str, *, read_only: bool = False) -> dict[str, Any]:
    """Return a mount; a volume that is not there is made, as the engine does."""
    from tests.simulation.world import Volume  # noqa: PLC0415

    if source.startswith("/"):
        return {
            "Type": "bind",
            "Source": source,
            "Destination": at,
            "Mode": "",
            "RW": not read_only,
            "Propagation": "rprivate",
        }
    machine.volumes.setdefault(source, Volume(source))
    return {
        "Type": "volume",
        "Name": source,
        "Source": f"/var/lib/docker/volumes/{source}/_data",
        "Destination": at,
        "Driver": "local",
        "Mode": "z",
        "RW": not read_only,
        "Propagation": "",
    }
