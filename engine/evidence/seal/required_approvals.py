"""Whether a run was made under the approvals that its own plan asks for, each by the key that its environment names for
that person.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.contracts.move_state import MoveState
from engine.contracts.phase import APPROVED_PHASES
from engine.errors import InputError
from engine.evidence.facts.other_runs import Kept
from engine.evidence.seal.sealed_folder import APPROVALS, PLAN, RECORDS, Sealed
from engine.evidence.seal.signed_files import SignatureReader, signed_by
from engine.journal.kinds import RecordKind
from engine.journal.record import Record
from engine.signoff.approval import NAMESPACE as APPROVAL
from engine.signoff.approval import Statement, parse_statement
from engine.verdict import Effect, Verdict

LAB: Final = "lab"
MIGRATION_PLAN: Final = "migration_plan.json"
GUARDED: Final = frozenset(APPROVED_PHASES)
FORWARD: Final = frozenset(state.value for state in MoveState if state.is_forward)
BEGINS: Final = frozenset({RecordKind.PLAN_FROZEN, RecordKind.REPOINT_STARTED})
DONE: Final = frozenset({Verdict.PASSED.value, Verdict.FAILED.value, Verdict.UNKNOWN.value})


@dataclass(frozen=True)
class Approver:
    """A person of the sealed environment: in which roles they may sign, and the fingerprint of their key."""

    roles: tuple[str, ...]
    fingerprint: str


def plan_problems(sealed: Sealed, records: Sequence[Record]) -> Iterator[str]:
    """Yield the parts of the plan that are missing; one that held what looks like a secret was never kept, and is named
    by the run.
    """
    plan = next((record.body for record in records if record.kind == RecordKind.PLAN), None)
    if plan is None:
        if records[0].body.get("command") in GUARDED and records[0].body.get("environment") != LAB:
            yield f"{RECORDS}: names no plan. Expected: the digests of the plan's files, with which the run was made"
        return
    for name in plan.get("parts") or {}:
        if f"{PLAN}/{name}" not in sealed.files and name not in (plan.get("left_out") or ()):
            yield f"{PLAN}/{name}: not there. Expected: the part of the plan with which the run was made"


def left_out(records: Sequence[Record]) -> list[str]:
    """Return the parts of the plan that were not kept, by the run's own word: nobody can compare what it was approved
    with.
    """
    return [
        str(name) for record in records if record.kind == RecordKind.PLAN for name in record.body.get("left_out") or ()
    ]


def approvers_of(sealed: Sealed, records: Sequence[Record]) -> dict[str, Approver] | None:
    """Return the people of the sealed environment part, None when it names none or is not there."""
    part = _json(sealed, f"{records[0].body.get('environment')}.yaml")
    people = part.get("approvers") if isinstance(part, dict) else None
    if not isinstance(people, dict):
        return None
    return {
        str(person): Approver(tuple(map(str, its.get("roles") or ())), fingerprint_of(str(its.get("key"))))
        for person, its in people.items()
    }


def fingerprint_of(public_key: str) -> str:
    """Return a public key's fingerprint as ssh-keygen -l shows it, "" for what is no key."""
    try:
        material = base64.b64decode(public_key.split()[1], validate=True)
    except (IndexError, binascii.Error, ValueError):
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(material).digest()).decode().rstrip("=")


def approval_problems(
    sealed: Sealed, records: Sequence[Record], kept: Kept, signatures: SignatureReader
) -> Iterator[str]:
    """Yield who signed with another key or in a role that is not theirs, and which approvals of the plan
    are missing.
    """
    approvers = approvers_of(sealed, records)
    valid: list[tuple[Statement, str]] = []
    for name, statement in _statements(sealed):
        fingerprint = signatures.read(sealed.files[name], sealed.files.get(f"{name}.sig", b""), APPROVAL).fingerprint
        wrong = (
            list(wrong_key(name, statement.person, statement.role, fingerprint, approvers))
            if approvers is not None
            else []
        )
        yield from wrong
        if fingerprint and not wrong:
            valid.append((statement, fingerprint))
    for name, person, fingerprint in signed_by(sealed, signatures) if approvers is not None else ():
        yield from wrong_key(name, person, None, fingerprint, approvers or {})
    if new := _begun_here(records, kept):
        yield from _missing(sealed, records, new, valid, approvers)


