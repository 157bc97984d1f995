"""A preflight as its runbooks leave it behind: a row of every step of this version."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from engine.config.scope import Scope
from engine.journal.journal import Run
from phases.context.required_results import steps_of


def rows_of(
    scope: Scope, services: Collection[str], phase: str = "preflight", without: Collection[str] = ()
) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield key, service and host of each row, hosts first."""
    steps = [step for step in steps_of(phase) if step.key not in without]
    yield from ((step.key, None, host) for step in steps if step.about == "host" for host in scope.hosts)
    yield from ((step.key, None, None) for step in steps if step.about == "all")
    yield from ((step.key, service, None) for service in services for step in steps if step.about == "service")


def record_rows(
    run: Run, scope: Scope, services: Collection[str], phase: str = "preflight", without: Collection[str] = ()
) -> None:
    """Record a row that PASSED of every step."""
    body: dict[str, Any] = {"phase": phase, "severity": "blocker", "verdict": "PASSED", "text": "ok"}
    for key, service, host in rows_of(scope, services, phase, without):
        run.record("result", service=service, key=key, body={**body, "host": host})
