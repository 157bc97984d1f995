"""The messages to people before the window, drafted from plan, inventory and links: one message per team."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.config.plan import PlannedMove
from engine.config.scope import Scope
from engine.errors import InputError
from engine.finding import joined, say

WEEKDAYS: Final = (
    say("Monday"),
    say("Tuesday"),
    say("Wednesday"),
    say("Thursday"),
    say("Friday"),
    say("Saturday"),
    say("Sunday"),
)


def window_words(scope: Scope) -> str:
    """Return the window as people read it, in the zone that they think in; raises InputError for a zone
    that is none.
    """
    window, zone = scope.window, zone_of(scope)
    begin, end = window.starts_at.astimezone(zone), window.ends_at.astimezone(zone)
    hours = (window.ends_at - window.starts_at).total_seconds() / 3600
    last = f"{end:%H:%M}" if end.date() == begin.date() else _moment(end)
    return say(
        "{begin} to {last} ({zone}), {hours:g} hours",
        begin=_moment(begin),
        last=last,
        zone=window.time_zone,
        hours=hours,
    )


def _moment(at: datetime) -> str:
    return say("{weekday} {moment}", weekday=WEEKDAYS[at.weekday()], moment=f"{at:%Y-%m-%d %H:%M}")


def zone_of(scope: Scope) -> ZoneInfo:
    """Return the time zone of the window."""
    try:
        return ZoneInfo(scope.window.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(
            say(
                "window/time_zone: {time_zone} is no time zone. Expected: a name such as America/Sao_Paulo",
                time_zone=scope.window.time_zone,
            )
        ) from None


def moves_here(scope: Scope) -> list[PlannedMove]:
    """Return the plan's moves of the services that exist in this environment, in order."""
    return [move for move in scope.plan.moves if move.service in scope.services]


def teams(scope: Scope) -> list[str]:
    """Return the teams to notify: those who answer for a moved service or for one that uses it."""
    moved = {move.service for move in moves_here(scope)}
    users = {link.from_ for link in scope.links if link.to in moved}
    return sorted({team_of(scope, service) for service in moved | users})


def team_of(scope: Scope, service: str) -> str:
    """Return who answers for a service; where the inventory does not say, the service itself names them."""
    return scope.services[service].team or say("team of {service}", service=service)


def draft_for(scope: Scope, team: str) -> str:
    """Return the message to one team: when, which of its services move, what it uses that moves, what it has to do."""
    return joined("\n", [*_lines(scope, team), ""])


def _lines(scope: Scope, team: str) -> Iterator[str]:
    moves = {move.service: move for move in moves_here(scope)}
    own = [move for move in moves.values() if team_of(scope, move.service) == team]
    used = [link for link in scope.links if link.to in moves and team_of(scope, link.from_) == team]
    named = list(dict.fromkeys([*(move.service for move in own), *(link.to for link in used)]))
    yield say("To: {team}", team=team)
    yield say("Subject: {services} will be moved, {window}", services=", ".join(named), window=window_words(scope))
    yield ""
    for move in own:
        yield say(
            "- {service}, which you answer for, moves from {source} to {target}. It is down while its data is copied.",
            service=move.service,
            source=move.source,
            target=move.target,
        )
    for link in used:
        move = moves[link.to]
        yield say(
            "- {user} uses {service} as {name}:{port}. It moves from {source} to {target}; the address stays.",
            user=link.from_,
            service=link.to,
            name=link.name,
            port=link.port,
            source=move.source,
            target=move.target,
        )
    yield say(
        "You need not change anything before the window. Expect failed requests for the length of each move, and "
        "a reconnect after it."
    )
    yield say("Please look at your applications when the window is over, and let us know what does not work as before.")
