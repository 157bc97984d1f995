"""Sign the current plan in one role, with your ssh key: approve --environment NAME --as EMAIL --role ROLE [--key FILE],
or approve --lab.

The whole plan is signed; --service and --wave say whose containers must have been seen by preflight.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from engine.config.scope import Scope
from engine.errors import InputError, RefusedError
from engine.finding import joined, say
from engine.journal.journal import Journal
from engine.redaction.redactor import Redactor
from engine.run.options import LAB, add_flags, read_options
from engine.signoff.approval import Statement
from phases.context.open_journal import open_journal
from phases.context.scope_files import load_scope
from phases.gates.gates import preflight_problems
from phases.signoff.approvals import judge_plan_approved, privileges_seen, sign_approval, subject_of
from phases.signoff.plan_text import render_plan
from phases.signoff.signatures import people_of_lab


def main(argv: list[str]) -> int:
    """Show the plan, sign it as one person in one role, and say what is still missing."""
    parser = argparse.ArgumentParser(prog="approve", description=__doc__)
    add_flags(parser.add_argument, "--environment", "--lab", "--inventory", "--plan", "--service", "--wave", "--state")
    parser.add_argument("--as", dest="person", metavar="EMAIL", help="the signer, one of the environment's approvers")
    parser.add_argument("--role", choices=("technical", "business"), help="role in which the person signs")
    parser.add_argument("--key", type=Path, help="private key; default: the key in ~/.ssh or in the agent")
    parsed = parser.parse_args(argv)
    options = read_options(lambda name: getattr(parsed, name, None), argv)
    scope = load_scope(options)
    journal = open_journal(options, Redactor(), scope)
    seen = {move.service: privileges_seen(journal, move.service) for move in scope.plan.moves}
    print(render_plan(scope, seen))
    signers = _signers(scope, parsed.person, parsed.role, parsed.key)
    services = [move.service for move in scope.moves]
    _refuse_unseen(scope, journal, services)
    subject = subject_of(scope, journal, [*services, *_seen_before(scope, journal, services)])
    for person, role, key in signers:
        statement = Statement(subject, role, person, datetime.now(UTC))
        print(f"signed: {sign_approval(scope, statement, render_plan(scope, seen), key)} ({person}, {role})")
    found = judge_plan_approved(scope, journal, services)
    print(f"digest: {subject.digest}")
    print(
        "\n".join(found.problems)
        if found.problems
        else f"approved by {found.text()}. Next: {scope.command('migrate', apply=True)}"
    )
    return 0


def _signers(
    scope: Scope, person: str | None, role: str | None, key: Path | None
) -> list[tuple[str, str, Path | None]]:
    """Return who signs: the person named, or in the lab its two throwaway people, one after the other."""
    if scope.environment.environment == LAB and not person and not role:
        return [*people_of_lab(scope)]
    if not person or not role:
        raise InputError(say("approve: expected --as EMAIL and --role technical|business: a person signs in one role"))
    return [(person, role, key)]


def _refuse_unseen(scope: Scope, journal: Journal, services: list[str]) -> None:
    """Raise RefusedError when no preflight of this plan passed: nobody should sign what was not looked at."""
    problems = [line for service in services for line in preflight_problems(service, scope, journal, datetime.now(UTC))]
    begun = [service for service in services if journal.move_state(service) != "planned"]
    wrong = [line for line in problems if line.partition(":")[0] not in begun]
    if wrong:
        raise RefusedError(
            joined(
                "\n",
                [
                    say("approve: refused, nothing was signed"),
                    *(f"  {line}" for line in wrong),
                    say("Try: {command}", command=scope.command("preflight")),
                ],
            )
        )


def _seen_before(scope: Scope, journal: Journal, services: list[str]) -> list[str]:
    """Return the plan's other services whose preflight still counts: signing for some takes nothing back from the
    others.
    """
    others = [
        move.service for move in scope.plan.moves if move.service in scope.services and move.service not in services
    ]
    return [service for service in others if not preflight_problems(service, scope, journal, datetime.now(UTC))]
