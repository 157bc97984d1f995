"""Which links are re-pointed: what the journal says of them, and where they lead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from actions.relays.planning import link_name, reachable_port, remaps_at
from engine.config.inventory import Link, LinkKey
from engine.config.reference_rules import filled
from engine.config.scope import Scope
from engine.contracts.product import Repointable
from engine.errors import InputError
from engine.finding import say
from engine.journal.journal import Journal
from engine.journal.kinds import RecordKind
from engine.saga.state import AttemptState
from phases.context.attempt import read_past
from services.registry import product

REPOINT_STEPS: Final = (
    "confirm-references", "baseline-unchanged", "rewrite-references",
    "references-used", "references-baseline", "remove-relays", "dependants-without-relays",
)  # fmt: skip
UNDO_STEP: Final = "undo-references"
CHANGING: Final = frozenset({"rewrite-references", "remove-relays"})


@dataclass(frozen=True)
class Address:
    """Where the provider of a link is reached from other hosts."""

    host: str
    address: str
    port: int

    def text(self) -> str:
        """Return it as one word."""
        return f"{self.address}:{self.port}"


def read_repointed(journal: Journal | None) -> frozenset[LinkKey]:
    """Return the links that are re-pointed now."""
    found: dict[LinkKey, bool] = {}
    for record in journal.records(kind=RecordKind.REPOINTED) if journal else ():
        from_, to, name, port = record.body["link"]
        found[from_, to, name, int(port)] = bool(record.body["repointed"])
    return frozenset(key for key, is_so in found.items() if is_so)


def as_repointed(scope: Scope, journal: Journal | None) -> Scope:
    """Return the scope with the links that are re-pointed."""
    return replace(scope, repointed=read_repointed(journal))


def places_planned(scope: Scope) -> dict[str, str]:
    """Return on which host each service is once all moves of the plan are done."""
    return {name: entry.host for name, entry in scope.services.items()} | {
        move.service: move.target for move in scope.plan.moves if move.service in scope.services
    }


def owner_of(scope: Scope, link: Link) -> str:
    """Return with which service's move a link is re-pointed: the provider's, or the dependant's where the provider
    stays; "" for neither.
    """
    moved = {move.service for move in scope.plan.moves}
    return next((name for name in (link.to, link.from_) if name in moved), "")


def links_to_rewrite(scope: Scope, service: str) -> tuple[Link, ...]:
    """Return the links that are re-pointed with a service: declared how, and with ends on different hosts at the end of
    the plan.

    Ends on one host reach each other by name: no relay is between them.
    """
    where = places_planned(scope)
    return tuple(
        link
        for link in scope.links
        if link.rewrite and owner_of(scope, link) == service and where[link.from_] != where[link.to]
    )


def past_of(journal: Journal, service: str) -> AttemptState:
    """Return what was done to a service's references and not undone; whatever its move did is left out, it is done."""
    past = read_past(journal, service)
    steps = frozenset(REPOINT_STEPS)
    return AttemptState(
        notes={key: note for key, note in past.notes.items() if key in steps},
        done=past.done & steps,
        begun=past.begun & steps,
        texts={key: text for key, text in past.texts.items() if key in steps},
        attempt=past.attempt,
        failed=past.failed & steps,
    )


def has_begun(journal: Journal, service: str) -> bool:
    """Return whether references to a service are, or may be, other than they were: they have to be finished or put
    back.
    """
    past = past_of(journal, service)
    return bool((past.done | past.begun | past.failed) & CHANGING)


def links_of(scope: Scope, journal: Journal, service: str) -> tuple[Link, ...]:
    """Return the links that are re-pointed with a service; once begun, as the files had them then."""
    begun = journal.last(RecordKind.REPOINT_STARTED, service=service) if has_begun(journal, service) else None
    if begun is None:
        return links_to_rewrite(scope, service)
    links = tuple(Link.model_validate(one) for one in begun.body["links"])
    if "adopted" not in begun.body:
        return links
    keys = {link.key for link in links}  # what is rewritten, and how, is never a host's word
    return tuple(link for link in scope.links if link.key in keys)


