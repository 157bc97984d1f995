"""Deeds on the target's container: created with its networks exactly as the source was, then started."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from actions.containers import STOPPED_STATES, need_container
from actions.images import apply_tag
from actions.recorded import need_recorded, refuse_other_configuration
from actions.route import Route, docker_api, inspect_container
from actions.specification import Specification, specification_of
from checks.fidelity import judge_fidelity
from checks.names import belongs_to_environment
from engine.errors import ActionError, BuriedError, CouldNotLookError, NeedsPersonError, RefusedError
from engine.model import Note
from engine.product import LABEL_MOVE, LABEL_ROLE
from engine.verdict import Effect, Judgement, failed, passed


@dataclass(frozen=True)
class CreateTarget:
    """Create the container on the target from what record-source saved, with restart policy `no` until commit.

    `approved` is the digest of the configuration that people signed: what lies on the source host may have been changed meanwhile.
    """

    route: Route
    dropped: Collection[str] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    mounts_there: Callable[[], Judgement] | None = field(default=None, repr=False, compare=False)
    """Asked first: the engine makes an empty place where a mount is missing."""
    approved: str = ""
    key: str = field(default="create-target", init=False)
    effect: Effect = field(default=Effect.CHANGES_STATE, init=False)
    commits: bool = field(default=False, init=False)

    def describe(self) -> str:
        """Return the dry run's line."""
        route = self.route
        remaps = "".join(f", {port} published as {number}" for port, number in self.ports.items())
        return f"{route.target}: create {route.container} as it is on {route.source}, with its networks{remaps}, not started"

    def estimate_s(self) -> float | None:
        """Return seconds."""
        return 2.0

    def do(self, note: Note) -> None:
        """Create networks, re-apply the tag, create the container, connect it."""
        route = self.route
        recorded = need_recorded(route)
        refuse_other_configuration(route.source, recorded.inspect, self.approved)
        body = specification_of(recorded.inspect, move_label=route.move_label, dropped=self.dropped, addresses=self.addresses, ports=self.ports)
        body["HostConfig"]["RestartPolicy"] = {"Name": "no", "MaximumRetryCount": 0}
        existing = self._existing()
        if existing is None and self.mounts_there is not None and not (seen := self.mounts_there()).passed:
            raise ActionError(seen.text)
        route.audit(route.target, self.key, self.describe())
        with docker_api(route.fleet, route.target, self.describe()) as api:
            for name in body["NetworkingConfig"]["EndpointsConfig"]:
                _create_network(route, name, api, note)
            apply_tag(api, str(recorded.inspect["Config"].get("Image") or ""), body["Image"], note)
            if existing is None:
                note["container_id"] = api.create_container_from_config(first_network_only(body), route.container)["Id"]
            _connect_rest(api, route.container, body)

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether every field of the new container equals its source's, but for the written list."""
        route = self.route
        target = inspect_container(route.fleet, route.target, route.container)
        if target is None:
            return failed(f"{route.target}: no container {route.container}. Expected: created. Run the move again")
        where = f"{route.container} on {route.target}"
        return judge_fidelity(where, need_recorded(route).inspect, target, dropped=self.dropped, ports=self.ports)

    def undo(self, note: Note) -> None:
        """Remove the container and the networks that this attempt created, nothing else."""
        route = self.route
        existing = inspect_container(route.fleet, route.target, route.container)
        doing = f"{route.target}: remove {route.container} and its networks, created by {route.move_label}"
        route.audit(route.target, self.key, doing)
        with docker_api(route.fleet, route.target, doing) as api:
            if existing is not None and _label(existing) == route.move_label:
                if existing["State"].get("Status") not in STOPPED_STATES:
                    raise ActionError(f"{route.target}: {route.container} runs. Expected: stopped before it is removed")
                api.remove_container(route.container, v=True)
            for network in api.networks(filters={"label": f"{LABEL_MOVE}={route.move_label}"}):
                if not api.inspect_network(network["Id"]).get("Containers"):
                    api.remove_network(network["Id"])
        note["removed"] = True

    def _existing(self) -> dict[str, Any] | None:
        """Return this attempt's own container when it is there; refuse anybody else's (review 4)."""
        route = self.route
        existing = inspect_container(route.fleet, route.target, route.container)
        if existing is not None and _label(existing) != route.move_label:
            raise RefusedError(
                f"{route.target}: container {route.container} exists already ({_label(existing) or 'not ours'}). Expected: "
                f"none, or labelled {LABEL_MOVE}={route.move_label}. Look: ssh {route.target} docker inspect {route.container}"
            )
        return existing


