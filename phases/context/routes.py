"""Routes."""

from __future__ import annotations

from actions.common.labels import move_label
from actions.common.route import Route
from engine.config.scope import PlannedMove
from phases.context.run_context import RunContext


def route_of(context: RunContext, move: PlannedMove, attempt: int) -> Route:
    """Return the way of one attempt of a move."""
    label = move_label(context.scope.environment.environment, move.service, attempt)
    return Route(context.fleet, move.service, context.entry(move.service).container, move.source, move.target, label)


def addresses_of(context: RunContext, move: PlannedMove) -> dict[str, str]:
    """Return which address of the source becomes which of the target, where a port is published on one address."""
    identities = context.scope.environment.hosts
    return {identities[move.source].address: identities[move.target].address}
