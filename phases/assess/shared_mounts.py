"""What a service shares with its target (rule same_on_target), looked at on both hosts, and whether all its mounts are
there to be used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from checks.containers.shared_mounts import judge_filled, judge_shared, judge_there, read_places
from engine.contracts.container import MountFacts
from engine.errors import NotObservedError
from engine.finding import say
from engine.verdict import Judgement, passed
from hosts.manifest.reader import read_manifest
from phases.context.run_context import RunContext
from phases.context.service_move import ServiceMove


def mounts_of(move: ServiceMove) -> tuple[MountFacts, ...]:
    """Return the mounts that the target's container will have, by the source's container; raises CouldNotLookError
    without one.
    """
    container = move.find_container()
    if container is None:
        raise NotObservedError(
            say(
                "{source}: no container {container}. Look: ssh {source} docker ps -a",
                source=move.source,
                container=move.entry.container,
            )
        )
    rules = move.mount_rules
    return tuple(
        mount
        for mount in container.mounts
        if mount.kind in {"volume", "bind"} and rules.get(mount.destination) != "drop"
    )


def judge_shared_places(move: ServiceMove, *, stopped: bool = False) -> Judgement:
    """Judge whether what has rule same_on_target is on the target what it is on the source; once it is `stopped` also
    whether all is listed alike.
    """
    rules = move.mount_rules
    shared = tuple(mount for mount in mounts_of(move) if rules.get(mount.destination) == "same_on_target")
    hosts = (move.source, move.target)
    here, there = (read_places(move.context.fleet[host], shared) for host in hosts)

    def listings(mount: MountFacts) -> Mapping[str, str]:
        return {host: _listing(move.context, host, mount) for host in hosts}

    return judge_shared(hosts, shared, (here, there), listings if stopped else None)


def judge_mounts_there(move: ServiceMove) -> Judgement:
    """Judge, just before the target's container is made, whether every mount of it is there and what is shared is the
    same.
    """
    mounts = mounts_of(move)
    there = judge_there(move.target, mounts, read_places(move.context.fleet[move.target], mounts))
    if not there.passed:
        return there
    shared = judge_shared_places(move, stopped=True)
    return (
        passed(say("{there_text}; {shared_text}", there_text=there.text, shared_text=shared.text), shared.details)
        if shared.passed
        else shared
    )


def judge_mounts_filled(move: ServiceMove) -> Judgement:
    """Judge, just before the target's container is started, whether its mounts are still there: hours may have passed
    since it was made, and its host may have been started again without a share.
    """
    mounts, hosts = mounts_of(move), (move.source, move.target)
    here, there = (read_places(move.context.fleet[host], mounts) for host in hosts)
    shared = [at for at, rule in move.mount_rules.items() if rule == "same_on_target"]
    return judge_filled(hosts, mounts, (here, there), shared)


def _listing(context: RunContext, host: str, mount: MountFacts) -> str:
    """Return a digest over names, kinds and sizes of all that lies at a mount's source."""
    taken = hashlib.sha256()
    for entry in read_manifest(context.fleet, host, mount.source, level="metadata").entries():
        taken.update(f"{entry['path']}\0{entry['type']}\0{entry.get('size', '')}\0{entry.get('target', '')}\n".encode())
    return taken.hexdigest()
