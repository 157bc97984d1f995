"""Approvals of one environment: what is to be signed, the texts on record, and whether they are enough."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any

from checks.containers.configuration import configuration_digest, privileges_of
from engine.config.scope import Scope
from engine.constants import TOOLBOX_IMAGE
from engine.contracts.container import ContainerFacts
from engine.errors import InputError
from engine.finding import say
from engine.journal.journal import Journal
from engine.journal.kinds import RecordKind
from engine.project import OWN_CHECKS, project_folder
from engine.run.options import LAB
from engine.signoff.approval import NAMESPACE, Approvals, Signed, Statement, Subject, judge_approvals, parse_statement
from hosts.facts.model import HostFacts
from hosts.local.git import read_code_digest
from phases.signoff.signatures import Signer, folder_of, problem_of_signature, sign_statement, signed_in_future


def container_digest(container: ContainerFacts) -> str:
    """Return the SHA-256 over all that a container is configured to be; see checks.configuration."""
    return configuration_digest(container)


def source_body(container: ContainerFacts) -> dict[str, Any]:
    """Return the journal's record of a source container as it is now."""
    return {
        "digest": container_digest(container),
        "image": container.image_id,
        "privileges": list(privileges_of(container.raw)),
    }


def subject_of(scope: Scope, journal: Journal, services: Iterable[str]) -> Subject:
    """Return what an approval must be about now: files as resolved, code, and containers and toolboxes as preflight saw
    them.
    """
    services = tuple(services)
    seen = {service: journal.last(RecordKind.SOURCE_OBSERVED, service=service) for service in services}
    containers = {service: str(record.body["digest"]) for service, record in seen.items() if record}
    code = code_digest(scope.environment.own_checks) if scope.environment.require_clean_checkout else ""
    return Subject(
        scope.environment.environment,
        scope.digest,
        scope.parts,
        containers,
        code,
        toolboxes_seen(scope, journal, services),
    )


@cache
def code_digest(own: str = OWN_CHECKS) -> str:
    """Return the digest of the code as this process found it; `own` is the project's folder of own checks."""
    return read_code_digest(own=project_folder() / own)


def toolboxes_seen(scope: Scope, journal: Journal, services: Iterable[str]) -> dict[str, str]:
    """Return the toolbox image that preflight saw on each host of these services' moves."""
    wanted = set(services)
    hosts = {host for move in scope.plan.moves if move.service in wanted for host in (move.source, move.target)}
    seen = {host: journal.last(RecordKind.TOOLBOX_SEEN, key=host) for host in sorted(hosts)}
    return {host: str(record.body["image"]) for host, record in seen.items() if record and record.body["image"]}


def privileges_seen(journal: Journal, service: str) -> tuple[str, ...]:
    """Return what preflight saw a service's container do on its host beyond an ordinary one."""
    record = journal.last(RecordKind.SOURCE_OBSERVED, service=service)
    return tuple(map(str, record.body.get("privileges") or ())) if record else ()


def toolbox_of(facts: HostFacts) -> str:
    """Return the id of the toolbox image on a host, "" when there is none."""
    return next((image.id for image in facts.images if TOOLBOX_IMAGE in image.tags), "")


def sign_approval(scope: Scope, statement: Statement, plan_as_read: str, private_key: Path | None) -> Path:
    """Write and sign one approval and return its file; raises InputError for a person who may not sign in that role."""
    path = folder_of(scope.environment.environment) / f"{statement.role}-{statement.person}.txt"
    return sign_statement(
        scope, path, statement.text(plan_as_read), Signer(NAMESPACE, statement.person, statement.role), private_key
    )


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
        problem = say("its time {signed_at} has no UTC offset", signed_at=statement.signed_at)
    problem = problem or signed_in_future(statement.signed_at, again=scope.command("approve", "--role", statement.role))
    return Signed(str(path), _in_utc(statement), problem)


def _in_utc(statement: Statement) -> Statement:
    at = statement.signed_at
    return Statement(statement.subject, statement.role, statement.person, at.astimezone(UTC) if at.tzinfo else at)


def judge_plan_approved(scope: Scope, journal: Journal, services: Iterable[str]) -> Approvals:
    """Judge whether the plan is approved for these services as everything is now; outside the lab somebody has to."""
    approvers = scope.environment.approvers
    keys = {person: approver.key for person, approver in approvers.items()}
    found = judge_approvals(
        scope.plan.approvals, approvals_on_record(scope), subject_of(scope, journal, services), keys
    )
    if not scope.plan.approvals and scope.environment.environment != LAB:
        found.problems.append(
            "approvals: the plan asks nobody. Expected outside the lab: at least one person. Add them to its approvals"
        )
    return found
