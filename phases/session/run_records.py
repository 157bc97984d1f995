"""What a run is about, written into the journal: the page is drawn from there alone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterable

from engine.errors import NotObservedError
from engine.finding import recorded
from engine.journal.kinds import RecordKind
from phases.context.run_context import RunContext
from phases.signoff.approvals import source_body, toolbox_of


def record_scope(context: RunContext) -> None:
    """Write what this run is about into the journal: the page is drawn from there alone."""
    scope, run = context.scope, context.run
    moves = [
        move.model_dump(mode="json", include={"service", "source", "target", "wave", "strategy"})
        for move in scope.moves
    ]
    run.record(
        RecordKind.SCOPE,
        body={"title": scope.plan.title, "moves": moves, "simulated": list(scope.environment.simulated)},
    )
    for text in scope.not_applicable:
        run.record(RecordKind.STEP_SKIPPED, body=recorded(text))


def record_looked_at(context: RunContext, command: str, hosts: Iterable[str], services: Collection[str]) -> None:
    """Write down how hosts were found, and which containers of services are to be moved: an approval is for exactly
    these hosts and containers.
    """
    scope, run = context.scope, context.run
    for host, found in context.fleet.gather(tuple(hosts)).items():
        facts = (
            {}
            if isinstance(found, NotObservedError)
            else {
                "docker_version": found.docker_version,
                "os": found.os_name,
                "kernel": found.kernel,
                "containers": len(found.containers),
            }
        )
        error = str(found) if isinstance(found, NotObservedError) else ""
        identity = scope.environment.hosts[host]
        key = hashlib.sha256(base64.b64decode(identity.ssh_host_key.split()[1])).digest()
        fingerprint = "SHA256:" + base64.b64encode(key).decode().rstrip("=")
        if command == "preflight" and not isinstance(found, NotObservedError):
            run.record(RecordKind.TOOLBOX_SEEN, key=host, body={"image": toolbox_of(found)})
        run.record(
            RecordKind.HOST_OBSERVED,
            body={
                "name": host,
                "address": identity.address,
                "ssh_key_fingerprint": fingerprint,
                "error": error,
                **facts,
            },
        )
    if command == "preflight":
        _record_sources(context, services)


def _record_sources(context: RunContext, services: Collection[str]) -> None:
    for move in context.scope.moves:
        if move.service not in services:
            continue
        try:
            container = context.container(move.service, move.source)
        except NotObservedError:
            continue  # preflight says so in rows of its own
        context.run.record(RecordKind.SOURCE_OBSERVED, service=move.service, body=source_body(container))
