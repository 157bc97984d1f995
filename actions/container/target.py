"""Actions on the target's container: created with its networks exactly as the source was, then started."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from actions.common.base_action import RouteAction
from actions.common.route import Route, docker_api, inspect_container
from actions.container.source import grace_of, need_container
from actions.container_spec.create_body import Specification, specification_of
from actions.container_spec.identity import (
    STOPPED_STATES,
    another_run,
    find_moved,
    forget_run,
    is_running,
    label_of,
    labelled_containers,
    name_of,
    need_moved,
    need_source_at_rest,
    read_run,
    save_run,
    started_at,
)
from actions.container_spec.saved_spec import need_recorded, refuse_other_configuration
from actions.images.ship import apply_tag
from checks.containers.name_conflicts import belongs_to_environment
from checks.containers.recreated import judge_fidelity
from engine.constants import LABEL_MOVE, LABEL_ROLE
from engine.contracts.action import Note
from engine.errors import ActionError, HostLostError, ManualInterventionError, NotObservedError, RefusedError
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed


@dataclass(frozen=True)
class CreateTarget(RouteAction):
    """Create the container on the target from what save-source-spec saved, with restart policy `no` until commit.

    `approved` is the digest of the configuration that people signed: what lies on the source host may have been changed
    meanwhile.
    """

    dropped: Collection[str] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    mounts_there: Callable[[], Judgement] | None = field(default=None, repr=False, compare=False)
    """Asked first: the engine makes an empty place where a mount is missing."""
    approved: str = ""
    key = "create-target"
    seconds = 2.0

    def describe(self) -> str:
        """Return the dry run's line."""
        route = self.route
        remaps = joined(
            "", (say(", {port} published as {number}", port=port, number=number) for port, number in self.ports.items())
        )
        return say(
            "{target}: create {container} as it is on {source}, with its networks{remaps}, not started",
            target=route.target,
            container=route.container,
            source=route.source,
            remaps=remaps,
        )

    def observe(self, note: Note) -> None:
        """Note which container it is made after."""
        note["source_id"] = str(need_recorded(self.route).inspect["Id"])

    def do(self, note: Note) -> None:
        """See the source at rest, then create networks, re-apply the tag, create the container, connect it."""
        route = self.route
        recorded = need_recorded(route)
        refuse_other_configuration(route.source, recorded.inspect, self.approved)
        body = specification_of(
            recorded.inspect,
            move_label=route.move_label,
            dropped=self.dropped,
            addresses=self.addresses,
            ports=self.ports,
        )
        body["HostConfig"]["RestartPolicy"] = {"Name": "no", "MaximumRetryCount": 0}
        need_source_at_rest(route)
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
            return failed(
                say(
                    "{target}: no container {container}. Expected: created. Run the move again",
                    target=route.target,
                    container=route.container,
                )
            )
        if label_of(target) != route.move_label:
            return failed(
                say(
                    "{target}: {container} carries {label_of}. Expected: {label_move}={move_label}: somebody made it "
                    "anew. Look: ssh {target} docker inspect {container}",
                    target=route.target,
                    container=route.container,
                    label_of=label_of(target) or say("no label of ours"),
                    label_move=LABEL_MOVE,
                    move_label=route.move_label,
                )
            )
        where = say("{container} on {target}", container=route.container, target=route.target)
        return judge_fidelity(where, need_recorded(route).inspect, target, dropped=self.dropped, ports=self.ports)

    def undo(self, note: Note) -> None:
        """Remove the container and the networks that this attempt created, nothing else; never one that may hold newer
        writes.
        """
        route = self.route
        mine = labelled_containers(route, route.target)
        for container in mine:
            self._need_removable(container)
        doing = say(
            "{target}: remove {container} and its networks, created by {move_label}",
            target=route.target,
            container=route.container,
            move_label=route.move_label,
        )
        route.audit(route.target, self.key, doing)
        with docker_api(route.fleet, route.target, doing) as api:
            for container in mine:
                api.remove_container(str(container["Id"]), v=True)
            for network in api.networks(filters={"label": f"{LABEL_MOVE}={route.move_label}"}):
                if not api.inspect_network(network["Id"]).get("Containers"):
                    api.remove_network(network["Id"])
        forget_run(route, route.target)
        note["removed"] = True

    def _need_removable(self, container: Mapping[str, Any]) -> None:
        """Raise NeedsPersonError for a container that runs, or ran when this move did not start or stop it."""
        route, name = self.route, name_of(container)
        if is_running(container):
            reason: str = say("it is {status}", status=container["State"].get("Status"))
        elif started_at(container):
            reason = another_run(route, route.target, container)
        else:
            return
        if reason:
            raise ManualInterventionError(
                say(
                    "{target}: {name} was not removed: {reason}. Expected: stopped by this move, or never started, so "
                    "that nothing newer is in its data. {either_way}",
                    target=route.target,
                    name=name,
                    reason=reason,
                    either_way=_either_way(route, name),
                )
            )

    def _existing(self) -> dict[str, Any] | None:
        """Return this attempt's own container when it is there; refuse anybody else's, and one that runs."""
        route = self.route
        existing = inspect_container(route.fleet, route.target, route.container)
        if existing is not None and label_of(existing) != route.move_label:
            raise RefusedError(
                say(
                    "{target}: container {container} exists already ({label_of}). Expected: none, or labelled "
                    "{label_move}={move_label}. Look: ssh {target} docker inspect {container}",
                    target=route.target,
                    container=route.container,
                    label_of=label_of(existing) or say("not ours"),
                    label_move=LABEL_MOVE,
                    move_label=route.move_label,
                )
            )
        if existing is not None and is_running(existing):
            raise RefusedError(
                say(
                    "{target}: {container} is {status}. Expected: created, not started. Somebody started it. "
                    "{either_way}",
                    target=route.target,
                    container=route.container,
                    status=existing["State"].get("Status"),
                    either_way=_either_way(route, route.container),
                )
            )
        return existing