def with_their_hosts(scope: Scope, journal: Journal) -> Scope:
    """Return the scope with the hosts of all ends of the links that are re-pointed: their locks are held and their
    relays looked at too.
    """
    where = places_planned(scope)
    ends = (
        end for move in scope.moves for link in links_of(scope, journal, move.service) for end in (link.from_, link.to)
    )
    hosts = dict.fromkeys((*scope.hosts, *(where[end] for end in ends)))
    return replace(scope, hosts=tuple(host for host in hosts if host in scope.environment.hosts))


def in_the_way(scope: Scope, journal: Journal, service: str) -> tuple[str, ...]:
    """Return the services whose references must be put back before this one can go back: it is one end of
    their links.
    """
    begun = [move.service for move in scope.plan.moves if has_begun(journal, move.service)]
    return tuple(
        owner for owner in begun if any(service in (link.from_, link.to) for link in links_of(scope, journal, owner))
    )


def need_address(scope: Scope, link: Link, where: Mapping[str, str]) -> Address:
    """Return where other hosts reach the provider of a link; raises InputError when they can't."""
    address = address_of(scope, link, where)
    if address is None:
        raise InputError(
            say(
                "{link_name}: {to} publishes no {port}/tcp beyond loopback. Expected: a port that {from_} reaches "
                "from afar. Take rewrite: from the link, its relay stays",
                link_name=link_name(link),
                to=link.to,
                port=link.port,
                from_=link.from_,
            )
        )
    return address


def repointable(scope: Scope, link: Link) -> Repointable:
    """Return the dependant's product, which says how its own store is changed; raises InputError for one that does
    not.
    """
    known = product(scope.services[link.from_].product)
    if not isinstance(known, Repointable):
        raise InputError(
            say(
                "{link_name}: rewrite: kind api: services/{product}/product.py does not say how. Expected: "
                "environment or file",
                link_name=link_name(link),
                product=scope.services[link.from_].product,
            )
        )
    return known


def refuse_what_cannot_be(scope: Scope, journal: Journal) -> None:
    """Raise InputError when no link of the chosen services can be re-pointed, or one says so that can't."""
    for link in (link for move in scope.moves for link in links_of(scope, journal, move.service)):
        need_address(scope, link, places_planned(scope))
        if any(rewrite.kind == "api" for rewrite in link.rewrite):
            repointable(scope, link)
    if not any(links_of(scope, journal, move.service) for move in scope.moves):
        chosen, possible = (", ".join(names) for names in ((move.service for move in scope.moves), _possible(scope)))
        raise InputError(
            say(
                "repoint: nothing to do for {chosen}: no link of theirs that crosses hosts says how. Expected: "
                "rewrite: at a link in inventory.yaml. Possible here: {possible}",
                chosen=chosen,
                possible=possible or say("none"),
            )
        )


def _possible(scope: Scope) -> tuple[str, ...]:
    return tuple(
        move.service
        for move in scope.plan.moves
        if move.service in scope.services and links_to_rewrite(scope, move.service)
    )


def address_of(scope: Scope, link: Link, where: Mapping[str, str]) -> Address | None:
    """Return where other hosts reach the provider of a link, None when it publishes no such port."""
    host = where[link.to]
    port = reachable_port(scope.services[link.to], link.port, remaps_at(scope, link.to, host))
    return None if port is None else Address(host, scope.environment.hosts[host].address, port)


def variables_repointed(scope: Scope, service: str) -> dict[str, str]:
    """Return the variables that a service's container has since its references were rewritten."""
    found, where = {}, places_planned(scope)
    for link in scope.links:
        address = address_of(scope, link, where) if link.from_ == service and link.key in scope.repointed else None
        for rewrite in link.rewrite if address else ():
            if rewrite.kind == "environment" and address:
                found[rewrite.variable] = filled(rewrite.value, address.address, address.port)
    return found


def repoint_command(scope: Scope, service: str, *, undo: bool = False) -> str:
    """Return the command that re-points the references to a service, or puts them back."""
    return scope.command("repoint", *(["--revert"] if undo else []), service=service, apply=True)
