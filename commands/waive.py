"""Accept a failing check until a date: sign your entries in waivers.yaml. waive --environment NAME --as EMAIL [--key
FILE], or waive --lab.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.table import Table

from engine.config.scope import Scope
from engine.errors import InputError
from engine.finding import say
from engine.redaction.guarded_console import open_screen
from engine.run.options import add_flags, read_options
from engine.signoff.waiver import DEFAULT, Waiver
from engine.verdict import ExitCode
from phases.context.scope_files import load_scope
from phases.signoff.signatures import need_person, people_of_lab
from phases.signoff.waivers import list_waivers, sign_waivers, signing_problem


def main(argv: list[str]) -> int:
    """Sign what is to be signed by this person, and show every waiver of the environment with what it lacks."""
    parser = argparse.ArgumentParser(prog="waive", description=__doc__)
    add_flags(parser.add_argument, "--environment", "--lab", "--inventory", "--plan", "--waivers")
    parser.add_argument(
        "--as",
        dest="person",
        metavar="EMAIL",
        help="the signer; without it nothing is signed (in the lab: its two people)",
    )
    parser.add_argument("--key", type=Path, help="private key; default: the key in ~/.ssh or in the agent")
    parsed = parser.parse_args(argv)
    options = read_options(lambda name: getattr(parsed, name, None), argv)
    scope = load_scope(options)
    waivers = list_waivers(options, scope)
    if not waivers:
        raise InputError(
            say(
                "{waivers}: no waiver of environment {environment}. Expected: at least one. Nothing to sign",
                waivers=options.waivers or DEFAULT,
                environment=options.environment,
            )
        )
    if parsed.person:
        need_person(scope, parsed.person, None)
    signers = (
        [(parsed.person, parsed.key)] if parsed.person else [(person, key) for person, _, key in people_of_lab(scope)]
    )
    for person, key in signers:
        for file in sign_waivers(scope, waivers, person, key):
            print(f"signed: {file} ({person})")
    return _show(scope, waivers)


def _show(scope: Scope, waivers: list[Waiver]) -> int:
    table, lacking = Table("step", "of", "reason", "risk", "approver", "until", "signature"), 0
    for one in waivers:
        problem = signing_problem(scope, one)
        lacking += bool(problem)
        about = one.service or one.host or "all"
        table.add_row(
            one.step,
            about,
            one.reason,
            one.risk,
            f"{one.approver} ({one.role})",
            f"{one.expires_at:%Y-%m-%d %H:%M %z}",
            problem or "good",
        )
    open_screen().print(table)
    return ExitCode.INCOMPLETE if lacking else ExitCode.OK
