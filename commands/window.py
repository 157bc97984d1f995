"""Print the maintenance window: window show | ics --lab | --environment NAME. `ics` writes an invitation for
everybody's calendar.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from engine.config.scope import Scope
from engine.errors import InputError
from engine.finding import say
from engine.project import REPORTS
from engine.run.options import Options, add_flags, read_options
from engine.signoff.approval import Approvals
from engine.verdict import ExitCode
from phases.context.open_journal import find_journal
from phases.context.scope_files import load_scope
from phases.signoff.approvals import judge_plan_approved
from phases.signoff.calendar import describe_now, describe_window, invitation


def main(argv: list[str]) -> int:
    """Say the window in words, or write it as an iCalendar file."""
    parser = argparse.ArgumentParser(prog="window", description=__doc__)
    parser.add_argument("what", choices=("show", "ics"))
    parser.add_argument("--output", type=Path, help="file that ics writes; default: reports/ENVIRONMENT/window.ics")
    parser.add_argument(
        "--organizer", metavar="EMAIL", help="organizer of the invitation; the approvers become its attendees"
    )
    add_flags(parser.add_argument, "--environment", "--lab", "--inventory", "--plan", "--state")
    parsed = parser.parse_args(argv)
    options = read_options(lambda name: getattr(parsed, name, None), argv)
    scope, now = load_scope(options), datetime.now(UTC)
    approvals = _approvals(options, scope)
    if parsed.what == "show":
        print("\n".join([*describe_window(scope, approvals), describe_now(scope, now)]))
        return ExitCode.OK
    file = parsed.output or REPORTS / options.environment / "window.ics"
    content = invitation(scope, approvals, now, parsed.organizer)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_bytes(content)
    except OSError as error:
        raise InputError(
            say(
                "{file}: can't be written: {strerror}. Expected: a place for the invitation. Give another with "
                "--output",
                file=file,
                strerror=error.strerror,
            )
        ) from error
    print(
        f"written: {file}. Once it is in the shared calendar: "
        f"{scope.command('attest', 'prepare/calendar-entry', '--as', 'EMAIL')}"
    )
    return ExitCode.OK


def _approvals(options: Options, scope: Scope) -> Approvals:
    """Return who approved the plan as it is now; without a journal no container was seen, and nobody could."""
    journal = find_journal(options)
    return judge_plan_approved(scope, journal, [move.service for move in scope.moves]) if journal else Approvals()
