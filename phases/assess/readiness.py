"""What preflight asks about one move, and the move asks again before it begins: whatever takes more than one check."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from actions.backup.backup import expected_objects, recorded_backup
from actions.backup.restore_drill import recorded_drill
from checks.backups.backups import check_backup
from checks.containers import name_conflicts, state_paths
from checks.ports.free_ports import PortNeed
from engine.contracts.container import ContainerFacts
from engine.contracts.product import KnowsItsLayer, MayForget, PlacesItsState, Product
from engine.errors import NotObservedError
from engine.finding import say
from engine.journal.kinds import RecordKind
from engine.verdict import Judgement, failed, passed, unknown
from phases.assess.shared_mounts import judge_shared_places
from phases.context.run_context import RunContext
from phases.context.service_facts import read_changes
from phases.context.service_move import ServiceMove
from phases.signoff.approvals import container_digest, toolbox_of, toolboxes_seen


def approved_digest(move: ServiceMove) -> str:
    """Return the digest of the source's container as preflight saw it before this run, "" when it did not: what people
    signed.
    """
    journal = move.context.journal
    began = journal.records(run_id=move.context.run.id, kind=RecordKind.RUN_STARTED)
    seen = journal.last(RecordKind.SOURCE_OBSERVED, service=move.service, until=began[0].seq if began else None)
    return str(seen.body["digest"]) if seen else ""


def judge_as_approved(move: ServiceMove) -> Judgement:
    """Judge whether the container, and the toolbox on both hosts, are those that preflight saw and people approved."""
    container = move.container()
    where, seen = f"{move.source}: {container.name}", approved_digest(move)
    if not seen:
        return unknown(
            say(
                "{where}: preflight has not recorded how it is configured. Expected: recorded and approved. Run "
                "preflight again",
                where=where,
            )
        )
    now = container_digest(container)
    if now != seen:
        return failed(
            say(
                "{where} is configured as {now}. Expected: {seen}, as preflight saw it and people approved it. Look: "
                "ssh {source} docker inspect {name}; then preflight and approve it as it is now",
                where=where,
                now=now[:12],
                seen=seen[:12],
                source=move.source,
                name=container.name,
            )
        )
    toolboxes = toolboxes_seen(move.context.scope, move.context.journal, [move.service])
    for host, image in toolboxes.items():
        if (there := toolbox_of(move.context.facts(host))) != image:
            return failed(
                say(
                    "{host}: the toolbox image is {there}. Expected: {image}, as approved. Run prepare again",
                    host=host,
                    there=there[:19] or say("not there"),
                    image=image[:19],
                )
            )
    return passed(
        say(
            "{where} is configured as approved ({seen}); the toolbox on {source} and {target} too",
            where=where,
            seen=seen[:12],
            source=move.source,
            target=move.target,
        )
    )


def judge_state(move: ServiceMove) -> tuple[Judgement, ...]:
    """Judge where the container's state lies; one answer per rule, so that all problems show."""
    facts, container = move.source_facts(), move.container()
    product, rules = move.product, move.mount_rules
    changes = read_changes(move.context, facts.host, container.name)
    return (
        state_paths.judge_mount_rules(container, rules),
        state_paths.judge_state_paths(container, state_paths_of(product, container)),
        *judge_forgetful(move),
        state_paths.judge_anonymous_volumes(container, rules),
        state_paths.judge_volume_drivers(facts, container, rules),
        state_paths.judge_shared_volumes(facts, container, rules, move.entry.restart_guards),
        judge_shared_places(move),
        state_paths.judge_writable_layer(
            container, changes, outside_of(product, container), move.entry.ignore_writable_layer_because
        ),
    )


def state_paths_of(product: Product, container: ContainerFacts) -> tuple[str, ...]:
    """Return the container paths where a product keeps state: those that its settings name, else its usual ones."""
    return product.state_paths_of(container) if isinstance(product, PlacesItsState) else product.state_paths


def outside_of(product: Product, container: ContainerFacts) -> state_paths.Outside:
    """Return what a product says of paths outside its mounts."""
    if isinstance(product, KnowsItsLayer):
        return state_paths.Outside(product.writable_noise, product.layer_doubts(container), product.layer_state)
    return state_paths.Outside(product.writable_noise)


def judge_forgetful(move: ServiceMove) -> tuple[Judgement, ...]:
    """Judge whether a stop loses nothing that the service holds; no answer of products that always keep it."""
    product = move.product
    if not isinstance(product, MayForget):
        return ()
    container = move.container()
    where = f"{move.source}: {container.name}"
    if not container.running:
        return (
            passed(
                say("{where}: is {state}: what a stop would lose is lost already", where=where, state=container.state)
            ),
        )
    try:
        lost = product.lost_by_stop(move.instance(move.source))
    except NotObservedError as error:
        return (unknown(str(error)),)
    return (state_paths.judge_kept_by_stop(where, lost),)


def port_needs(move: ServiceMove) -> list[PortNeed]:
    """Return the ports that the service will publish on the target: the source's, unless the plan remaps them."""
    remaps = move.planned.ports
    return [
        PortNeed(move.service, remaps.get(f"{port}/{protocol}", port), protocol, address)
        for address, port, _, protocol in move.container().published
    ]


def names_needed(move: ServiceMove) -> name_conflicts.NamesNeeded:
    """Return the names that the move will create on the target."""
    container = move.container()
    copied = [mount for mount in container.mounts if move.mount_rules.get(mount.destination) == "copy"]
    return name_conflicts.NamesNeeded(
        container=container.name,
        volumes=tuple(mount.source for mount in copied if mount.kind == "volume"),
        networks=tuple(container.networks),
        paths=tuple(mount.source for mount in copied if mount.kind == "bind"),
    )


def paths_on(context: RunContext, host: str, paths: tuple[str, ...]) -> Mapping[str, name_conflicts.PathFacts]:
    """Return what lies at some paths of a target; those of all that comes to it are looked at once. Raises
    CouldNotLookError.
    """
    coming = [
        mount.source
        for move in context.scope.moves
        if move.target == host
        for mount in context.entry(move.service).mounts
        if mount.kind == "bind"
    ]
    read = context.fleet.cached(
        host, "paths", lambda: name_conflicts.read_paths(context.fleet[host], dict.fromkeys((*paths, *coming)))
    )
    return read if set(paths) <= set(read) else name_conflicts.read_paths(context.fleet[host], paths)


def judge_backup(move: ServiceMove) -> Judgement:
    """Judge the backup that prepare took, and how it came back in the drill; what keeps everything in others has none
    of its own.
    """
    container = move.container()
    taken, sound = recorded_backup(move.context.journal, move.service)
    expected = expected_objects(move.product, container, move.mount_rules)
    keepers = sorted({link.to for link in move.context.scope.providers_of(move.service)})
    if not expected and not move.product.state_paths and keepers:
        return passed(
            say(
                "{service}: keeps nothing of its own; what it holds is in {keepers}, whose backup is judged in its "
                "own row",
                service=move.service,
                keepers=", ".join(keepers),
            )
        )
    return check_backup(
        move.service,
        expected,
        taken,
        repository_ok=sound,
        drill=recorded_drill(move.context.journal, move.service),
        target=move.target,
        now=datetime.now(UTC),
        oldest_hours=move.context.scope.plan.evidence_max_age_h,
        environment=move.environment,
    )