@dataclass(frozen=True)
class StartTarget(RouteAction):
    """Start the container on the target; this is the commit where its product acts on the world, or clients reach it,
    as soon as it runs.

    `acts` says that the product does; `reached_by` names the dependants on the target, which its engine leads there by
    name. `mounts_filled` is asked first: a share may have gone since the container was made. `unwritten` is asked
    before its first run: nobody else may write to the source's data since it was proven.
    """

    grace_s: int
    acts: bool = False
    reached_by: tuple[str, ...] = ()
    mounts_filled: Callable[[], Judgement] | None = field(default=None, repr=False, compare=False)
    unwritten: Callable[[], Judgement] | None = field(default=None, repr=False, compare=False)
    key = "start-target"
    seconds = 2.0

    @property
    def commits(self) -> bool:
        """Return whether nothing is undone by itself once it was started."""
        return self.acts or bool(self.reached_by)

    def describe(self) -> str:
        """Return the dry run's line."""
        early = (
            say(
                "; {reached_by} on this host can reach it from then on, so this is the commit",
                reached_by=", ".join(self.reached_by),
            )
            if self.reached_by
            else ""
        )
        return say(
            "{target}: start {container}{early}", target=self.route.target, container=self.route.container, early=early
        )

    def observe(self, note: Note) -> None:
        """Note which container is to be started, and in which run it was last."""
        inspect = need_moved(self.route)
        note["container_id"], note["ran_before"] = str(inspect["Id"]), started_at(inspect)

    def do(self, note: Note) -> None:
        """Start it; refuses unless the source is seen stopped, in the very run that was copied."""
        route = self.route
        need_source_at_rest(route)
        self.observe(note)
        questions = (self.mounts_filled, self.unwritten if not started_at(need_moved(route)) else None)
        for ask in questions:
            if ask is not None and not (seen := ask()).passed:
                raise ActionError(seen.text)
        route.audit(route.target, self.key, self.describe())
        with docker_api(route.fleet, route.target, self.describe()) as api:
            api.start(str(note["container_id"]))
        inspect = need_container(route, route.target, str(note["container_id"]))
        note["started_at"] = started_at(inspect)
        save_run(route, route.target, inspect)

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether it runs (whether it is ready is another step)."""
        route = self.route
        state = need_moved(route)["State"]
        if state.get("Status") != "running":
            return failed(
                say(
                    "{target}: {container} is {status} with exit code {exitcode} {error}. Expected: running. Read: "
                    "ssh {target} docker logs --tail 50 {container}",
                    target=route.target,
                    container=route.container,
                    status=state.get("Status"),
                    exitcode=state.get("ExitCode"),
                    error=state.get("Error") or "",
                )
            )
        return passed(
            say(
                "{target}: {container} runs since {startedat}Z",
                target=route.target,
                container=route.container,
                startedat=str(state.get("StartedAt"))[:19],
            )
        )

    def why_not_undone(self, inspect: Mapping[str, Any] | None = None) -> str:
        """Return why the target may hold what its source does not, as its host tells; empty when it does not."""
        route = self.route
        inspect = inspect or find_moved(route)
        if inspect is None or not started_at(inspect):
            return ""
        where = f"{route.target}: {name_of(inspect)}"
        if label_of(inspect) != route.move_label:
            return say(
                "{where} was made anew by somebody and has run since {started_at}",
                where=where,
                started_at=started_at(inspect),
            )
        if self.acts:
            return say(
                "{where} has run since {started_at}, and its product acts on the world as soon as it starts",
                where=where,
                started_at=started_at(inspect),
            )
        if self.reached_by:
            return say(
                "{where} has run since {started_at}, and {reached_by} on the same host could reach it by name",
                where=where,
                started_at=started_at(inspect),
                reached_by=", ".join(self.reached_by),
            )
        again = another_run(route, route.target, inspect)
        return f"{where}: {again}" if again else ""

    def why_committed(self) -> str:
        """Return what shows that it was started, or may have been; empty when its host shows that it never ran.

        A container that is gone counts as never started when this move saved no run of it.
        """
        route = self.route
        inspect, known = find_moved(route), read_run(route, route.target)
        reason = self.why_not_undone(inspect) if inspect is not None else ""
        if reason or known is None or not known.started_at:
            return reason
        return say(
            "{target}: {container} ran since {started_at}, and that container is not there any more",
            target=route.target,
            container=route.container,
            started_at=known.started_at,
        )

    def _refuse_newer(self, inspect: Mapping[str, Any]) -> None:
        reason = self.why_not_undone(inspect)
        if reason:
            raise ManualInterventionError(
                say(
                    "{reason}; nothing was stopped or removed. {either_way}",
                    reason=reason,
                    either_way=_either_way(self.route, name_of(inspect)),
                )
            )

    def undo(self, note: Note) -> None:  # noqa: ARG002 the hosts are asked
        """Stop it and see it stopped; one that may hold what its source does not is left to a person, as it is."""
        route = self.route
        doing, ways = (
            say("{target}: stop {container}", target=route.target, container=route.container),
            _either_way(route, route.container),
        )
        try:
            existing = find_moved(route)
            if existing is None or label_of(existing) != route.move_label:
                return
            self._refuse_newer(existing)
            if started_at(existing):
                save_run(route, route.target, existing)
            route.audit(route.target, self.key, doing)
            with docker_api(route.fleet, route.target, doing) as api:
                api.stop(str(existing["Id"]), timeout=grace_of(self.grace_s, existing))
            status = need_container(route, route.target, str(existing["Id"]))["State"].get("Status")
        except (HostLostError, ManualInterventionError):
            raise
        except (NotObservedError, ActionError) as error:
            raise ManualInterventionError(
                say(
                    "{target}: {container} was not seen stopped: {error}. {ways}",
                    target=route.target,
                    container=route.container,
                    error=error,
                    ways=ways,
                )
            ) from error
        if status not in STOPPED_STATES:
            raise ManualInterventionError(
                say(
                    "{target}: {container} is {status} after stop. Expected: exited. {ways}",
                    target=route.target,
                    container=route.container,
                    status=status,
                    ways=ways,
                )
            )


def _either_way(route: Route, container: str) -> str:
    """Return both ways that keep what was written on the target, and how to give it up."""
    return say(
        "Go on with it: {migrate_command}, or bring its data back: {rollback_command}. Look first: ssh {target} "
        "docker logs --tail 50 {container}",
        migrate_command=route.command("migrate"),
        rollback_command=route.command("rollback"),
        target=route.target,
        container=container,
    )


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
            api.connect_container_to_network(
                container, name, aliases=endpoint["Aliases"] or None, driver_opt=endpoint.get("DriverOpts")
            )


def _create_network(route: Route, name: str, api: Any, note: Note) -> None:
    """Create a network like the source's, with its subnet unless the target uses it; take one of this environment."""
    present = [network for network in api.networks() if network["Name"] == name]
    if present:
        label = (present[0].get("Labels") or {}).get(LABEL_MOVE, "")
        if not belongs_to_environment(label, route.move_label):
            raise RefusedError(
                say(
                    "{target}: network {name} exists already ({label}). Expected: none, or created by a move of this "
                    "environment. Look: ssh {target} docker network inspect {name}",
                    target=route.target,
                    name=name,
                    label=label or say("not ours"),
                )
            )
        return
    with docker_api(route.fleet, route.source, say("inspect network {name}", name=name)) as source_api:
        original = source_api.inspect_network(name)
    used = [
        config.get("Subnet") for network in api.networks() for config in (network.get("IPAM") or {}).get("Config") or []
    ]
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