@dataclass(frozen=True)
class StartTarget:
    """Start the container on the target; for a product that acts on the world when it starts this is the commit."""

    route: Route
    grace_s: int
    commits: bool = False
    key: str = field(default="start-target", init=False)
    effect: Effect = field(default=Effect.CHANGES_STATE, init=False)

    def describe(self) -> str:
        """Return the dry run's line."""
        return f"{self.route.target}: start {self.route.container}"

    def estimate_s(self) -> float | None:
        """Return seconds."""
        return 2.0

    def do(self, note: Note) -> None:
        """Start it; refuses when the source is not seen stopped."""
        route = self.route
        source = inspect_container(route.fleet, route.source, need_recorded(route).inspect["Id"])
        if source is not None and source["State"].get("Status") not in STOPPED_STATES:
            raise RefusedError(
                f"{route.source}: {route.container} is {source['State'].get('Status')}. Expected: stopped before "
                f"{route.target}'s starts: two at once would lose data. Find out who started it"
            )
        note["started"] = True
        route.audit(route.target, self.key, self.describe())
        with docker_api(route.fleet, route.target, self.describe()) as api:
            api.start(route.container)

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether it runs (whether it is ready is another step)."""
        route = self.route
        state = need_container(route, route.target, route.container)["State"]
        if state.get("Status") != "running":
            return failed(
                f"{route.target}: {route.container} is {state.get('Status')} with exit code {state.get('ExitCode')} "
                f"{state.get('Error') or ''}. Expected: running. Read: ssh {route.target} docker logs --tail 50 {route.container}"
            )
        return passed(f"{route.target}: {route.container} runs since {str(state.get('StartedAt'))[:19]}Z")

    def undo(self, note: Note) -> None:  # noqa: ARG002
        """Stop it and see it stopped; otherwise a person must, before the source may start."""
        route = self.route
        by_hand = f"Try: ssh {route.target} docker stop {route.container}"
        doing = f"{route.target}: stop {route.container}"
        try:
            existing = inspect_container(route.fleet, route.target, route.container)
            if existing is None or _label(existing) != route.move_label:
                return
            route.audit(route.target, self.key, doing)
            with docker_api(route.fleet, route.target, doing) as api:
                api.stop(route.container, timeout=self.grace_s)
            status = need_container(route, route.target, route.container)["State"].get("Status")
        except BuriedError:
            raise
        except (CouldNotLookError, ActionError) as error:
            raise NeedsPersonError(f"{route.target}: {route.container} was not seen stopped: {error}. {by_hand}") from error
        if status not in STOPPED_STATES:
            raise NeedsPersonError(f"{route.target}: {route.container} is {status} after stop. Expected: exited. {by_hand}")


def _label(inspect: Mapping[str, Any]) -> str:
    return str((inspect["Config"].get("Labels") or {}).get(LABEL_MOVE, ""))


def first_network_only(body: Specification) -> Specification:
    """Return the body with the endpoint of its main network only; engines before API 1.44 refuse more."""
    endpoints = body["NetworkingConfig"]["EndpointsConfig"]
    main = body["HostConfig"]["NetworkMode"]
    kept = {name: endpoint for name, endpoint in endpoints.items() if name == main}
    return {**body, "NetworkingConfig": {"EndpointsConfig": kept}}


def _connect_rest(api: Any, container: str, body: Specification) -> None:
    connected = api.inspect_container(container)["NetworkSettings"]["Networks"]
    for name, endpoint in body["NetworkingConfig"]["EndpointsConfig"].items():
        if name not in connected:
            api.connect_container_to_network(container, name, aliases=endpoint["Aliases"] or None, driver_opt=endpoint.get("DriverOpts"))


def _create_network(route: Route, name: str, api: Any, note: Note) -> None:
    """Create a network like the source's, with its subnet unless the target uses it; take one of this environment."""
    present = [network for network in api.networks() if network["Name"] == name]
    if present:
        label = (present[0].get("Labels") or {}).get(LABEL_MOVE, "")
        if not belongs_to_environment(label, route.move_label):
            raise RefusedError(
                f"{route.target}: network {name} exists already ({label or 'not ours'}). Expected: none, or created by a "
                f"move of this environment. Look: ssh {route.target} docker network inspect {name}"
            )
        return
    with docker_api(route.fleet, route.source, f"inspect network {name}") as source_api:
        original = source_api.inspect_network(name)
    used = [config.get("Subnet") for network in api.networks() for config in (network.get("IPAM") or {}).get("Config") or []]
    note.setdefault("networks_created", []).append(name)
    api.create_network(
        name,
        driver=original["Driver"],
        options=original.get("Options") or None,
        ipam=free_ipam(original.get("IPAM") or {}, [subnet for subnet in used if subnet]),
        internal=bool(original.get("Internal")),
        enable_ipv6=bool(original.get("EnableIPv6")),
        attachable=bool(original.get("Attachable")) or None,
        labels={**(original.get("Labels") or {}), LABEL_MOVE: route.move_label, LABEL_ROLE: "network"},
    )


def free_ipam(original: Mapping[str, Any], used: Collection[str]) -> dict[str, Any] | None:
    """Return the source network's address settings, None (let Docker choose) when they overlap with a used subnet."""
    configs = [dict(config) for config in original.get("Config") or [] if config.get("Subnet")]
    taken = [ipaddress.ip_network(subnet, strict=False) for subnet in used]
    for config in configs:
        subnet = ipaddress.ip_network(config["Subnet"], strict=False)
        if any(other.version == subnet.version and subnet.overlaps(other) for other in taken):
            return None
    return {"Driver": original.get("Driver") or "default", "Config": configs} if configs else None
