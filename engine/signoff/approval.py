"""Approvals: the text that a person reads and signs, and the judgement whether those on record are enough.

What is signed is a plain text: a head of `name: value` lines that is compared, an empty line, and the plan as a person
reads it. The head holds digests of the three files as resolved and of each source container as preflight saw it, so a
later change of what matters voids the approval and says which part changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from engine.command_line import ANY, typed_command
from engine.config.plan import Approval
from engine.config.public_keys import key_material
from engine.constants import NAME, VERSION
from engine.errors import InputError
from engine.finding import joined, say
from engine.signoff.signed_text import read_statement, statement_text

FORMAT: Final = f"{NAME} approval 1"
NAMESPACE: Final = f"{NAME}-approval"
"""Of the signatures: one made for another purpose is none."""

PART: Final = "part "
CONTAINER: Final = "container "
TOOLBOX: Final = "toolbox "


@dataclass(frozen=True)
class Subject:
    """What an approval is about: an environment, the digest of all, of each part, of each source container, of the code
    that runs.

    `code` is "" where uncommitted code may run; `toolboxes` holds the id of the toolbox image by host.
    """

    environment: str
    digest: str
    parts: Mapping[str, str]
    containers: Mapping[str, str]
    code: str = ""
    toolboxes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Statement:
    """One approval: who, in which role, when (by the signer's own clock), about what."""

    subject: Subject
    role: str
    person: str
    signed_at: datetime

    def text(self, plan_as_read: str) -> str:
        """Return the text that is signed."""
        subject = self.subject
        head = {
            "environment": subject.environment,
            "digest": subject.digest,
            **{PART + name: digest for name, digest in sorted(subject.parts.items())},
            **{CONTAINER + name: digest for name, digest in sorted(subject.containers.items())},
            **{TOOLBOX + name: image for name, image in sorted(subject.toolboxes.items())},
            "code": subject.code,
            "role": self.role,
            "person": self.person,
            "signed at": self.signed_at.isoformat(timespec="seconds"),
            "written by": f"{NAME} {VERSION}",
        }
        return statement_text(FORMAT, head, plan_as_read)


def parse_statement(text: str, where: str) -> Statement:
    """Return what a text of `Statement.text` says; raises InputError naming `where`."""
    fields = read_statement(text, FORMAT, where, "approve")
    try:
        code = fields.get("code", "").removeprefix("-")
        containers, toolboxes = _below(fields, CONTAINER), _below(fields, TOOLBOX)
        subject = Subject(fields["environment"], fields["digest"], _below(fields, PART), containers, code, toolboxes)
        return Statement(subject, fields["role"], fields["person"], datetime.fromisoformat(fields["signed at"]))
    except (KeyError, ValueError) as error:
        again = typed_command("approve", environment=ANY)
        raise InputError(
            say(
                "{where}: {error} is missing or wrong. Expected: an approval as it was signed. Sign again: {again}",
                where=where,
                error=error,
                again=again,
            )
        ) from error


def _below(fields: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): value for name, value in fields.items() if name.startswith(prefix)}


@dataclass(frozen=True)
class Signed:
    """A statement on record: what it says, and why it does not count (empty when its signature is good)."""

    name: str
    statement: Statement | None
    problem: str = ""


@dataclass
class Approvals:
    """The judgement: who approved, and what is missing or wrong."""

    valid: list[Statement] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return who approved, in words."""
        return joined(
            ", ",
            (
                say(
                    "{person} ({role}, {signed_at} UTC by the signer's clock)",
                    person=one.person,
                    role=one.role,
                    signed_at=f"{one.signed_at:%Y-%m-%d %H:%M}",
                )
                for one in self.valid
            ),
        )


def judge_approvals(
    needed: Iterable[Approval], on_record: Iterable[Signed], now: Subject, keys: Mapping[str, str] | None = None
) -> Approvals:
    """Judge whether enough different people signed exactly what would be done now; `keys` are their public keys: one
    key is one person.
    """
    found = Approvals()
    void: list[str] = []
    for signed in on_record:
        statement = signed.statement
        if signed.problem or statement is None:
            void.append(f"{signed.name}: {signed.problem}")
        elif changes := changes_since(statement, now):
            void.append(
                f"{statement.role} approval by {statement.person} of {statement.signed_at:%Y-%m-%d %H:%M} is "
                f"void: {changes}"
            )
        else:
            found.valid.append(statement)
    one_of = {one.person: _key_of(one.person, keys or {}) for one in found.valid}
    for approval in needed:
        people = {one_of[one.person] for one in found.valid if one.role == approval.role}
        if len(people) < approval.count:
            again = typed_command("approve", "--role", approval.role, environment=now.environment)
            found.problems.append(
                f"{approval.role} approval: {len(people)} of {approval.count} people signed this plan. Try: {again}"
            )
    found.problems += _twice(found.valid, one_of)
    if found.problems:
        found.problems += void
    return found


def _twice(valid: Iterable[Statement], key_of: Mapping[str, str]) -> Iterator[str]:
    """Yield who filled two roles, and who share a key."""
    roles: dict[str, set[str]] = {}
    owners: dict[str, set[str]] = {}
    for one in valid:
        roles.setdefault(one.person, set()).add(one.role)
        owners.setdefault(key_of[one.person], set()).add(one.person)
    for person, filled in roles.items():
        if len(filled) > 1:
            yield f"{person} signed as {' and '.join(sorted(filled))}. Expected: one person fills one role"
    for people in owners.values():
        if len(people) > 1:
            yield f"{' and '.join(sorted(people))} signed with one key. Expected: one key is one person"


def _key_of(person: str, keys: Mapping[str, str]) -> str:
    """Return what identifies a person: the key itself, without its kind; the name where no key is known."""
    return key_material(keys[person]) if person in keys else person


def changes_since(statement: Statement, now: Subject) -> str:
    """Return what changed since a statement was signed, empty when nothing that matters did."""
    then = statement.subject
    if then.environment != now.environment:
        return f"it is for environment {then.environment}, not {now.environment}"
    changed = sorted(name for name in {*then.parts, *now.parts} if then.parts.get(name) != now.parts.get(name))
    seen = sorted(name for name, digest in now.containers.items() if then.containers.get(name) != digest)
    words = [f"{', '.join(changed)} changed since"] if changed else []
    words += [f"the container of {', '.join(seen)} is another than the one that preflight had shown"] if seen else []
    others = sorted(host for host, image in now.toolboxes.items() if then.toolboxes.get(host) != image)
    words += [f"the toolbox image on {', '.join(others)} is another"] if others else []
    words += ["the code that runs is other code"] if then.code != now.code else []
    if not words and then.digest != now.digest:
        words.append("it is for another plan")
    return "; ".join(words)
