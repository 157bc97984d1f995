"""Sign off a manual step: attest STEP --environment NAME --as EMAIL --note … [--file F].

Without STEP it lists what is asked; `attest --lab` alone lets one of the lab's throwaway people attest everything.
"""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path
from typing import Final

from rich.table import Table

from engine.config.scope import Scope
from engine.errors import InputError
from engine.finding import say
from engine.journal.journal import Journal
from engine.redaction.guarded_console import open_screen
from engine.run.options import add_flags, read_options
from engine.verdict import ExitCode
from phases.context.open_journal import find_journal
from phases.context.scope_files import load_scope
from phases.signoff.attestations import Attested, attest, new_attestation, read_attested
from phases.signoff.manual_steps import ManualRequest, TooEarlyError, asked, manual_requests, refuse_other, since_when
from phases.signoff.signatures import people_of_lab

REHEARSED: Final = "a rehearsal: done by nobody"


def main(argv: list[str]) -> int:
    """Sign off one step, or list all; exit 2 while a listed step is pending."""
    parser = argparse.ArgumentParser(prog="attest", description=__doc__)
    parser.add_argument("step", nargs="?", help="phase/key, e.g. prepare/teams-notified")
    parser.add_argument("--service", help="service that the step was done for, if it is about one service")
    parser.add_argument(
        "--as",
        dest="person",
        metavar="EMAIL",
        help="the person who did it and signs, one of the environment's approvers",
    )
    parser.add_argument("--note", default="", help="what was done")
    parser.add_argument("--file", type=Path, help="proof: a screenshot, a mail")
    parser.add_argument("--key", type=Path, help="private key; default: the key in ~/.ssh or in the agent")
    parser.add_argument("--show", action="store_true", help="only print the step's text")
    add_flags(parser.add_argument, "--environment", "--lab", "--inventory", "--plan", "--state")
    parsed = parser.parse_args(argv)
    options = read_options(lambda name: None if name == "service" else getattr(parsed, name, None), argv)
    scope = load_scope(options)
    journal = find_journal(options)
    if parsed.step is None:
        return _all(scope, journal)
    one = asked(parsed.step, parsed.service)
    refuse_other(scope, one)
    if parsed.show:
        print(one.text(scope))
        return ExitCode.OK
    if not parsed.person:
        raise InputError(say("attest: step {step}: expected --as EMAIL: a person signs for it", step=one.step.step))
    since_when(one, journal, scope.services)
    attestation = new_attestation(scope, one, parsed.person, parsed.note, parsed.file)
    print(f"signed: {attest(scope, one, attestation, parsed.file, parsed.key)} ({parsed.person}: {parsed.note})")
    return ExitCode.OK


def _all(scope: Scope, journal: Journal | None) -> int:
    """List every manual step; in the lab its people attest what waits."""
    table, waits = Table("step", "of", "attested"), 0
    for one in manual_requests(scope):
        try:
            since = since_when(one, journal, scope.services)
        except TooEarlyError:
            state = "not yet: after the move"
        else:
            found = _rehearsed(scope, one, since)
            waits += found.attestation is None
            state = found.attestation.summary() if found.attestation else "; ".join(found.void) or "nobody yet"
        table.add_row(one.step.step, one.service or "all", state)
    open_screen().print(table)
    return ExitCode.INCOMPLETE if waits else ExitCode.OK


def _rehearsed(scope: Scope, one: ManualRequest, since: datetime | None) -> Attested:
    """Return what is on record about a step, once the lab's people attested it where this is the lab."""
    found = read_attested(scope, one, since)
    willing = [(person, key) for person, role, key in people_of_lab(scope) if one.step.role in {None, role}]
    if found.attestation or not willing:
        return found
    person, key = willing[0]
    attest(scope, one, new_attestation(scope, one, person, REHEARSED, None), None, key)
    return read_attested(scope, one, since)
