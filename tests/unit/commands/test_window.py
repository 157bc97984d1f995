"""The invitation is what a calendar understands: right instants, right zone, what moves, who approved, and updates
replace it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from icalendar import Calendar

from commands import window as command
from engine.config.scope import Scope, build_scope
from engine.errors import InputError
from engine.signoff.approval import Approvals, Statement, Subject
from phases.signoff.calendar import describe_now, describe_window, invitation
from tests.fakes.project_files import make_environment, make_inventory, make_plan

NOW: Final = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
APPROVED: Final = Approvals([Statement(Subject("production", "d", {}, {}), "technical", "tess@example.org", NOW)], [])


def scope_of(*changes: tuple[str, Any], environment: tuple[tuple[str, Any], ...] = ()) -> Scope:
    """Return the scope of the small files, changed."""
    return build_scope(make_inventory(), make_plan(*changes), make_environment(*environment))


def event_of(scope: Scope, now: datetime = NOW, organizer: str | None = None) -> Any:
    """Return the one event of an invitation, read again."""
    calendar = Calendar.from_ical(invitation(scope, APPROVED, now, organizer))
    assert calendar["version"] == "2.0"
    (event,) = calendar.walk("VEVENT")
    return event


def test_the_event_is_the_window() -> None:
    """Instants, in the zone that people think in, which comes along; tentative until it is agreed."""
    event = event_of(scope_of())

    assert event["dtstart"].dt == datetime(2026, 12, 6, 1, tzinfo=UTC)
    assert event["dtend"].dt == datetime(2026, 12, 6, 7, tzinfo=UTC)
    assert event["dtstart"].params["tzid"] == "America/Sao_Paulo"
    assert b"BEGIN:VTIMEZONE" in invitation(scope_of(), APPROVED, NOW)
    assert event["status"] == "TENTATIVE"
    assert event_of(scope_of(("window/status", "agreed")))["status"] == "CONFIRMED"


def test_it_says_what_moves_and_who_approved() -> None:
    """Whoever opens the event need not ask."""
    description = str(event_of(scope_of())["description"])

    assert "1. n8n: wf005 to wf002, critical\n2. redis: wf005 to wf001, auxiliary" in description
    assert "Approved by tess@example.org (technical, 2026-12-01 09:30 UTC by the signer's clock)" in description


def test_a_later_file_replaces_the_event() -> None:
    """One UID for environment and plan, a higher SEQUENCE; another environment is another event."""
    first, second = event_of(scope_of()), event_of(scope_of(("window/status", "agreed")), NOW + timedelta(minutes=1))
    staging = event_of(scope_of(environment=(("environment", "staging"),)))

    assert first["uid"] == second["uid"] != staging["uid"]
    assert second["sequence"] > first["sequence"]


def test_approvers_are_asked_when_somebody_invites() -> None:
    """A request needs an organizer; without one it is published."""
    approvers = ("approvers", {"bea@example.org": {"roles": ["business"], "key": "ssh-ed25519 AAAAC3Nz"}})
    scope = scope_of(environment=(approvers,))
    event = event_of(scope, organizer="ana@example.org")

    assert str(event["organizer"]) == "mailto:ana@example.org"
    assert str(event["attendee"]) == "mailto:bea@example.org"
    assert b"METHOD:REQUEST" in invitation(scope, APPROVED, NOW, "ana@example.org")
    assert b"METHOD:PUBLISH" in invitation(scope, APPROVED, NOW)


def test_an_environments_own_window_counts() -> None:
    """As for the gate."""
    own = ("window", {"starts_at": "2026-12-20T00:00:00Z", "ends_at": "2026-12-20T04:00:00Z", "time_zone": "UTC"})
    scope = scope_of(environment=(own,))

    assert event_of(scope)["dtstart"].dt == datetime(2026, 12, 20, tzinfo=UTC)
    assert "That is 2026-12-20 00:00 to 2026-12-20 04:00 UTC (the environment's own window)" in list(
        describe_window(scope, Approvals())
    )


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (-50, "It begins in 2 days 2 h"),
        (-0.5, "It begins in 30 min"),
        (1.25, "It is open for another 4 h 45 min"),
        (7, "It ended 1 h 0 min ago"),
    ],
)
def test_the_window_in_words(hours: float, words: str) -> None:
    """How far away it is."""
    scope = scope_of()

    assert describe_now(scope, scope.window.starts_at + timedelta(hours=hours)) == words


def test_a_zone_that_is_none_is_wrong_input() -> None:
    """The error comes before a calendar shows another hour."""
    with pytest.raises(
        InputError,
        match=r"window/time_zone: America/Sao_Paolo is no time zone. Expected: a name such as America/Sao_Paulo",
    ):
        event_of(scope_of(("window/time_zone", "America/Sao_Paolo")))


def test_the_command_writes_and_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Next to the reports, or where the option says; nothing else appears."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "load_scope", lambda _options: scope_of())

    assert command.main(["show", "--environment", "production"]) == 0
    assert (
        "Saturday 2026-12-05 22:00 to Sunday 2026-12-06 04:00 (America/Sao_Paulo), 6 hours; proposed"
        in capsys.readouterr().out
    )
    assert command.main(["ics", "--environment", "production"]) == 0
    assert command.main(["ics", "--environment", "production", "--output", "w.ics"]) == 0
    assert {str(file) for file in Path().rglob("*") if file.is_file()} == {"reports/production/window.ics", "w.ics"}
    with pytest.raises(InputError, match=r"w.ics/x.ics: can't be written"):
        command.main(["ics", "--environment", "production", "--output", "w.ics/x.ics"])
