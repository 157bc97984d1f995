"""Routes."""

from __future__ import annotations

from actions.common.labels import move_label
from actions.common.route import Route
from phases.context.service_move import ServiceMove


def route_of(move: ServiceMove, attempt: int) -> Route:
    """Return the way of one attempt of a move."""
    label = move_label(move.environment, move.service, attempt)
    return Route(move.context.fleet, move.service, move.entry.container, move.source, move.target, label)


def addresses_of(move: ServiceMove) -> dict[str, str]:
    """Return which address of the source becomes which of the target, where a port is published on one address."""
    identities = move.context.scope.environment.hosts
    return {identities[move.source].address: identities[move.target].address}
