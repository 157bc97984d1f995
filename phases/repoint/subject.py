"""One service whose dependants are re-pointed: its links, where each leads, and the places that say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from actions.common.route import Route
from actions.references.api import ApiReference
from actions.references.file import DIRECTORY, FileReference
from actions.references.steps import Reference
from actions.references.variable import VariableReference
from engine.config.inventory import Link, LinkKey
from engine.config.reference_rules import filled
from engine.contracts.product import ServiceInstance
from phases.context.link_state import Address, links_of, need_address, places_planned, repointable
from phases.context.run_context import RunContext
from phases.context.service_move import ServiceMove


@dataclass(frozen=True)
class Pointing:
    """One service whose dependants are re-pointed: its links, where each leads, and the places that say so."""

    move: ServiceMove
    links: tuple[tuple[Link, Address], ...]
    references: tuple[Reference, ...]

    @property
    def context(self) -> RunContext:
        """Return the run that the move belongs to."""
        return self.move.context

    @property
    def keys(self) -> frozenset[LinkKey]:
        """Return the links by their keys."""
        return frozenset(link.key for link, _ in self.links)

    @property
    def dependants(self) -> tuple[str, ...]:
        """Return who has references, each once."""
        return tuple(dict.fromkeys(link.from_ for link, _ in self.links))

    def host_of(self, dependant: str) -> str:
        """Return where a dependant is once all moves are done; that it is there now is asked first."""
        return places_planned(self.context.scope)[dependant]


def pointing_of(move: ServiceMove) -> Pointing:
    """Return what is re-pointed with a move; raises InputError for what can't be."""
    where = places_planned(move.context.scope)
    links = [
        (link, need_address(move.context.scope, link, where))
        for link in links_of(move.context.scope, move.context.journal, move.service)
    ]
    return Pointing(move, tuple(links), tuple(_references(move, links, where)))


def _references(move: ServiceMove, links: list[tuple[Link, Address]], where: dict[str, str]) -> list[Reference]:
    """Return every file, then the variables of each dependant together: one outage of it, not one for each."""
    environment, label = move.environment, move.label()
    found: list[Reference] = []
    variables: dict[str, dict[str, str]] = {}
    for link, address in links:
        for number, rewrite in enumerate(link.rewrite):
            value = filled(rewrite.value, address.address, address.port)
            if rewrite.kind == "environment":
                variables.setdefault(link.from_, {})[rewrite.variable] = value
                continue
            kept = f"{DIRECTORY}/{environment}-{move.service}-{link.from_}-{link.name}-{link.port}-{number}"
            route = _route(move.context, link.from_, where, label)
            if rewrite.kind == "api":
                found.append(
                    ApiReference(
                        route,
                        repointable(move.context.scope, link),
                        rewrite.object,
                        value,
                        kept,
                        _asking(move.context, route),
                    )
                )
            else:
                found.append(FileReference(route, rewrite, value, kept, move.context.product(link.from_).stop_grace_s))
    for dependant, values in variables.items():
        kept = f"{DIRECTORY}/{environment}-{move.service}-{dependant}-variables.json"
        route, grace_s = _route(move.context, dependant, where, label), move.context.product(dependant).stop_grace_s
        found.append(VariableReference(route, values, kept, grace_s, move.context.redactor.register_environment))
    return found


def _asking(context: RunContext, route: Route) -> Callable[[], ServiceInstance]:
    return lambda: context.target(route.service, route.source)


def _route(context: RunContext, dependant: str, where: dict[str, str], label: str) -> Route:
    host = where[dependant]
    return Route(context.fleet, dependant, context.entry(dependant).container, host, host, label)
