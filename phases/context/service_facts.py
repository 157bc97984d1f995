"""Service facts."""

from __future__ import annotations

from actions.common.labels import move_label
from actions.common.route import docker_api
from actions.copy.locations import DataPlace, places_to_copy
from actions.copy.ssh_channel import Peer
from checks.capacity.disk_space import SpaceNeed
from checks.containers import state_paths
from engine.config.scope import PlannedMove
from engine.container_names import kept_name
from engine.contracts.container import ContainerFacts
from engine.errors import ActionError, InputError, NotObservedError
from hosts.facts.model import HostFacts
from phases.context.attempt import read_past
from phases.context.run_context import RunContext


def peer_of(context: RunContext, host: str) -> Peer:
    """Return a host as another host reaches it for a transfer."""
    identity = context.scope.environment.hosts[host]
    return Peer(host, identity.address, identity.ssh_host_key)


def places_of(context: RunContext, move: PlannedMove) -> tuple[DataPlace, ...]:
    """Return what has to travel: the mounts of the inventory with the rule copy, as preflight proved them to be."""
    entry = context.entry(move.service)
    facts = context.facts(move.source)
    container = facts.container(entry.container) or facts.container(kept_name(entry.container))
    if container is None:
        raise InputError(
            f"{move.source}: no container {entry.container}. Expected: the one of inventory.yaml, "
            f"services/{move.service}"
        )
    return places_to_copy(container.mounts, mount_rules(context, move.service))


def source_of(context: RunContext, service: str) -> tuple[HostFacts, ContainerFacts]:
    """Return the source and the service's container there, under its own name or the one that a move gave it."""
    facts, name = context.facts(context.move_of(service).source), context.entry(service).container
    return facts, facts.container(name) or facts.container(kept_name(name)) or context.container(service, facts.host)


def _target(context: RunContext, service: str) -> HostFacts:
    return context.facts(context.move_of(service).target)


def label(context: RunContext, service: str) -> str:
    """Return the label of what the coming (or running) attempt of this move creates."""
    attempt = read_past(context.journal, service).attempt
    return move_label(context.scope.environment.environment, service, attempt)


def read_changes(context: RunContext, host: str, container: str) -> tuple[state_paths.Change, ...]:
    """Return the changes of a container's writable layer, asked of the engine itself; raises CouldNotLookError."""
    doing = f"look for what changed in {container}"
    try:
        with docker_api(context.fleet, host, doing) as api:
            return state_paths.changes_of(api.diff(container))
    except ActionError as error:
        raise NotObservedError(f"{error}. Try: ssh {host} docker diff {container}") from error


def mount_rules(context: RunContext, service: str) -> dict[str, str]:
    """Return each mount's rule by its path in the container."""
    return {mount.path: mount.rule for mount in context.entry(service).mounts if mount.kind != "tmpfs"}


def dropped_mounts(context: RunContext, service: str) -> tuple[str, ...]:
    """Return the container paths whose mounts stay behind."""
    return tuple(at for at, rule in mount_rules(context, service).items() if rule == "drop")


def space_needs(context: RunContext, service: str) -> tuple[SpaceNeed, ...]:
    """Return what a move will put on its target: one need per mount that is copied, by its measured size.

    Raises CouldNotLookError when the target's Docker Engine does not tell where its volumes lie.
    """
    facts, container = source_of(context, service)
    target, rules = _target(context, service), mount_rules(context, service)
    needs = []
    for mount in container.mounts:
        if rules.get(mount.destination) != "copy":
            continue
        volume = facts.volume(mount.source) if mount.kind == "volume" else None
        size = volume.size_bytes if volume else facts.bind_size(mount.source)
        path = _volume_path(target, mount.source) if mount.kind == "volume" else mount.source
        needs.append(SpaceNeed(f"{service}: {mount.kind} {mount.source}", path, size))
    return tuple(needs)


def bytes_to_copy(context: RunContext, service: str) -> int | None:
    """Return the measured size of all that a move copies, None when some of it is not known."""
    try:
        sizes = [need.size_bytes for need in space_needs(context, service)]
    except NotObservedError:
        return None
    return None if any(size is None for size in sizes) else sum(size or 0 for size in sizes)


def _volume_path(target: HostFacts, volume: str) -> str:
    """Return where a volume will lie: Docker's `volumes` folder may be on a disk of its own; raises
    CouldNotLookError.
    """
    target.need_docker()
    return f"{target.docker_root}/volumes/{volume}"
