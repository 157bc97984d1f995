"""Signed statements of one environment's people: approvals, waivers and attestations, each by a key allowed for its
role.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from engine.config.scope import Scope
from engine.constants import ENVIRONMENT_PREFIX
from engine.errors import InputError
from engine.finding import say
from engine.project import APPROVALS, STATE
from engine.run.options import LAB
from hosts.local.ssh_signing import KeySigner, open_signer, sign_text, signature_problem

LAB_KEYS: Final = STATE / "lab" / "approvers"
"""Private keys of the lab's throwaway people, one file per role."""


CLOCKS_APART: Final = timedelta(minutes=2)
"""So far apart are the clocks of two people's machines at most."""


def now() -> datetime:
    """Return the time by this machine's clock."""
    return datetime.now(UTC)


def signed_in_future(at: datetime, *, again: str) -> str:
    """Return why a text that says it was signed later than now does not count, empty when it was not; `again` signs it
    anew.
    """
    if at <= now() + CLOCKS_APART:
        return ""
    return say(
        "it says it was signed at {at} UTC, and it is {now} here. Expected: not in the future; one of the two clocks "
        "is wrong. Set it, then sign again: {again}",
        at=f"{at.astimezone(UTC):%Y-%m-%d %H:%M}",
        now=f"{now():%Y-%m-%d %H:%M}",
        again=again,
    )


def folder_of(environment: str) -> Path:
    """Return where an environment's approvals are kept; they belong into version control."""
    return APPROVALS / environment


def need_person(scope: Scope, person: str, role: str | None) -> str:
    """Return the public key of a person who may sign (in a role, if it matters); raises InputError naming who may."""
    name = scope.environment.environment
    approver = scope.environment.approvers.get(person)
    if approver is None or (role is not None and role not in approver.roles):
        may = ", ".join(f"{one} ({', '.join(its.roles)})" for one, its in scope.environment.approvers.items()) or say(
            "nobody"
        )
        asked, what = (f" --role {role}", say("an approver in that role")) if role else ("", say("an approver"))
        raise InputError(
            f"--as {person}{asked}: not {what} of environment {name}. Known: {may}. They are in "
            f"environments/{name}.yaml, approvers"
        )
    return approver.key


@dataclass(frozen=True)
class Signer:
    """Who signs, what kind of statement, and in which role if that matters."""

    namespace: str
    person: str
    role: str | None = None


def sign_statement(scope: Scope, path: Path, text: str, by: Signer, private_key: Path | None) -> Path:
    """Write a text and its signature and return its file; raises InputError for a person who may not sign it."""
    public_key = need_person(scope, by.person, by.role)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    sign_text(path, by.namespace, public_key, private_key)
    return path


def problem_of_signature(scope: Scope, path: Path, by: Signer) -> str:
    """Return why a signed text does not count, empty when it is signed by that person, who may in that role."""
    approvers = scope.environment.approvers
    problem = signature_problem(path, by.namespace, by.person, {one: its.key for one, its in approvers.items()})
    if not problem and by.role is not None and by.role not in approvers[by.person].roles:
        problem = say("{person} may not sign as {role}", person=by.person, role=by.role)
    return problem


def people_of_lab(scope: Scope) -> list[tuple[str, str, Path]]:
    """Return the lab's throwaway people with their role and private key; none in another environment."""
    if scope.environment.environment != LAB:
        return []
    return [(person, one.roles[0], LAB_KEYS / one.roles[0]) for person, one in scope.environment.approvers.items()]


SIGN_KEY: Final = "--sign-key"


VARIABLE: Final = f"{ENVIRONMENT_PREFIX}SIGNING_KEY"


def signer_of(key: Path | None) -> KeySigner | None:
    """Return who signs, None when no key is given; raises InputError for a file that holds none."""
    named = key or os.environ.get(VARIABLE)
    return open_signer(Path(named)) if named else None
