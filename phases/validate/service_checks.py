"""Questions of validate about one moved service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actions.container_spec.saved_spec import read_recorded
from actions.references.text_edit import with_variables
from checks.containers.recreated import judge_fidelity
from checks.hosts.dns import read_addresses
from engine.contracts.fingerprint import Validity
from engine.contracts.move_state import MoveState
from engine.finding import say
from engine.journal.journal import Journal
from engine.saga.outcomes import NotRun
from engine.verdict import Judgement, failed, passed, unknown
from phases.context.link_state import variables_repointed
from phases.context.service_move import ServiceMove
from services.fingerprints.compare import compare_fingerprints


def refuse_unmoved(journal: Journal, service: str) -> None:
    """Raise NotRun for a service that is not on its target by the journal: what it serves from is not what these
    questions are about.
    """
    state = MoveState(journal.move_state(service))
    if not state.serves_target:
        state_text = (
            say("was not moved") if state is MoveState.PLANNED else say("is {words}, not moved", words=state.words)
        )
        raise NotRun(
            say(
                "not run: {service} {state_text}; only a move that is committed or done is validated",
                service=service,
                state_text=state_text,
            )
        )


def judge_container(move: ServiceMove) -> Judgement:
    """Judge whether the container runs on its target, is healthy and has not restarted."""
    host = move.target
    container = move.container_on(host)
    restarts = int(container.raw.get("RestartCount", 0))
    seen = say(
        "{name} on {host}: {state}, health {health}, {restarts} restarts",
        name=container.name,
        host=host,
        state=container.state,
        health=container.health,
        restarts=restarts,
    )
    look = say("Try: ssh {host} docker logs --tail 50 {name}", host=host, name=container.name)
    if not container.running or container.health not in {"healthy", "none"} or restarts:
        return failed(
            say("{seen}. Expected: running, healthy, 0 restarts. {look}", seen=seen, look=look), restarts=restarts
        )
    return passed(seen, restarts=restarts)


def judge_configuration(move: ServiceMove) -> Judgement:
    """Judge whether the container's configuration equals the one recorded on the source before the move."""
    recorded = read_recorded(move.context.fleet, move.source, move.service)
    if recorded is None:
        return unknown(
            say(
                "{source}: no recorded specification of {service}. Expected: the one that the move saved",
                source=move.source,
                service=move.service,
            )
        )
    target = move.container_on(move.target)
    dropped, before = (
        move.dropped_mounts,
        with_references(recorded.inspect, variables_repointed(move.context.scope, move.service)),
    )
    return judge_fidelity(
        say("{name} on {target}", name=target.name, target=move.target),
        before,
        target.raw,
        committed=True,
        dropped=dropped,
        ports=move.planned.ports,
    )


def with_references(inspect: Mapping[str, Any], variables: Mapping[str, str]) -> Mapping[str, Any]:
    """Return an inspect answer with the variables that re-pointing set since: they are demanded, not only allowed."""
    config = inspect.get("Config") or {}
    return (
        {**inspect, "Config": {**config, "Env": with_variables(config.get("Env") or [], variables)}}
        if variables
        else inspect
    )


def judge_fingerprint(move: ServiceMove) -> Judgement:
    """Compare what the service holds with what it held at the cutover."""
    before = move.recorded_fingerprint("cutover")
    if before is None:
        return unknown(
            say(
                "{service}: no fingerprint of a cutover in the journal. Expected: a committed move before validate",
                service=move.service,
            )
        )
    now = move.fingerprint(move.target, since=before)
    move.record_fingerprint(move.target, "validate", now)
    return compare_fingerprints(before, now, frozenset({Validity.SINCE_CUTOVER}))


def names_seen(move: ServiceMove) -> dict[str, Mapping[str, tuple[str, ...]]]:
    """Return where the names by which clients outside reach the service lead, as every host of the run sees them."""
    fleet, scope = move.context.fleet, move.context.scope
    return {host: read_addresses(fleet[host], move.entry.public_names) for host in scope.hosts}


def public_addresses(move: ServiceMove) -> frozenset[str]:
    """Return the addresses of the target to which these names must lead."""
    identity = move.context.scope.environment.hosts[move.target]
    return frozenset(identity.public_addresses or (identity.address,))
