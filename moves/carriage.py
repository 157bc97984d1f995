"""How a move's data travels: the actions before the stop and after it, chosen by the plan's strategy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from actions.live_copy import ClearCopy, CopyLive
from actions.places import DataPlace, places_to_copy
from actions.route import Route
from actions.transfers import Peer
from actions.volumes import CopyVolumes, Limits, ProveVolumes
from checks.source import kept_name
from engine.errors import InputError
from engine.model import Action
from engine.scope import PlannedMove
from moves import preflighting
from moves.progress import show_progress
from moves.world import World

START_AND_READY_S: Final = 8.0
"""Stopping, creating, starting and becoming ready, about: what of an outage no copy can shorten."""


@dataclass(frozen=True)
class Carriage:
    """The actions that carry the data: while the service runs, once it is stopped, and when all is over."""

    before: tuple[Action, ...]
    after: tuple[Action, ...]
    clear: Action


def carriage_of(world: World, move: PlannedMove, route: Route) -> Carriage:
    """Return the actions of the move's strategy."""
    places, size = places_of(world, move), preflighting.bytes_to_copy(world, move.service)
    copying = CopyVolumes(route, places, peer_of(world, move.target), size, limits_of(world, move), show_progress(move.service))
    proving = ProveVolumes(route, places, size, copying.proving(), copying.copying("copy once more"), tidy=False)
    before = (CopyLive(copying, START_AND_READY_S),) if copies_live(move) else ()
    return Carriage(before, (copying, proving), ClearCopy(route, copying.ends))


def copies_live(move: PlannedMove) -> bool:
    """Return whether the move copies while its service runs."""
    return move.strategy != "stop_copy"


def limits_of(world: World, move: PlannedMove) -> Limits:
    """Return what the plan allows."""
    plan = world.scope.plan
    return Limits(plan.bandwidth_limit_mb_s, move.outage_budget_s or plan.outage_budget_s, move.proof)


def peer_of(world: World, host: str) -> Peer:
    """Return a host as another host reaches it for a transfer."""
    identity = world.scope.environment.hosts[host]
    return Peer(host, identity.address, identity.ssh_host_key)


def places_of(world: World, move: PlannedMove) -> tuple[DataPlace, ...]:
    """Return what has to travel: the mounts of the inventory with the rule copy, as preflight proved them to be."""
    entry = world.entry(move.service)
    facts = world.facts(move.source)
    container = facts.container(entry.container) or facts.container(kept_name(entry.container))
    if container is None:
        raise InputError(f"{move.source}: no container {entry.container}. Expected: the one of inventory.yaml, services/{move.service}")
    return places_to_copy(container.mounts, preflighting.mount_rules(world, move.service))
