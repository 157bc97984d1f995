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
from engine.finding import joined, say
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
                say(
                    "{source}: {name} is {state}. Expected: running, as preflight saw it",
                    source=move.source,
                    name=container.name,
                    state=container.state,
                )
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
            return Judgement(
                wrong[0].verdict, joined("; ", (answer.text for answer in wrong)), details=wrong[0].details
            )
        return passed(
            say(
                "{service} runs on {source} as declared and approved; image, ports, names and disk of {target} are "
                "ready",
                service=move.service,
                source=move.source,
                target=move.target,
            )
        )

    return ReadOnlyStep(
        "confirm-source",
        say(
            "look whether {service} on {source} and its place on {target} are as preflight saw them",
            service=move.service,
            source=move.source,
            target=move.target,
        ),
        ask,
    )


def fingerprint_source(move: ServiceMove) -> ReadOnlyStep:
    """Return the question what the service holds before the move; the answer goes into the journal."""

    def ask() -> Judgement:
        before = move.recorded_fingerprint("source")
        if before is not None and not move.container_on(move.source).running:
            return passed(
                say(
                    "{service}: {count} parts were recorded before it was stopped",
                    service=move.service,
                    count=len(before.parts),
                )
            )
        seen = move.fingerprint(move.source, since=None)
        if not seen.parts:
            return passed(
                say("{service}: its product reports nothing to compare beyond its files", service=move.service)
            )
        move.record_fingerprint(move.source, "source", seen)
        things = sum(part.count for part in seen.parts.values())
        return passed(
            say(
                "{service} on {source}: {count} parts, {things:,} things",
                service=move.service,
                source=move.source,
                count=len(seen.parts),
                things=things,
            ),
            parts=len(seen.parts),
            things=things,
        )

    return ReadOnlyStep(
        "fingerprint-source",
        say("read what {service} holds on {source}", service=move.service, source=move.source),
        ask,
    )


def ready_target(move: ServiceMove) -> ReadOnlyStep:
    """Return the question whether the service is ready on its target, asked until its deadline."""
    deadline_s = move.product.ready_deadline_s
    words = say(
        "wait up to {deadline_s:.0f} s until {service} is ready on {target}",
        deadline_s=deadline_s,
        service=move.service,
        target=move.target,
    )
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
        instead = say(
            "not compared here: they hold only while no client writes; {compared_as_files}",
            compared_as_files=_compared_as_files(move),
        )
        return compare_fingerprints(before, seen, frozenset({Validity.SINCE_CUTOVER}), instead=instead)

    return ReadOnlyStep(
        "fingerprint-target",
        say(
            "compare what {service} holds on {target} with what it held on {source}",
            service=move.service,
            target=move.target,
            source=move.source,
        ),
        ask,
    )


def _compared_as_files(move: ServiceMove) -> str:
    """Return what the proof of the volumes has compared of them, as a clause."""
    places = move.places()
    return (
        say("the files of {count} mounts were compared ({read})", count=len(places), read=READ[move.planned.verify])
        if places
        else say("no mount is copied, so no file was compared either")
    )


def _nothing_to_compare(move: ServiceMove, *, replicated: bool) -> Judgement:
    """Return the answer for a product that reports nothing beyond its files: what was compared of these, if
    anything.
    """
    if replicated:
        return unknown(
            say(
                "{service}: its data came by replication and no fingerprint of {source} is on record: nothing was "
                "compared. Expected: one that was read before the stop. Run the move again with strategy precopy",
                service=move.service,
                source=move.source,
            )
        )
    return passed(
        say(
            "{service}: its product reports nothing to compare beyond its files; {compared_as_files}",
            service=move.service,
            compared_as_files=_compared_as_files(move),
        )
    )


def smoke_target(move: ServiceMove) -> ReadOnlyStep:
    """Return the use of the service's function through its published port."""
    words = say("use {service} on {target} through its published port", service=move.service, target=move.target)
    return ReadOnlyStep("smoke-target", words, lambda: health.judge_smoke(move.context, move.service, move.target))


def dependants_work(move: ServiceMove) -> ReadOnlyStep:
    """Return the question whether all dependants work."""
    names = joined(", ", (link.from_ for link in move.context.scope.dependants_of(move.service)))
    return ReadOnlyStep(
        "dependants-work", say("ask {names} whether they work", names=names), lambda: health.judge_dependants(move)
    )


def record_baseline(move: ServiceMove) -> ReadOnlyStep:
    """Return the reading that every later night is compared with; taken when clients are served again, so that it costs
    no outage.
    """

    def ask() -> Judgement:
        seen = move.fingerprint(move.target, since=None)
        if not seen.parts:
            return passed(say("{service}: nothing beyond its files is known to compare later", service=move.service))
        move.record_fingerprint(move.target, "cutover", seen)
        lasting = [part for part in seen.parts.values() if part.holds is Validity.SINCE_CUTOVER]
        things = sum(part.count for part in lasting)
        return passed(
            say(
                "{service} on {target}: {count} parts ({things:,} things) must stay from now on",
                service=move.service,
                target=move.target,
                count=len(lasting),
                things=things,
            ),
            things=things,
        )

    return ReadOnlyStep(
        "record-baseline",
        say("read what {service} holds on {target} from now on", service=move.service, target=move.target),
        ask,
    )
