"""Approvals of one environment: what is to be signed, the texts on record, and whether they are enough."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC
from pathlib import Path
from typing import Any

import rfc8785

from engine.approval import NAMESPACE, Approvals, Signed, Statement, Subject, judge_approvals, parse_statement
from engine.errors import InputError
from engine.journal import Journal
from engine.model import ContainerFacts
from engine.scope import Scope
from moves.signatures import Signer, folder_of, problem_of_signature, sign_statement

SEEN = "source_seen"
"""The journal's record of a source container as preflight saw it."""


def container_digest(container: ContainerFacts) -> str:
    """Return the SHA-256 over what makes a container what it is: image, command, environment, user and mounts.

    Its environment may hold secrets: only this one digest over everything together leaves here.
    """
    config = container.raw.get("Config") or {}
    content: dict[str, Any] = {
        "name": container.name,
        "image": container.image_id,
        "env": dict(container.env),
        "mounts": sorted([mount.kind, mount.source, mount.destination, mount.read_only] for mount in container.mounts),
        **{name: config.get(name) for name in ("Cmd", "Entrypoint", "User", "WorkingDir")},
    }
    return hashlib.sha256(rfc8785.dumps(content)).hexdigest()


def subject_of(scope: Scope, journal: Journal, services: Iterable[str]) -> Subject:
    """Return what an approval must be about now: the files as resolved, and these services' containers as preflight saw them."""
    seen = {service: journal.last(SEEN, service=service) for service in services}
    containers = {service: str(record.body["digest"]) for service, record in seen.items() if record}
    return Subject(scope.environment.environment, scope.digest, scope.parts, containers)


def sign_approval(scope: Scope, statement: Statement, plan_as_read: str, private_key: Path | None) -> Path:
    """Write and sign one approval and return its file; raises InputError for a person who may not sign in that role."""
    path = folder_of(scope.environment.environment) / f"{statement.role}-{statement.person}.txt"
    return sign_statement(scope, path, statement.text(plan_as_read), Signer(NAMESPACE, statement.person, statement.role), private_key)


def approvals_on_record(scope: Scope) -> list[Signed]:
    """Return every approval in the environment's folder, each with why it does not count, if so."""
    return [_signed(path, scope) for path in sorted(folder_of(scope.environment.environment).glob("*.txt"))]


def _signed(path: Path, scope: Scope) -> Signed:
    try:
        statement = parse_statement(path.read_text(encoding="utf-8"), str(path))
    except (InputError, OSError, UnicodeDecodeError) as error:
        return Signed(str(path), None, str(error))
    problem = problem_of_signature(scope, path, Signer(NAMESPACE, statement.person, statement.role))
    if not problem and statement.signed_at.tzinfo is None:
        problem = f"its time {statement.signed_at} has no UTC offset"
    return Signed(str(path), _in_utc(statement), problem)


def _in_utc(statement: Statement) -> Statement:
    at = statement.signed_at
    return Statement(statement.subject, statement.role, statement.person, at.astimezone(UTC) if at.tzinfo else at)


def judge_plan_approved(scope: Scope, journal: Journal, services: Iterable[str]) -> Approvals:
    """Judge whether the plan is approved for these services as everything is now."""
    return judge_approvals(scope.plan.approvals, approvals_on_record(scope), subject_of(scope, journal, services))
