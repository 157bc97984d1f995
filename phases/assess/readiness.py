"""Questions of preflight about one move: checks joined with the facts of its two hosts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from actions.backup.backup import expected_objects, recorded_backup
from actions.backup.restore_drill import recorded_drill
from actions.relays.planning import judge_links_relayable
from checks.backups.backups import check_backup
from checks.capacity.disk_space import judge_disk_after, judge_space
from checks.containers import images, name_conflicts, restart_guards, state_paths
from checks.containers.declared import judge_container_as_declared
from checks.ports import free_ports
from engine.contracts.container import ContainerFacts
from engine.contracts.product import KnowsItsLayer, MayForget, PlacesItsState, Product
from engine.errors import NotObservedError
from engine.journal.kinds import RecordKind
from engine.verdict import Judgement, failed, passed, unknown
from phases.assess.shared_mounts import judge_shared_places
from phases.context.run_context import RunContext
from phases.context.service_facts import _target, label, mount_rules, read_changes, source_of, space_needs
from phases.signoff.approvals import container_digest, toolbox_of, toolboxes_seen


def judge_inventory(context: RunContext, service: str) -> Judgement:
    """Judge whether the container is what the inventory says."""
    _, container = source_of(context, service)
    return judge_container_as_declared(context.entry(service), container)


def approved_digest(context: RunContext, service: str) -> str:
    """Return the digest of the source's container as preflight saw it before this run, "" when it did not: what people
    signed.
    """
    began = context.journal.records(run_id=context.run.id, kind=RecordKind.RUN_STARTED)
    seen = context.journal.last(RecordKind.SOURCE_OBSERVED, service=service, until=began[0].seq if began else None)
    return str(seen.body["digest"]) if seen else ""


def judge_as_approved(context: RunContext, service: str) -> Judgement:
    """Judge whether the container, and the toolbox on both hosts, are those that preflight saw and people approved."""
    move, (facts, container) = context.move_of(service), source_of(context, service)
    where, seen = f"{facts.host}: {container.name}", approved_digest(context, service)
    if not seen:
        return unknown(
            f"{where}: preflight has not recorded how it is configured. Expected: recorded and approved. Run "
            "preflight again"
        )
    now = container_digest(container)
    if now != seen:
        return failed(
            f"{where} is configured as {now[:12]}. Expected: {seen[:12]}, as preflight saw it and people approved it. "
            f"Look: ssh {facts.host} docker inspect {container.name}; then preflight and approve it as it is now"
        )
    toolboxes = toolboxes_seen(context.scope, context.journal, [service])
    for host, image in toolboxes.items():
        if (there := toolbox_of(context.facts(host))) != image:
            return failed(
                f"{host}: the toolbox image is {there[:19] or 'not there'}. Expected: {image[:19]}, as "
                "approved. Run prepare again"
            )
    return passed(
        f"{where} is configured as approved ({seen[:12]}); the toolbox on {move.source} and {move.target} too"
    )


def judge_state(context: RunContext, service: str) -> tuple[Judgement, ...]:
    """Judge where the container's state lies; one answer per rule, so that all problems show."""
    facts, container = source_of(context, service)
    product, rules = context.product(service), mount_rules(context, service)
    changes = read_changes(context, facts.host, container.name)
    return (
        state_paths.judge_mount_rules(container, rules),
        state_paths.judge_state_paths(container, state_paths_of(product, container)),
        *judge_kept_by_stop(context, service),
        state_paths.judge_anonymous_volumes(container, rules),
        state_paths.judge_volume_drivers(facts, container, rules),
        state_paths.judge_shared_volumes(facts, container, rules, context.entry(service).restart_guards),
        judge_shared_places(context, context.move_of(service)),
        state_paths.judge_writable_layer(
            container, changes, outside_of(product, container), context.entry(service).ignore_writable_layer_because
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


def judge_kept_by_stop(context: RunContext, service: str) -> tuple[Judgement, ...]:
    """Judge whether a stop loses nothing that the service holds; no answer of products that always keep it."""
    product = context.product(service)
    if not isinstance(product, MayForget):
        return ()
    facts, container = source_of(context, service)
    where = f"{facts.host}: {container.name}"
    if not container.running:
        return (passed(f"{where}: is {container.state}: what a stop would lose is lost already"),)
    try:
        lost = product.lost_by_stop(context.target(service, facts.host))
    except NotObservedError as error:
        return (unknown(str(error)),)
    return (state_paths.judge_kept_by_stop(where, lost),)


def judge_writers(context: RunContext, service: str) -> Judgement:
    """Judge whether no other container can write to what will be copied."""
    facts, container = source_of(context, service)
    return state_paths.judge_shared_volumes(
        facts, container, mount_rules(context, service), context.entry(service).restart_guards
    )


def judge_guards(context: RunContext, service: str) -> tuple[Judgement, ...]:
    """Judge who else could start the container again, and whether it can be moved at all."""
    facts, container = source_of(context, service)
    mentions = facts.around.mentioning(container.name)
    held = context.entry(service).restart_guards
    return restart_guards.judge_movable(container), restart_guards.judge_guards(facts, container, mentions, held)


def judge_image(context: RunContext, service: str) -> Judgement:
    """Judge whether the very image is on the target."""
    facts, container = source_of(context, service)
    return images.judge_image_on_target(
        facts, _target(context, service), container, context.scope.environment.environment
    )


def judge_disk(context: RunContext, service: str) -> tuple[Judgement, ...]:
    """Judge whether the data fits on the target, and whether the disk stays below its threshold afterwards."""
    target, needs = _target(context, service), space_needs(context, service)
    return judge_space(target, needs), judge_disk_after(
        target, needs, context.scope.thresholds(target.host).disk_percent
    )


def judge_ports(context: RunContext, service: str) -> Judgement:
    """Judge whether the ports that it will publish are free on the target: those of the source, unless the plan remaps
    them.
    """
    _, container = source_of(context, service)
    remaps = context.move_of(service).ports
    needs = [
        free_ports.PortNeed(service, remaps.get(f"{port}/{protocol}", port), protocol, address)
        for address, port, _, protocol in container.published
    ]
    return free_ports.judge_ports_free(_target(context, service), needs, label(context, service))


def judge_names(context: RunContext, service: str) -> Judgement:
    """Judge whether the names that the move will create are free on the target."""
    _, container = source_of(context, service)
    target, rules = _target(context, service), mount_rules(context, service)
    copied = [mount for mount in container.mounts if rules.get(mount.destination) == "copy"]
    needed = name_conflicts.NamesNeeded(
        container=container.name,
        volumes=tuple(mount.source for mount in copied if mount.kind == "volume"),
        networks=tuple(container.networks),
        paths=tuple(mount.source for mount in copied if mount.kind == "bind"),
    )
    paths = _paths(context, target.host, needed.paths)
    return name_conflicts.judge_names_free(target, needed, paths, label(context, service))


def _paths(context: RunContext, host: str, paths: tuple[str, ...]) -> Mapping[str, name_conflicts.PathFacts]:
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


def judge_links(context: RunContext, service: str) -> Judgement:
    """Judge whether a relay can keep every link of the service once it is on its target."""
    return judge_links_relayable(
        context.scope, service, {host: context.facts(host) for host in context.scope.hosts}, context.where()
    )


def judge_backup(context: RunContext, service: str) -> Judgement:
    """Judge the backup that prepare took, and how it came back in the drill; what keeps everything in others has none
    of its own.
    """
    _, container = source_of(context, service)
    taken, sound = recorded_backup(context.journal, service)
    product = context.product(service)
    expected = expected_objects(product, container, mount_rules(context, service))
    keepers = sorted({link.to for link in context.scope.providers_of(service)})
    if not expected and not product.state_paths and keepers:
        return passed(
            f"{service}: keeps nothing of its own; what it holds is in {', '.join(keepers)}, whose backup is "
            "judged in its own row"
        )
    return check_backup(
        service,
        expected,
        taken,
        repository_ok=sound,
        drill=recorded_drill(context.journal, service),
        target=context.move_of(service).target,
        now=datetime.now(UTC),
        oldest_hours=context.scope.plan.evidence_max_age_h,
        environment=context.scope.environment.environment,
    )
