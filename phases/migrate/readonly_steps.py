"""The questions of a move's recipe, and the outage as it goes into the journal."""

from __future__ import annotations

from actions.copy.verification import READ
from checks.capacity.disk_space import judge_disk_after, judge_space
from checks.containers.declared import judge_container_as_declared
from checks.containers.images import judge_image_on_target
from checks.containers.name_conflicts import judge_names_free
from checks.containers.restart_guards import judge_guards, judge_movable
from checks.containers.state_paths import judge_shared_volumes
from checks.ports.free_ports import judge_ports_free
from engine.contracts.fingerprint import Validity
from engine.verdict import Judgement, failed, passed, unknown
from phases.assess import health
from phases.assess.readiness import (
    judge_as_approved,
    judge_forgetful,
    judge_state,
    names_needed,
    paths_on,
    port_needs,
)
from phases.assess.shared_mounts import judge_shared_places
from phases.context.readonly_step import ReadOnlyStep
from phases.context.service_move import ServiceMove
from phases.migrate.data_strategy import are_writers_held, is_replicated
from services.fingerprints.compare import compare_fingerprints, compare_replicated


def confirm_source(move: ServiceMove) -> ReadOnlyStep:
    """Return the question whether all is still as preflight saw it."""

    def ask() -> Judgement:
        container = move.container_on(move.source)
        if not container.running:
            return failed(
                f"{move.source}: {container.name} is {container.state}. Expected: running, as preflight saw it"
            )
        facts, target, rules = move.source_facts(), move.target_facts(), move.mount_rules
        guards, names = move.entry.restart_guards, names_needed(move)
        limit_percent = move.context.scope.thresholds(move.target).disk_percent
        answers = [
            judge_container_as_declared(move.entry, container),
            judge_as_approved(move),
            *judge_state(move),
            judge_movable(container),
            judge_guards(facts, container, facts.around.mentioning(container.name), guards),
            judge_image_on_target(facts, target, container, move.environment),
            judge_ports_free(target, port_needs(move), move.label()),
            judge_names_free(target, names, paths_on(move.context, target.host, names.paths), move.label()),
            judge_shared_volumes(facts, container, rules, guards),
            *judge_forgetful(move),
            judge_space(target, space := move.space_needs()),
            judge_disk_after(target, space, limit_percent),
            judge_shared_places(move),
        ]
        wrong = [answer for answer in answers if not answer.passed]
        if wrong:
            return Judgement(wrong[0].verdict, "; ".join(answer.text for answer in wrong), details=wrong[0].details)
        return passed(
            f"{move.service} runs on {move.source} as declared and approved; image, ports, names and disk of "
            f"{move.target} are ready"
        )

    return ReadOnlyStep(
        "confirm-source",
        f"look whether {move.service} on {move.source} and its place on {move.target} are as preflight saw them",
        ask,
    )


def fingerprint_source(move: ServiceMove) -> ReadOnlyStep:
    """Return the question what the service holds before the move; the answer goes into the journal."""

    def ask() -> Judgement:
        before = move.recorded_fingerprint("source")
        if before is not None and not move.container_on(move.source).running:
            return passed(f"{move.service}: {len(before.parts)} parts were recorded before it was stopped")
        seen = move.fingerprint(move.source, since=None)
        if not seen.parts:
            return passed(f"{move.service}: its product tells nothing to compare beyond its files")
        move.record_fingerprint(move.source, "source", seen)
        things = sum(part.count for part in seen.parts.values())
        return passed(
            f"{move.service} on {move.source}: {len(seen.parts)} parts, {things:,} things",
            parts=len(seen.parts),
            things=things,
        )

    return ReadOnlyStep("fingerprint-source", f"read what {move.service} holds on {move.source}", ask)


def ready_target(move: ServiceMove) -> ReadOnlyStep:
    """Return the question whether the service is ready on its target, asked until its deadline."""
    deadline_s = move.product.ready_deadline_s
    words = f"wait up to {deadline_s:.0f} s until {move.service} is ready on {move.target}"
    return ReadOnlyStep("ready-target", words, lambda: health.judge_ready(move.context, move.service, move.target))


def fingerprint_target(move: ServiceMove) -> ReadOnlyStep:
    """Return the comparison of what it holds with what it held."""

    def ask() -> Judgement:
        product, at = move.product, move.instance(move.target)
        before = move.recorded_fingerprint("source")
        replicated = is_replicated(move)
        if before is None:
            return _nothing_to_compare(move, replicated=replicated)
        seen = product.fingerprint(at, since=before)
        move.record_fingerprint(move.target, "target", seen)
        if replicated:
            return compare_replicated(before, seen, held=are_writers_held(move))
        instead = f"not compared here: they hold only while no client writes; {_compared_as_files(move)}"
        return compare_fingerprints(before, seen, frozenset({Validity.SINCE_CUTOVER}), instead=instead)

    return ReadOnlyStep(
        "fingerprint-target",
        f"compare what {move.service} holds on {move.target} with what it held on {move.source}",
        ask,
    )


def _compared_as_files(move: ServiceMove) -> str:
    """Return what the proof of the volumes has compared of them, as a clause."""
    places = move.places()
    return (
        f"the files of {len(places)} mounts were compared ({READ[move.planned.verify]})"
        if places
        else "no mount is copied, so no file was compared either"
    )


def _nothing_to_compare(move: ServiceMove, *, replicated: bool) -> Judgement:
    """Return the answer for a product that tells nothing beyond its files: what was compared of these, if anything."""
    if replicated:
        return unknown(
            f"{move.service}: its data came by replication and no fingerprint of {move.source} is on record: nothing "
            "was compared. "
            "Expected: one that was read before the stop. Run the move again with strategy precopy"
        )
    return passed(f"{move.service}: its product tells nothing to compare beyond its files; {_compared_as_files(move)}")


def smoke_target(move: ServiceMove) -> ReadOnlyStep:
    """Return the use of the service's function through its published port."""
    words = f"use {move.service} on {move.target} through its published port"
    return ReadOnlyStep("smoke-target", words, lambda: health.judge_smoke(move.context, move.service, move.target))


def dependants_work(move: ServiceMove) -> ReadOnlyStep:
    """Return the question whether all dependants work."""
    names = ", ".join(link.from_ for link in move.context.scope.dependants_of(move.service))
    return ReadOnlyStep("dependants-work", f"ask {names} whether they work", lambda: health.judge_dependants(move))


def record_baseline(move: ServiceMove) -> ReadOnlyStep:
    """Return the reading that every later night is compared with; taken when clients are served again, so that it costs
    no outage.
    """

    def ask() -> Judgement:
        seen = move.fingerprint(move.target, since=None)
        if not seen.parts:
            return passed(f"{move.service}: nothing beyond its files is known to compare later")
        move.record_fingerprint(move.target, "cutover", seen)
        lasting = [part for part in seen.parts.values() if part.holds is Validity.SINCE_CUTOVER]
        things = sum(part.count for part in lasting)
        return passed(
            f"{move.service} on {move.target}: {len(lasting)} parts ({things:,} things) must stay from now on",
            things=things,
        )

    return ReadOnlyStep("record-baseline", f"read what {move.service} holds on {move.target} from now on", ask)
