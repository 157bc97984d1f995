"""The order in which a service's references are re-pointed, once: rewritten, seen in use, and only then the relays are
removed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from actions.common.route import Route
from actions.references.steps import ReleaseRelays, RewriteReferences
from actions.relays.planning import Relay, wanted_forwarders
from engine.config.inventory import LinkKey
from engine.contracts.action import Action
from engine.finding import say
from engine.journal.kinds import RecordKind
from phases.context.link_state import REPOINT_STEPS, read_repointed
from phases.context.readonly_step import ReadOnlyStep
from phases.context.run_context import RunContext
from phases.repoint.baselines import BaselineHeld, BaselineRead
from phases.repoint.readonly_steps import confirm, ready, unused, used, words_of
from phases.repoint.subject import Pointing

REPEATABLE: Final = frozenset(REPOINT_STEPS)
"""All of them look first and change only what is not yet so."""


def repoint_recipe(pointing: Pointing) -> tuple[Action, ...]:
    """Return the actions in order."""
    return (
        ReadOnlyStep("confirm-references", words_of(pointing), lambda: confirm(pointing)),
        BaselineHeld(pointing),
        RewriteReferences(_service_route(pointing), pointing.references, lambda dependant: ready(pointing, dependant)),
        ReadOnlyStep(
            "references-used", say("see each dependant work and connected to the new address"), lambda: used(pointing)
        ),
        BaselineRead(pointing),
        release_of(pointing),
        ReadOnlyStep(
            "dependants-without-relays", say("see each dependant work without the relays"), lambda: used(pointing)
        ),
    )


def release_of(pointing: Pointing) -> ReleaseRelays:
    """Return the deed that takes the relays away which nobody needs then."""
    context = pointing.context
    others = read_repointed(context.journal) - pointing.keys
    return ReleaseRelays(
        route=_service_route(pointing),
        links=pointing.keys,
        wanted=_relays(context, others | pointing.keys),
        before=_relays(context, others),
        hosts=context.scope.hosts,
        users=lambda relays: unused(context, relays),
        is_recorded=lambda key: key in read_repointed(context.journal),
        record=lambda key, value: _record(pointing, key, is_repointed=value),
    )


def _service_route(pointing: Pointing) -> Route:
    move = pointing.move
    return Route(move.context.fleet, move.service, move.entry.container, move.source, move.target, move.label())


def _relays(context: RunContext, repointed: frozenset[LinkKey]) -> frozenset[Relay]:
    return wanted_forwarders(replace(context.scope, repointed=repointed), context.where())


def _record(pointing: Pointing, key: LinkKey, *, is_repointed: bool) -> None:
    pointing.context.run.record(
        RecordKind.REPOINTED, service=pointing.move.service, body={"link": list(key), "repointed": is_repointed}
    )
