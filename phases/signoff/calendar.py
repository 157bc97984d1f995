"""The window as an iCalendar invitation (RFC 5545) and in words: when, in whose zone, what moves, who approved."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from icalendar import Alarm, Calendar, Event, vCalAddress, vText

from engine.config.scope import Scope
from engine.constants import NAME, VERSION
from engine.signoff.approval import Approvals
from phases.signoff.team_messages import moves_here, window_words, zone_of

REMIND: Final = timedelta(hours=-24)
STATUS: Final = {"proposed": "TENTATIVE", "agreed": "CONFIRMED"}


def invitation(scope: Scope, approvals: Approvals, now: datetime, organizer: str | None = None) -> bytes:
    """Return the invitation; with an organizer the approvers are asked to attend, without it is only published.

    The same environment and plan keep one UID, and a later file has a higher SEQUENCE: calendars replace the event.
    Raises InputError for a time zone that is none.
    """
    calendar = Calendar()
    calendar.add("prodid", f"-//{NAME}//{VERSION}//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "REQUEST" if organizer else "PUBLISH")
    calendar.add_component(_event(scope, approvals, now, organizer))
    calendar.add_missing_timezones()
    return bytes(calendar.to_ical())


def _event(scope: Scope, approvals: Approvals, now: datetime, organizer: str | None) -> Event:
    environment, window, zone = scope.environment.environment, scope.window, zone_of(scope)
    event = Event()
    event.add("uid", f"{uuid5(NAMESPACE_URL, f'{NAME}/{environment}/{scope.plan.title}')}@{NAME}")
    event.add("dtstamp", now.astimezone(UTC))
    event.add("sequence", int(now.timestamp()) // 60)
    event.add("dtstart", window.starts_at.astimezone(zone))
    event.add("dtend", window.ends_at.astimezone(zone))
    event.add("summary", f"{scope.plan.title} ({environment})")
    event.add("description", "\n".join(describe_window(scope, approvals)))
    event.add("status", STATUS[window.status])
    event.add("transp", "OPAQUE")
    event.add("categories", ["MAINTENANCE"])
    event.add("location", ", ".join(scope.hosts))
    if organizer:
        event.add("organizer", vCalAddress(f"mailto:{organizer}"))
        for person, approver in scope.environment.approvers.items():
            event.add("attendee", _attendee(person, approver.roles), encode=False)
    event.add_component(_reminder(scope.plan.title))
    return event


def _attendee(person: str, roles: tuple[str, ...]) -> vCalAddress:
    attendee = vCalAddress(f"mailto:{person}")
    attendee.params["cn"] = vText(f"{person} ({', '.join(roles)})")
    attendee.params["role"] = vText("REQ-PARTICIPANT")
    attendee.params["rsvp"] = vText("TRUE")
    return attendee


def _reminder(title: str) -> Alarm:
    alarm = Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("description", title)
    alarm.add("trigger", REMIND)
    return alarm


def describe_window(scope: Scope, approvals: Approvals) -> Iterator[str]:
    """Yield the window in words, line by line."""
    window = scope.window
    yield f"{window_words(scope)}; {window.status}"
    utc = f"{window.starts_at.astimezone(UTC):%Y-%m-%d %H:%M} to {window.ends_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    whose = "the environment's own" if scope.environment.window else "the plan's"
    yield f"That is {utc} ({whose} window)"
    yield "Moves, in this order:"
    for number, move in enumerate(moves_here(scope), start=1):
        yield f"{number}. {move.service}: {move.source} to {move.target}, {move.wave}"
    yield f"Approved by {approvals.text()}" if approvals.valid else "Nobody has approved it yet"
    yield from (f"Missing: {problem}" for problem in approvals.problems)
    yield from (f"Depends on others: {text}" for text in scope.plan.external_dependencies)


def describe_now(scope: Scope, now: datetime) -> str:
    """Return in words how far away the window is."""
    window = scope.window
    if now < window.starts_at:
        return f"It begins in {_span(window.starts_at - now)}"
    return (
        f"It is open for another {_span(window.ends_at - now)}"
        if now < window.ends_at
        else f"It ended {_span(now - window.ends_at)} ago"
    )


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    days, hours = divmod(minutes // 60, 24)
    words = (
        [f"{days} days"] * (days > 0) + [f"{hours} h"] * (hours > 0 or days > 0) + [f"{minutes % 60} min"] * (days == 0)
    )
    return " ".join(words)
