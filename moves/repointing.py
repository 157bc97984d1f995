"""The order in which a service's references are re-pointed, once: rewritten, seen in use, and only then the relays let go."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from actions.forwarders import Forwarder, wanted_forwarders
from actions.labels import move_label
from actions.references import ReleaseRelays, RewriteReferences
from actions.route import Route
from engine.inventory import LinkKey
from engine.model import Action
from moves.asking import Ask
from moves.baselines import BaselineHeld, BaselineRead
from moves.past import read_past
from moves.pointing import Pointing
from moves.pointing_questions import confirm, ready, unused, used, words_of
from moves.repointed import REPOINT_STEPS, REPOINTED, read_repointed
from moves.world import World

REPEATABLE: Final = frozenset(REPOINT_STEPS)
"""All of them look first and change only what is not yet so."""


def repoint_recipe(pointing: Pointing) -> tuple[Action, ...]:
    """Return the actions in order."""
    return (
        Ask("confirm-references", words_of(pointing), lambda: confirm(pointing)),
        BaselineHeld(pointing),
        RewriteReferences(_service_route(pointing), pointing.references, lambda dependant: ready(pointing, dependant)),
        Ask("references-used", "see each dependant work and connected to the new address", lambda: used(pointing)),
        BaselineRead(pointing),
        release_of(pointing),
        Ask("dependants-follow", "see each dependant work without the relays", lambda: used(pointing)),
    )


def release_of(pointing: Pointing) -> ReleaseRelays:
    """Return the deed that takes the relays away which nobody needs then."""
    world = pointing.world
    others = read_repointed(world.journal) - pointing.keys
    return ReleaseRelays(
        route=_service_route(pointing),
        links=pointing.keys,
        wanted=_relays(world, others | pointing.keys),
        before=_relays(world, others),
        hosts=world.scope.hosts,
        users=lambda relays: unused(world, relays),
        is_recorded=lambda key: key in read_repointed(world.journal),
        record=lambda key, value: _record(pointing, key, is_repointed=value),
    )


def _service_route(pointing: Pointing) -> Route:
    world, move = pointing.world, pointing.move
    label = move_label(world.scope.environment.environment, move.service, read_past(world.journal, move.service).attempt)
    return Route(world.fleet, move.service, world.entry(move.service).container, move.source, move.target, label)


def _relays(world: World, repointed: frozenset[LinkKey]) -> frozenset[Forwarder]:
    return wanted_forwarders(replace(world.scope, repointed=repointed), world.where())


def _record(pointing: Pointing, key: LinkKey, *, is_repointed: bool) -> None:
    pointing.world.run.record(REPOINTED, service=pointing.move.service, body={"link": list(key), "repointed": is_repointed})
