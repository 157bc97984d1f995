"""Record incidents and users' feedback after the moves: incident open | note ID | close ID | list --lab |
--environment NAME.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from engine.errors import InputError
from engine.finding import say
from engine.journal.journal import Journal
from engine.redaction.guarded_console import open_screen
from engine.redaction.redactor import Redactor
from engine.run.options import add_flags, read_options
from engine.verdict import ExitCode
from engine.watch.incidents import Incident, IncidentSeverity, read_incidents
from phases.context.open_journal import find_journal, open_journal
from phases.context.scope_files import load_scope
from phases.watch.incidents import Incidents, NewIncident


def main(argv: list[str]) -> int:
    """Record what happened, or list it; exit 2 while a listed critical or major incident is open."""
    parsed = _parse(argv)
    options = read_options(lambda name: None if name == "service" else getattr(parsed, name, None), argv)
    scope = load_scope(options)
    if parsed.what == "list":
        return _list(find_journal(options), as_json=parsed.json)
    incidents = Incidents(open_journal(options, Redactor(), scope), options, scope)
    if parsed.what == "open":
        return _open(incidents, parsed)
    incident = (incidents.note if parsed.what == "note" else incidents.close)(parsed.id, parsed.text)
    print(f"recorded: {parsed.what} of incident {incident.id} ({incident.severity}, {incident.service})")
    return ExitCode.OK


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="incident", description=__doc__)
    whats = parser.add_subparsers(dest="what", required=True)
    new = whats.add_parser("open", help="record an incident, or a report of a user")
    new.add_argument(
        "--severity",
        required=True,
        choices=[one.value for one in IncidentSeverity],
        help="critical and major ones restart the watched hours when they close; minor ones are only listed",
    )
    new.add_argument("--service", required=True, metavar="NAME", help="the service that is affected")
    new.add_argument("--text", required=True, help="what happened")
    new.add_argument("--ticket", default="", metavar="URL", help="where it is worked on")
    new.add_argument("--from", dest="reporter", default="", metavar="WHO", help="who reported it")
    new.add_argument("--at", metavar="TIME", help="when it began, e.g. 2026-12-09T04:00:00Z; default: now")
    for word, sentence in (("note", "add to an incident"), ("close", "record that an incident is over")):
        sub = whats.add_parser(word, help=sentence)
        sub.add_argument("id", metavar="ID", help="id of the incident, or its first characters")
        sub.add_argument("--text", required=True, help="what is to be added" if word == "note" else "how it ended")
    shown = whats.add_parser("list", help="list all incidents")
    shown.add_argument("--json", action="store_true", help="print JSON")
    for sub in whats.choices.values():
        add_flags(sub.add_argument, "--environment", "--lab", "--inventory", "--plan", "--state")
    return parser.parse_args(argv)


def _open(incidents: Incidents, parsed: argparse.Namespace) -> int:
    new = NewIncident(
        IncidentSeverity(parsed.severity),
        parsed.service,
        parsed.text,
        parsed.ticket,
        parsed.reporter,
        time_of(parsed.at) if parsed.at else None,
    )
    key = incidents.open(new)
    closing = incidents.scope.command("incident", "close", key, "--text", "TEXT")
    print(f"opened: incident {key} ({new.severity}, {new.service}). When it is over: {closing}")
    return ExitCode.OK


def time_of(text: str) -> datetime:
    """Return a moment that a person typed; raises InputError for one without a time zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InputError(say("--at {text}: expected a moment with its time zone, e.g. 2026-12-09T04:00:00Z", text=text))
    return found


def _list(journal: Journal | None, *, as_json: bool) -> int:
    incidents = read_incidents(journal) if journal else ()
    waits = any(one.is_open and one.severity.restarts_clock for one in incidents)
    if as_json:
        print(json.dumps([_plain(one) for one in incidents], indent=1))
    else:
        _draw(incidents)
    return ExitCode.INCOMPLETE if waits else ExitCode.OK


def _plain(incident: Incident) -> dict[str, Any]:
    found = {**asdict(incident), "open": incident.is_open}
    return json.loads(json.dumps(found, default=lambda one: one.astimezone(UTC).isoformat()))  # type: ignore[no-any-return]


def _draw(incidents: tuple[Incident, ...]) -> None:
    if not incidents:
        print("no incidents on record")
        return
    table = Table("id", "began (UTC)", "severity", "service", "what", "from", "notes", "state")
    for one in incidents:
        what = one.text + (f"\n{one.ticket}" if one.ticket else "")
        state = "open" if one.closed is None else f"closed {one.closed.at.astimezone(UTC):%m-%d %H:%M}"
        began = f"{one.at.astimezone(UTC):%Y-%m-%d %H:%M}"
        table.add_row(
            one.id, began, one.severity, one.service, what, one.reporter or one.by, str(len(one.notes)), state
        )
    open_screen().print(table)