def _statements(sealed: Sealed) -> Iterator[tuple[str, Statement]]:
    for name in sorted(name for name in sealed.files if name.startswith(f"{APPROVALS}/") and not name.endswith(".sig")):
        try:
            yield name, parse_statement(sealed.text(name), name)
        except InputError:
            continue  # reported with the other signed texts


def wrong_key(
    name: str, person: str, role: str | None, fingerprint: str, approvers: Mapping[str, Approver]
) -> Iterator[str]:
    """Yield why a person did not sign by the environment's word: not listed, not in that role, or with another key."""
    known = approvers.get(person)
    if known is None:
        yield (
            f"{name}: {person} is not among the approvers of the sealed environment. Expected: one of "
            f"{', '.join(approvers) or 'nobody'}"
        )
        return
    if role is not None and role not in known.roles:
        yield (
            f"{name}: {person} may not sign as {role}. Expected: {' or '.join(known.roles)}, as the sealed "
            "environment says"
        )
    if fingerprint and fingerprint != known.fingerprint:
        yield (
            f"{name}: signed with key {fingerprint}. Expected: {known.fingerprint or 'a key'}, {person}'s in the "
            "sealed environment"
        )


def _begun_here(records: Sequence[Record], kept: Kept) -> list[str]:
    """Return the services whose move, or re-pointing, this run began: those that continue were approved when
    they began.
    """
    if records[0].body.get("command") not in GUARDED:
        return []
    changed = {str(record.service) for record in records if record.service and _is_action(record)}
    begins = {str(record.service) for record in records if record.kind in BEGINS}
    before = {
        record.service: str(record.body.get("state"))
        for record in kept.records(kind=RecordKind.MOVE_STATE)
        if record.run_id != records[0].run_id
    }
    if records[0].body.get("command") == "repoint":
        return sorted(begins)
    return sorted(begins | {service for service in changed if before.get(service) not in FORWARD})


def _is_action(record: Record) -> bool:
    changes = record.body.get("effect") in {Effect.CHANGES_STATE.value, Effect.IRREVERSIBLE.value}
    return changes and (
        record.kind == RecordKind.INTENT or (record.kind == RecordKind.RESULT and record.body.get("verdict") in DONE)
    )


def _missing(
    sealed: Sealed,
    records: Sequence[Record],
    new: Iterable[str],
    valid: Sequence[tuple[Statement, str]],
    approvers: Mapping[str, Approver] | None,
) -> Iterator[str]:
    plan = _json(sealed, MIGRATION_PLAN)
    needed = plan.get("approvals") or [] if isinstance(plan, dict) else []
    what = f"with which the move of {', '.join(new)} began"
    if not needed and records[0].body.get("environment") != LAB:
        yield f"{PLAN}/{MIGRATION_PLAN}: asks nobody to approve. Expected outside the lab: at least one person, {what}"
    if needed and approvers is None:
        yield (
            f"{PLAN}/{records[0].body.get('environment')}.yaml: names no approvers. Expected: the keys of those "
            f"whom the plan asks, {what}"
        )
    for one in needed:
        role, count = str(one.get("role")), int(one.get("count") or 1)
        keys = {fingerprint for statement, fingerprint in valid if statement.role == role}
        if len(keys) < count:
            yield (
                f"{APPROVALS}/: {len(keys)} of {count} {role} approvals that count. Expected: those that the plan "
                f"asks for, {what}"
            )
    roles: dict[str, set[str]] = {}
    for statement, fingerprint in valid:
        roles.setdefault(fingerprint, set()).add(statement.person)
    yield from (f"{APPROVALS}/: {' and '.join(sorted(people))} signed with one key. Expected: one key is one person"
                for people in roles.values() if len(people) > 1)  # fmt: skip


def _json(sealed: Sealed, name: str) -> Any:
    try:
        return json.loads(sealed.text(f"{PLAN}/{name}"))
    except (ValueError, RecursionError):
        return None
