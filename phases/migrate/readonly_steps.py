"""The questions of a move's recipe, and the outage as it goes into the journal."""

from __future__ import annotations

from actions.copy.verification import READ
from engine.config.scope import PlannedMove
from engine.contracts.fingerprint import Validity
from engine.verdict import Judgement, failed, passed, unknown
from phases.assess import health, readiness
from phases.assess.shared_mounts import judge_shared_places
from phases.context.readonly_step import ReadOnlyStep
from phases.context.run_context import RunContext
from phases.context.service_facts import places_of
from phases.migrate.data_strategy import are_writers_held, is_replicated
from services.fingerprints.compare import compare_fingerprints, compare_replicated


def confirm_source(context: RunContext, move: PlannedMove) -> ReadOnlyStep:
    """Return the question whether all is still as preflight saw it."""

    def ask() -> Judgement:
        container = context.container(move.service, move.source)
        if not container.running:
            return failed(
                f"{move.source}: {container.name} is {container.state}. Expected: running, as preflight saw it"
            )
        answers = [
            readiness.judge_inventory(context, move.service),
            readiness.judge_as_approved(context, move.service),
            *readiness.judge_state(context, move.service),
            *readiness.judge_guards(context, move.service),
            readiness.judge_image(context, move.service),
            readiness.judge_ports(context, move.service),
            readiness.judge_names(context, move.service),
            readiness.judge_writers(context, move.service),
            *readiness.judge_kept_by_stop(context, move.service),
            *readiness.judge_disk(context, move.service),
            judge_shared_places(context, move),
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


def fingerprint_source(context: RunContext, move: PlannedMove) -> ReadOnlyStep:
    """Return the question what the service holds before the move; the answer goes into the journal."""

    def ask() -> Judgement:
        before = context.recorded_fingerprint(move.service, "source")
        if before is not None and not context.container(move.service, move.source).running:
            return passed(f"{move.service}: {len(before.parts)} parts were recorded before it was stopped")
        at = context.target(move.service, move.source)
        seen = context.product(move.service).fingerprint(at, since=None)
        if not seen.parts:
            return passed(f"{move.service}: its product tells nothing to compare beyond its files")
        context.record_fingerprint(move.service, move.source, "source", seen)
        things = sum(part.count for part in seen.parts.values())
        return passed(
            f"{move.service} on {move.source}: {len(seen.parts)} parts, {things:,} things",
            parts=len(seen.parts),
            things=things,
        )

    return ReadOnlyStep("fingerprint-source", f"read what {move.service} holds on {move.source}", ask)


def ready_target(context: RunContext, move: PlannedMove) -> ReadOnlyStep:
    """Return the question whether the service is ready on its target, asked until its deadline."""
    deadline_s = context.product(move.service).ready_deadline_s
    words = f"wait up to {deadline_s:.0f} s until {move.service} is ready on {move.target}"
    return ReadOnlyStep("ready-target", words, lambda: health.judge_ready(context, move.service, move.target))


def fingerprint_target(context: RunContext, move: PlannedMove) -> ReadOnlyStep:
    """Return the comparison of what it holds with what it held."""

    def ask() -> Judgement:
        product, at = context.product(move.service), context.target(move.service, move.target)
        before = context.recorded_fingerprint(move.service, "source")
        replicated = is_replicated(context, move)
        if before is None:
            return _nothing_to_compare(context, move, replicated=replicated)
        seen = product.fingerprint(at, since=before)
        context.record_fingerprint(move.service, move.target, "target", seen)
        if replicated:
            return compare_replicated(before, seen, held=are_writers_held(context, move))
        instead = f"not compared here: they hold only while no client writes; {_compared_as_files(context, move)}"
        return compare_fingerprints(before, seen, frozenset({Validity.SINCE_CUTOVER}), instead=instead)

    return ReadOnlyStep(
        "fingerprint-target",
        f"compare what {move.service} holds on {move.target} with what it held on {move.source}",
        ask,
    )


def _compared_as_files(context: RunContext, move: PlannedMove) -> str:
    """Return what the proof of the volumes has compared of them, as a clause."""
    places = places_of(context, move)
    return (
        f"the files of {len(places)} mounts were compared ({READ[move.verify]})"
        if places
        else "no mount is copied, so no file was compared either"
    )


def _nothing_to_compare(context: RunContext, move: PlannedMove, *, replicated: bool) -> Judgement:
    """Return the answer for a product that tells nothing beyond its files: what was compared of these, if anything."""
    if replicated:
        return unknown(
            f"{move.service}: its data came by replication and no fingerprint of {move.source} is on record: nothing "
            "was compared. "
            "Expected: one that was read before the stop. Run the move again with strategy precopy"
        )
    return passed(
        f"{move.service}: its product tells nothing to compare beyond its files; {_compared_as_files(context, move)}"
    )


def smoke_target(context: RunContext, move: PlannedMove) -> ReadOnlyStep:
    """Return the use of the service's function through its published port."""
    words = f"use {move.service} on {move.target} through its published port"
    return ReadOnlyStep("smoke-target", words, lambda: health.judge_smoke(context, move.service, move.target))


def dependants_work(context: RunContext, move: PlannedMove) -> ReadOnlyStep:
    """Return the question whether all dependants work."""
    names = ", ".join(link.from_ for link in context.scope.dependants_of(move.service))
    return ReadOnlyStep(
        "dependants-work", f"ask {names} whether they work", lambda: health.judge_dependants(context, move.service)
    )


def record_baseline(context: RunContext, move: PlannedMove) -> ReadOnlyStep:
    """Return the reading that every later night is compared with; taken when clients are served again, so that it costs
    no outage.
    """

    def ask() -> Judgement:
        seen = context.product(move.service).fingerprint(context.target(move.service, move.target), since=None)
        if not seen.parts:
            return passed(f"{move.service}: nothing beyond its files is known to compare later")
        context.record_fingerprint(move.service, move.target, "cutover", seen)
        lasting = [part for part in seen.parts.values() if part.holds is Validity.SINCE_CUTOVER]
        things = sum(part.count for part in lasting)
        return passed(
            f"{move.service} on {move.target}: {len(lasting)} parts ({things:,} things) must stay from now on",
            things=things,
        )

    return ReadOnlyStep("record-baseline", f"read what {move.service} holds on {move.target} from now on", ask)
