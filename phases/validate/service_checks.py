"""Questions of validate about one moved service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actions.container_spec.saved_spec import read_recorded
from actions.references.text_edit import with_variables
from checks.containers.kept_source import judge_source_stays_stopped
from checks.containers.logs import judge_logs as judge_lines
from checks.containers.logs import read_since_start
from checks.containers.recreated import judge_fidelity
from checks.hosts import dns
from engine.contracts.fingerprint import Validity
from engine.contracts.move_state import MoveState
from engine.saga.saga import NotRun
from engine.verdict import Judgement, failed, passed, unknown
from phases.assess import health
from phases.context import service_facts
from phases.context.link_state import variables_repointed
from phases.context.run_context import RunContext
from services.fingerprints.compare import compare_fingerprints


def refuse_unmoved(context: RunContext, service: str) -> None:
    """Raise NotRun for a service that is not on its target by the journal: what it serves from is not what these
    questions are about.
    """
    state = MoveState(context.journal.move_state(service))
    if not state.serves_target:
        told = "was not moved" if state in {MoveState.PLANNED, MoveState.PREPARED} else f"is {state.words}, not moved"
        raise NotRun(f"not run: {service} {told}; only a move that is committed or done is validated")


def _target(context: RunContext, service: str) -> str:
    return context.move_of(service).target


def judge_container(context: RunContext, service: str) -> Judgement:
    """Judge whether the container runs on its target, is healthy and has not restarted."""
    host = _target(context, service)
    container = context.container(service, host)
    restarts = int(container.raw.get("RestartCount", 0))
    told = f"{container.name} on {host}: {container.state}, health {container.health}, {restarts} restarts"
    look = f"Try: ssh {host} docker logs --tail 50 {container.name}"
    if not container.running or container.health not in {"healthy", "none"} or restarts:
        return failed(f"{told}. Expected: running, healthy, 0 restarts. {look}", restarts=restarts)
    return passed(told, restarts=restarts)


def judge_configuration(context: RunContext, service: str) -> Judgement:
    """Judge whether the container's configuration equals the one recorded on the source before the move."""
    move = context.move_of(service)
    recorded = read_recorded(context.fleet, move.source, service)
    if recorded is None:
        return unknown(f"{move.source}: no recorded specification of {service}. Expected: the one that the move saved")
    target = context.container(service, move.target)
    dropped, before = (
        service_facts.dropped_mounts(context, service),
        with_references(recorded.inspect, variables_repointed(context.scope, service)),
    )
    return judge_fidelity(
        f"{target.name} on {move.target}", before, target.raw, committed=True, dropped=dropped, ports=move.ports
    )


def with_references(inspect: Mapping[str, Any], variables: Mapping[str, str]) -> Mapping[str, Any]:
    """Return an inspect answer with the variables that re-pointing set since: they are demanded, not only allowed."""
    config = inspect.get("Config") or {}
    return (
        {**inspect, "Config": {**config, "Env": with_variables(config.get("Env") or [], variables)}}
        if variables
        else inspect
    )


def judge_smoke(context: RunContext, service: str) -> Judgement:
    """Use the service's function through its published port."""
    return health.judge_smoke(context, service, _target(context, service))


def judge_fingerprint(context: RunContext, service: str) -> Judgement:
    """Compare what the service holds with what it held at the cutover."""
    before = context.recorded_fingerprint(service, "cutover")
    if before is None:
        return unknown(
            f"{service}: no fingerprint of a cutover in the journal. Expected: a committed move before validate"
        )
    host = _target(context, service)
    now = context.product(service).fingerprint(context.target(service, host), since=before)
    context.record_fingerprint(service, host, "validate", now)
    return compare_fingerprints(before, now, frozenset({Validity.SINCE_CUTOVER}))


def judge_logs(context: RunContext, service: str) -> Judgement:
    """Judge the log lines that the container wrote since it was started: those of its start tell most, and come before
    the commit.
    """
    host, product = _target(context, service), context.product(service)
    read = read_since_start(context.fleet[host], context.container(service, host))
    return judge_lines(f"{service} on {host}", read.lines, product.trouble, product.noise, read.cut)


def judge_public_names(context: RunContext, service: str) -> Judgement:
    """Judge whether the names by which clients outside reach the service lead to its target, as every host of the run
    sees them.
    """
    move, names = context.move_of(service), context.entry(service).public_names
    identity = context.scope.environment.hosts[move.target]
    seen = {host: dns.read_addresses(context.fleet[host], names) for host in context.scope.hosts}
    return dns.judge_public_names(
        seen, move.target, frozenset(identity.public_addresses or (identity.address,)), move.source
    )


def judge_source_asleep(context: RunContext, service: str) -> Judgement:
    """Judge whether the old container is kept and stopped."""
    move = context.move_of(service)
    return judge_source_stays_stopped(context.facts(move.source), context.entry(service).container)
