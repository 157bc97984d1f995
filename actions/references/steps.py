"""Rewrite the references of a service's dependants to its new address for good, and remove the relays that nobody needs
then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from actions.common.base_action import BaseAction, RouteAction
from actions.common.route import Route
from actions.relays.planning import Relay
from actions.relays.reconcile import apply_forwarders, judge_forwarders
from engine.config.inventory import LinkKey
from engine.contracts.action import Note
from engine.errors import HostLostError, LongshoreError, NotObservedError
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed

CONNECT_S: Final = 5.0


class Reference(Protocol):
    """One place of one dependant that says where a service is; each method may be called again at any time."""

    @property
    def name(self) -> str:
        """Return how messages call it."""

    @property
    def route(self) -> Route:
        """Return the dependant's container: its host is both source and target."""

    def describe(self) -> str:
        """Return the dry run's words."""

    def foresee(self) -> tuple[str, ...]:
        """Return what would change, as lines; raises ActionError when it can't be done."""

    def is_done(self) -> bool:
        """Return whether it says the new address and the dependant has read it."""

    def is_undone(self) -> bool:
        """Return whether it says what it said before and the dependant has read it."""

    def write(self) -> tuple[str, ...]:
        """Rewrite it; return the difference as lines."""

    def put_back(self) -> None:
        """Put back exactly what was there; raise NeedsPersonError when somebody has changed it since."""


@dataclass(frozen=True)
class RewriteReferences(RouteAction):
    """Rewrite each reference, one after the other; each dependant must be ready again before the next."""

    references: tuple[Reference, ...]
    ready: Callable[[str], Judgement] = field(repr=False)
    key = "rewrite-references"

    def describe(self) -> str:
        """Return the dry run's line."""
        return "; ".join(reference.describe() for reference in self.references)

    def estimate_s(self) -> float | None:
        """Return seconds."""
        return 10.0 * len(self.references)

    def do(self, note: Note) -> None:
        """Rewrite, and measure how long each dependant was not ready."""
        if "changed" not in note or not any(reference.is_done() for reference in self.references):
            note["changed"], note["out_s"] = [], {}
        for reference in self.references:
            if reference.is_done():
                continue
            dependant = reference.route
            dependant.audit(dependant.source, self.key, reference.describe())
            started = time.monotonic()
            note["changed"] += list(reference.write())
            answer = self.ready(dependant.service)
            took = round(time.monotonic() - started, 1)
            note["out_s"][dependant.service] = max(took, note["out_s"].get(dependant.service, 0.0))
            if not answer.passed:
                raise NotObservedError(
                    say(
                        "{name}: rewritten, but {service} did not become ready: {text}",
                        name=reference.name,
                        service=dependant.service,
                        text=answer.text,
                    )
                )

    def verify(self, note: Note) -> Judgement:
        """Judge whether each says the new address and was read by its dependant."""
        wrong = [reference.name for reference in self.references if not reference.is_done()]
        if wrong:
            return failed(
                say(
                    "{first_wrong}: does not say the new address, or was not read again. Expected: all {count} do",
                    first_wrong=wrong[0],
                    count=len(self.references),
                )
            )
        out = note.get("out_s") or {}
        outages = joined(
            "; ",
            (
                say("{name} was ready again within {seconds:.1f} s", name=name, seconds=seconds)
                for name, seconds in out.items()
            ),
        )
        measured = {f"{name}_out_s": seconds for name, seconds in out.items()}
        return passed(
            say(
                "{count} of {count} references say the new address{outages}",
                count=len(self.references),
                outages=say("; {outages}", outages=outages) if outages else "",
            ),
            tuple(note.get("changed") or ()),
            **measured,
        )

    def undo(self, note: Note) -> None:  # noqa: ARG002 the hosts have what was there before
        """Put back each, the last one first."""
        for reference in reversed(self.references):
            if not reference.is_undone():
                dependant = reference.route
                dependant.audit(dependant.source, self.key, f"put back {reference.name}")
                reference.put_back()


