"""Preparation that belongs to hosts, not to a move."""

from __future__ import annotations

from actions.images import ship_toolbox as ship
from actions.labels import move_label
from engine.saga import PlannedOnly
from engine.verdict import Judgement
from moves.world import World


def ship_toolbox(world: World, host: str, *, apply: bool) -> Judgement:
    """Put the toolbox image onto a host; in a dry run say so."""
    if not apply:
        raise PlannedOnly(f"{host}: load the toolbox image, unless the same one is there")
    world.facts(host).need_docker()
    judgement = ship(world.fleet, host, move_label(world.scope.environment.environment, "toolbox", 1))
    world.fleet.forget_facts(host)
    return judgement
