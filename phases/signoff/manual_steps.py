"""Steps that no program can do, each with what a person is asked: the runbooks show it, `attest` signs that it was
done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.config.inventory import ServiceEntry
from engine.config.plan import Role
from engine.config.scope import Scope
from engine.contracts.product import ManualCheck
from engine.errors import InputError
from engine.finding import joined, say
from engine.journal.journal import Journal
from phases.context.attempt import committed_at
from phases.signoff.team_messages import draft_for, moves_here, team_of, teams, window_words
from services.registry import product_or_generic

SHORT_TTL_S: Final = 300


class TooEarlyError(InputError):
    """A person is asked for what cannot be done before the move."""


def _every(_entry: ServiceEntry) -> bool:
    return True


@dataclass(frozen=True)
class ManualStep:
    """One step: phase/key, what is asked (of one service where `per_service`), and who may attest it (None: any
    approver).

    `applies`: the services that it is asked for; `after_commit`: it can be done only once the service is on its new
    host, so that what was attested before the newest commit does not count.
    """

    step: str
    asks: Callable[[Scope, str | None], str]
    per_service: bool = False
    role: Role | None = None
    applies: Callable[[ServiceEntry], bool] = _every
    after_commit: bool = False


@dataclass(frozen=True)
class ManualRequest:
    """A manual step as it is asked: of one service, or once for all."""

    step: ManualStep
    service: str | None = None

    @property
    def name(self) -> str:
        """Return what names its files."""
        return self.step.step.replace("/", "-") + (f"-{self.service}" if self.service else "")

    def text(self, scope: Scope) -> str:
        """Return what a person is asked to do."""
        return self.step.asks(scope, self.service)


def _notify_teams(scope: Scope, _service: str | None) -> str:
    drafts = [draft_for(scope, team) for team in teams(scope)]
    return joined("\n", [say("Send each team its message, and attest once all have it."), "", *drafts])


def _put_into_calendar(scope: Scope, _service: str | None) -> str:
    moved = joined(
        ", ",
        (
            say("{service} ({source} to {target})", service=move.service, source=move.source, target=move.target)
            for move in moves_here(scope)
        ),
    )
    asked = say(
        "Put the window into the shared calendar ({command} writes the invitation), and attest once it is there.",
        command=scope.command("window", "ics"),
    )
    return joined("\n", [asked, "", say("{window}: {moved}", window=window_words(scope), moved=moved), ""])


def _shorten_names(scope: Scope, service: str | None) -> str:
    names = (f"- {name}" for name in scope.services[str(service)].public_names)
    asked = say(
        "Lower the time to live of each of these names to {seconds} seconds or less, at least one old time to live "
        "before the window, and attest once it is published: clients then follow within minutes.",
        seconds=SHORT_TTL_S,
    )
    return joined("\n", [asked, "", *names, ""])


def _change_dns(scope: Scope, service: str | None) -> str:
    move = next(move for move in moves_here(scope) if move.service == service)
    identity = scope.environment.hosts.get(move.target)
    addresses = ", ".join(identity.public_addresses or (identity.address,)) if identity else say("its address")
    names = (f"- {name}" for name in scope.services[move.service].public_names)
    asked = say(
        "Point each of these names to {target} ({addresses}), and attest once it is published.",
        target=move.target,
        addresses=addresses,
    )
    return joined("\n", [asked, "", *names, ""])


def _products_check(step: str) -> ManualStep:
    """Return a step that products ask for, in their words, of those of their services that let no program do it."""

    def of(entry: ServiceEntry) -> Iterator[ManualCheck]:
        for one in product_or_generic(entry.product).manual_checks:
            if one.step == step and not entry.options.get(one.unless_option):
                yield one

    def asks(scope: Scope, service: str | None) -> str:
        entry = scope.services[str(service)]
        return joined("\n", (one.text(str(service), entry.options) for one in of(entry)))

    return ManualStep(step, asks, per_service=True, applies=lambda entry: any(of(entry)), after_commit=True)


def _try_integrations(scope: Scope, _service: str | None) -> str:
    moved = {move.service for move in moves_here(scope)}
    users = {service: sorted({link.from_ for link in scope.links if link.to == service}) for service in sorted(moved)}
    lines = (
        say("- {service} ({team}), used by {users}", service=service, team=team, users=", ".join(users[service]))
        if users[service]
        else say("- {service} ({team})", service=service, team=team)
        for service in users
        for team in (team_of(scope, service),)
    )
    asked = say(
        "Let those who use these services try what their work depends on, and attest what was tried and what they said."
    )
    return joined("\n", [asked, "", *lines, ""])


def _is_seen_outside(entry: ServiceEntry) -> bool:
    return bool(entry.public_names)


STEPS: Final = (
    ManualStep("prepare/teams-notified", _notify_teams),
    ManualStep("prepare/calendar-entry", _put_into_calendar),
    ManualStep("prepare/dns-ttl-lowered", _shorten_names, per_service=True, applies=_is_seen_outside),
    ManualStep("validate/dns-switched", _change_dns, per_service=True, applies=_is_seen_outside, after_commit=True),
    _products_check("validate/message-sent"),
    ManualStep("validate/integrations-tested", _try_integrations, role="business", after_commit=True),
)


def asked(step: str, service: str | None = None) -> ManualRequest:
    """Return a manual step by "phase/key", or by its key alone; raises InputError naming those that there are."""
    found = [one for one in STEPS if step in {one.step, one.step.partition("/")[2]}]
    if not found:
        raise InputError(
            say(
                "attest: step {step}: not one that a person attests. Known: {steps}",
                step=step,
                steps=", ".join(one.step for one in STEPS),
            )
        )
    if found[0].per_service != (service is not None):
        expected = (
            "--service NAME: it is done for each"
            if found[0].per_service
            else say("no --service: it is done once for all")
        )
        raise InputError(say("attest: step {step}: expected {expected}", step=found[0].step, expected=expected))
    return ManualRequest(found[0], service)


def refuse_other(scope: Scope, one: ManualRequest) -> None:
    """Raise InputError for a service that a step is not asked for, naming those that it is asked for."""
    of = [each.service for each in manual_requests(scope) if each.step is one.step]
    if one.service is not None and one.service not in of:
        known = ", ".join(str(service) for service in of) or say("no service here")
        raise InputError(
            say(
                "attest: step {step} --service {service}: not asked of it. Asked of: {known}",
                step=one.step.step,
                service=one.service,
                known=known,
            )
        )


def manual_requests(scope: Scope) -> Iterator[ManualRequest]:
    """Yield every manual step of an environment, of each service where it is about one."""
    for one in STEPS:
        if one.per_service:
            yield from (
                ManualRequest(one, move.service)
                for move in moves_here(scope)
                if one.applies(scope.services[move.service])
            )
        else:
            yield ManualRequest(one)


def steps_not_asked(scope: Scope, service: str) -> dict[str, str]:
    """Return the keys of the manual steps that are not asked for a service, each with the reason that nobody needs to
    read.
    """
    return {
        one.step.partition("/")[2]: "" for one in STEPS if one.per_service and not one.applies(scope.services[service])
    }


def since_when(asked: ManualRequest, journal: Journal | None, services: Iterable[str]) -> datetime | None:
    """Return since when a step can be done: the newest commit of its service, or of these; None when it can be done at
    any time.

    Raises TooEarlyError while none of them is committed.
    """
    if not asked.step.after_commit:
        return None
    about = (asked.service,) if asked.service else services
    commits = [committed_at(journal, service) for service in about] if journal else []
    known = [at for at in commits if at is not None]
    if not known:
        raise TooEarlyError(
            say(
                "{step}: can be done once {service} is moved",
                step=asked.step.step,
                service=asked.service or say("a service"),
            )
        )
    return max(known)