@dataclass(frozen=True)
class ReleaseRelays(RouteAction):
    """Take away the relays under names that no dependant uses any more; those of other links and of published ports
    stay.

    `users` lists who still has a connection through a relay that would go; `is_recorded` and `record` keep in the
    journal which links are re-pointed, so that every later reconciliation knows it.
    """

    links: frozenset[LinkKey]
    wanted: frozenset[Relay]
    before: frozenset[Relay]
    hosts: tuple[str, ...]
    users: Callable[[frozenset[Relay]], Judgement] = field(repr=False)
    is_recorded: Callable[[LinkKey], bool] = field(repr=False)
    record: Callable[[LinkKey, bool], None] = field(repr=False)
    key = "remove-relays"

    def describe(self) -> str:
        """Return the dry run's line."""
        gone, new = (
            sorted(one.text() for one in some) for some in (self.before - self.wanted, self.wanted - self.before)
        )
        changes = joined(
            "; ", [*(say("remove {text}", text=text) for text in gone), *(say("add {text}", text=text) for text in new)]
        ) or say("no relay changes")
        return say(
            "remove the relays that {service}'s dependants do not need any more: {changes}",
            service=self.route.service,
            changes=changes,
        )

    def estimate_s(self) -> float | None:
        """Return seconds."""
        return 1.0 + len(self.wanted ^ self.before)

    def do(self, note: Note) -> None:
        """See nobody connected through them, then reconcile, then write down that the links need none."""
        answer = self.users(self.before - self.wanted)
        if not answer.passed:
            raise NotObservedError(answer.text)
        done = apply_forwarders(self.route.fleet, self.route.environment, self.hosts, self.wanted)
        note["created"], note["removed"] = list(done.created), list(done.removed)
        for link in sorted(self.links):
            self.record(link, True)

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether exactly the wanted relays run and the journal knows why."""
        unknown_links = [link for link in sorted(self.links) if not self.is_recorded(link)]
        if unknown_links:
            first = unknown_links[0]
            return failed(
                say(
                    "{link} to {address}: not yet written down as re-pointed. Expected: in the journal",
                    link=first[0],
                    address=first[1],
                )
            )
        return judge_forwarders(self.route.fleet, self.route.environment, self.hosts, self.wanted)

    def undo(self, note: Note) -> None:  # noqa: ARG002
        """Put the relays back first: what is put back after them needs them."""
        for link in sorted(self.links):
            if self.is_recorded(link):
                self.record(link, False)
        apply_forwarders(self.route.fleet, self.route.environment, self.hosts, self.before)


def _is_undone(reference: Reference) -> bool:
    """Return whether it is put back, or lies on a host that is declared lost."""
    try:
        return reference.is_undone()
    except HostLostError:
        return True


@dataclass(frozen=True)
class UndoReferences(BaseAction):
    """Put back all references of a service, in reverse, with the relays first; the hosts are asked whether it is so."""

    references: tuple[Reference, ...]
    relays: ReleaseRelays
    undo_attempt: Callable[[], str] = field(repr=False)
    works: Callable[[], Judgement] = field(repr=False)
    key = "undo-references"

    def describe(self) -> str:
        """Return the dry run's line."""
        names = "; ".join(reference.name for reference in self.references)
        return say("put the relays back, then let say what it said before: {names}", names=names)

    def estimate_s(self) -> float | None:
        """Return seconds."""
        return 10.0 * len(self.references)

    def do(self, note: Note) -> None:
        """Undo; the note says how it ended."""
        note["ended"] = self.undo_attempt()

    def verify(self, note: Note) -> Judgement:
        """Judge whether each reference is what it was, the relays are there, and the dependants work."""
        ended = str(note.get("ended") or say("not undone yet"))
        try:
            wrong = [reference.name for reference in self.references if not _is_undone(reference)]
        except LongshoreError as error:
            return failed(say("{error} {ended}", error=error, ended=ended))
        if wrong:
            return failed(
                say(
                    "{first_wrong}: is not what it was. Expected: all {count} references put back. {ended}",
                    first_wrong=wrong[0],
                    count=len(self.references),
                    ended=ended,
                )
            )
        recorded = [link for link in sorted(self.relays.links) if self.relays.is_recorded(link)]
        relays = judge_forwarders(
            self.relays.route.fleet, self.relays.route.environment, self.relays.hosts, self.relays.before
        )
        if recorded or not relays.passed:
            return failed(say("{text}. {ended}", text=relays.text, ended=ended), relays.details)
        works = self.works()
        text = say(
            "{count} of {count} references are what they were; {relays_text}; {works_text}",
            count=len(self.references),
            relays_text=relays.text,
            works_text=works.text,
        )
        return Judgement(works.verdict, text, works.measured, works.details)
