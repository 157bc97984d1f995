"""What a service shares with its target (rule same_on_target), looked at on both hosts, and whether all its mounts are
there to be used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from checks.containers.shared_mounts import judge_shared, judge_there, read_places
from engine.config.scope import PlannedMove
from engine.container_names import kept_name
from engine.contracts.container import ContainerFacts, MountFacts
from engine.errors import NotObservedError
from engine.verdict import Judgement, passed
from hosts.manifest.reader import read_manifest
from phases.context.run_context import RunContext


def mounts_of(context: RunContext, move: PlannedMove) -> tuple[MountFacts, ...]:
    """Return the mounts that the target's container will have, by the source's container; raises CouldNotLookError
    without one.
    """
    facts, entry = context.facts(move.source), context.entry(move.service)
    container: ContainerFacts | None = facts.container(entry.container) or facts.container(kept_name(entry.container))
    if container is None:
        raise NotObservedError(f"{move.source}: no container {entry.container}. Look: ssh {move.source} docker ps -a")
    rules = rules_of(context, move)
    return tuple(
        mount
        for mount in container.mounts
        if mount.kind in {"volume", "bind"} and rules.get(mount.destination) != "drop"
    )


def rules_of(context: RunContext, move: PlannedMove) -> dict[str, str]:
    """Return each mount's rule by its path in the container."""
    return {mount.path: mount.rule for mount in context.entry(move.service).mounts if mount.kind != "tmpfs"}


def judge_shared_places(context: RunContext, move: PlannedMove, *, stopped: bool = False) -> Judgement:
    """Judge whether what has rule same_on_target is on the target what it is on the source; once it is `stopped` also
    whether all is listed alike.
    """
    rules = rules_of(context, move)
    shared = tuple(mount for mount in mounts_of(context, move) if rules.get(mount.destination) == "same_on_target")
    hosts = (move.source, move.target)
    here, there = (read_places(context.fleet[host], shared) for host in hosts)

    def listings(mount: MountFacts) -> Mapping[str, str]:
        return {host: _listing(context, host, mount) for host in hosts}

    return judge_shared(hosts, shared, (here, there), listings if stopped else None)


def judge_mounts_there(context: RunContext, move: PlannedMove) -> Judgement:
    """Judge, just before the target's container is made, whether every mount of it is there and what is shared is the
    same.
    """
    mounts = mounts_of(context, move)
    there = judge_there(move.target, mounts, read_places(context.fleet[move.target], mounts))
    if not there.passed:
        return there
    shared = judge_shared_places(context, move, stopped=True)
    return passed(f"{there.text}; {shared.text}", shared.details) if shared.passed else shared


def _listing(context: RunContext, host: str, mount: MountFacts) -> str:
    """Return a digest over names, kinds and sizes of all that lies at a mount's source."""
    taken = hashlib.sha256()
    for entry in read_manifest(context.fleet, host, mount.source, level="metadata").entries():
        taken.update(f"{entry['path']}\0{entry['type']}\0{entry.get('size', '')}\0{entry.get('target', '')}\n".encode())
    return taken.hexdigest()
