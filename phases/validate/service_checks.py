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


def refuse_unmoved(world: RunContext, service: str) -> None:
    """Raise NotRun for a service that is not on its target by the journal: what it serves from is not what these
    questions are about.
    """
    state = MoveState(world.journal.move_state(service))
    if not state.serves_target:
        told = "was not moved" if state is MoveState.PLANNED else f"is {state.words}, not moved"
        raise NotRun(f"not run: {service} {told}; only a move that is committed or done is validated")


def _target(world: RunContext, service: str) -> str:
    return world.move_of(service).target


def judge_container(world: RunContext, service: str) -> Judgement:
    """Judge whether the container runs on its target, is healthy and has not restarted."""
    host = _target(world, service)
    container = world.container(service, host)
    restarts = int(container.raw.get("RestartCount", 0))
    told = f"{container.name} on {host}: {container.state}, health {container.health}, {restarts} restarts"
    look = f"Try: ssh {host} docker logs --tail 50 {container.name}"
    if not container.running or container.health not in {"healthy", "none"} or restarts:
        return failed(f"{told}. Expected: running, healthy, 0 restarts. {look}", restarts=restarts)
    return passed(told, restarts=restarts)


def judge_configuration(world: RunContext, service: str) -> Judgement:
    """Judge whether the container's configuration equals the one recorded on the source before the move."""
    move = world.move_of(service)
    recorded = read_recorded(world.fleet, move.source, service)
    if recorded is None:
        return unknown(f"{move.source}: no recorded specification of {service}. Expected: the one that the move saved")
    target = world.container(service, move.target)
    dropped, before = (
        service_facts.dropped_mounts(world, service),
        with_references(recorded.inspect, variables_repointed(world.scope, service)),
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


def judge_smoke(world: RunContext, service: str) -> Judgement:
    """Use the service's function through its published port."""
    return health.judge_smoke(world, service, _target(world, service))


def judge_fingerprint(world: RunContext, service: str) -> Judgement:
    """Compare what the service holds with what it held at the cutover."""
    before = world.recorded_fingerprint(service, "cutover")
    if before is None:
        return unknown(
            f"{service}: no fingerprint of a cutover in the journal. Expected: a committed move before validate"
        )
    host = _target(world, service)
    now = world.product(service).fingerprint(world.target(service, host), since=before)
    world.record_fingerprint(service, host, "validate", now)
    return compare_fingerprints(before, now, frozenset({Validity.SINCE_CUTOVER}))


def judge_logs(world: RunContext, service: str) -> Judgement:
    """Judge the log lines that the container wrote since it was started: those of its start tell most, and come before
    the commit.
    """
    host, product = _target(world, service), world.product(service)
    read = read_since_start(world.fleet[host], world.container(service, host))
    return judge_lines(f"{service} on {host}", read.lines, product.trouble, product.noise, read.cut)


def judge_public_names(world: RunContext, service: str) -> Judgement:
    """Judge whether the names by which clients outside reach the service lead to its target, as every host of the run
    sees them.
    """
    move, names = world.move_of(service), world.entry(service).public_names
    identity = world.scope.environment.hosts[move.target]
    seen = {host: dns.read_addresses(world.fleet[host], names) for host in world.scope.hosts}
    return dns.judge_public_names(
        seen, move.target, frozenset(identity.public_addresses or (identity.address,)), move.source
    )


def judge_source_asleep(world: RunContext, service: str) -> Judgement:
    """Judge whether the old container is kept and stopped."""
    move = world.move_of(service)
    return judge_source_stays_stopped(world.facts(move.source), world.entry(service).container)
