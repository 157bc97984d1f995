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
from engine.errors import InputError
from engine.journal.journal import Journal
from phases.context.attempt import committed_at
from phases.signoff.team_messages import draft_for, moves_here, team_of, teams, window_words

SHORT_TTL_S: Final = 300


class TooEarlyError(InputError):
    """A person is asked for what cannot be done before the move."""


def _every(_entry: ServiceEntry) -> bool:
    return True


@dataclass(frozen=True)
class ManualStep:
    """One step: phase/key, what is asked (of one service where `per_service`), and who may attest it (None: any
    approver).

    `applies`: of which services it is asked; `after_commit`: it can be done only once the service is on its new host,
    so that what was attested before the newest commit does not count.
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


def _tell_teams(scope: Scope, _service: str | None) -> str:
    drafts = "\n".join(draft_for(scope, team) for team in teams(scope))
    return f"Send each team its message, and attest once all have it.\n\n{drafts}"


def _put_into_calendar(scope: Scope, _service: str | None) -> str:
    moved = ", ".join(f"{move.service} ({move.source} to {move.target})" for move in moves_here(scope))
    how = f"{scope.command('window', 'ics')} writes the invitation"
    return (
        f"Put the window into the shared calendar ({how}), and attest once it stands "
        f"there.\n\n{window_words(scope)}: {moved}\n"
    )


def _shorten_names(scope: Scope, service: str | None) -> str:
    names = "\n".join(f"- {name}" for name in scope.services[str(service)].public_names)
    return (
        f"Lower the time to live of each of these names to {SHORT_TTL_S} seconds or less, at least one old time to "
        "live before the window, "
        f"and attest once it is published: clients then follow within minutes.\n\n{names}\n"
    )


def _change_dns(scope: Scope, service: str | None) -> str:
    move = next(move for move in moves_here(scope) if move.service == service)
    identity = scope.environment.hosts.get(move.target)
    addresses = ", ".join(identity.public_addresses or (identity.address,)) if identity else "its address"
    names = "\n".join(f"- {name}" for name in scope.services[move.service].public_names)
    return f"Point each of these names to {move.target} ({addresses}), and attest once it is published.\n\n{names}\n"


def _send_message(scope: Scope, service: str | None) -> str:
    sessions = ", ".join(map(str, scope.services[str(service)].options.get("sessions") or ())) or "each session"
    return (
        f"Send a message from another phone to the number of {sessions}, and one back through {service}: both must "
        "arrive. "
        "Attest it with a screenshot.\n\nNo program does this: the inventory allows no test_number.\n"
    )


def _try_integrations(scope: Scope, _service: str | None) -> str:
    moved = {move.service for move in moves_here(scope)}
    users = {service: sorted({link.from_ for link in scope.links if link.to == service}) for service in sorted(moved)}
    lines = (
        f"- {service} ({team_of(scope, service)})"
        + (f", used by {', '.join(users[service])}" if users[service] else "")
        for service in users
    )
    asked = (
        "Let those who use these services try what their work depends on, and attest what was tried and what they said."
    )
    return f"{asked}\n\n" + "\n".join(lines) + "\n"


def _is_seen_outside(entry: ServiceEntry) -> bool:
    return bool(entry.public_names)


def _has_no_test_number(entry: ServiceEntry) -> bool:
    return entry.product == "waha" and not entry.options.get("test_number")


STEPS: Final = (
    ManualStep("prepare/teams-notified", _tell_teams),
    ManualStep("prepare/calendar-entry", _put_into_calendar),
    ManualStep("prepare/dns-ttl-lowered", _shorten_names, per_service=True, applies=_is_seen_outside),
    ManualStep("validate/dns-switched", _change_dns, per_service=True, applies=_is_seen_outside, after_commit=True),
    ManualStep(
        "validate/message-sent", _send_message, per_service=True, applies=_has_no_test_number, after_commit=True
    ),
    ManualStep("validate/integrations-tested", _try_integrations, role="business", after_commit=True),
)


def asked(step: str, service: str | None = None) -> ManualRequest:
    """Return a manual step by "phase/key", or by its key alone; raises InputError naming those that there are."""
    found = [one for one in STEPS if step in {one.step, one.step.partition("/")[2]}]
    if not found:
        raise InputError(
            f"attest: step {step}: not one that a person attests. Known: {', '.join(one.step for one in STEPS)}"
        )
    if found[0].per_service != (service is not None):
        expected = (
            "--service NAME: it is done for each" if found[0].per_service else "no --service: it is done once for all"
        )
        raise InputError(f"attest: step {found[0].step}: expected {expected}")
    return ManualRequest(found[0], service)


def refuse_other(scope: Scope, one: ManualRequest) -> None:
    """Raise InputError for a service of which a step is not asked, naming those of which it is."""
    of = [each.service for each in manual_requests(scope) if each.step is one.step]
    if one.service is not None and one.service not in of:
        known = ", ".join(str(service) for service in of) or "no service here"
        raise InputError(f"attest: step {one.step.step} --service {one.service}: not asked of it. Asked of: {known}")


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
    """Return the keys of the manual steps of which a service is not one, each with the reason that nobody needs to
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
        raise TooEarlyError(f"{asked.step.step}: can be done once {asked.service or 'a service'} is moved")
    return max(known)
