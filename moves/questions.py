"""The questions of a move's recipe, and the outage as it goes into the journal."""

from __future__ import annotations

from dataclasses import dataclass, field

from actions.probe import MeasureOutage
from actions.proof import READ
from checks.source import kept_name
from engine.model import Holds, Note
from engine.scope import PlannedMove
from engine.verdict import Effect, Judgement, failed, passed, unknown
from moves import preflighting, serving
from moves.asking import Ask
from moves.carriage import are_writers_held, is_replicated, places_of
from moves.shared import judge_shared_places
from moves.world import World
from services.comparison import compare_fingerprints, compare_replicated

__all__ = ["RecordedOutage", "kept_name"]


def confirm_source(world: World, move: PlannedMove) -> Ask:
    """Return the question whether all is still as preflight saw it."""

    def ask() -> Judgement:
        container = world.container(move.service, move.source)
        if not container.running:
            return failed(f"{move.source}: {container.name} is {container.state}. Expected: running, as preflight saw it")
        answers = [
            preflighting.judge_inventory(world, move.service),
            preflighting.judge_as_approved(world, move.service),
            *preflighting.judge_state(world, move.service),
            *preflighting.judge_guards(world, move.service),
            preflighting.judge_image(world, move.service),
            preflighting.judge_ports(world, move.service),
            preflighting.judge_names(world, move.service),
            preflighting.judge_writers(world, move.service),
            *preflighting.judge_kept_by_stop(world, move.service),
            *preflighting.judge_disk(world, move.service),
            judge_shared_places(world, move),
        ]
        wrong = [answer for answer in answers if not answer.passed]
        if wrong:
            return Judgement(wrong[0].verdict, "; ".join(answer.text for answer in wrong), details=wrong[0].details)
        return passed(f"{move.service} runs on {move.source} as declared and approved; image, ports, names and disk of {move.target} are ready")

    return Ask("confirm-source", f"look whether {move.service} on {move.source} and its place on {move.target} are as preflight saw them", ask)


def fingerprint_source(world: World, move: PlannedMove) -> Ask:
    """Return the question what the service holds before the move; the answer goes into the journal."""

    def ask() -> Judgement:
        before = world.recorded_fingerprint(move.service, "source")
        if before is not None and not world.container(move.service, move.source).running:
            return passed(f"{move.service}: {len(before.parts)} parts were recorded before it was stopped")
        at = world.target(move.service, move.source)
        seen = world.product(move.service).fingerprint(at, since=None)
        if not seen.parts:
            return passed(f"{move.service}: its product tells nothing to compare beyond its files")
        world.record_fingerprint(move.service, move.source, "source", seen)
        things = sum(part.count for part in seen.parts.values())
        return passed(f"{move.service} on {move.source}: {len(seen.parts)} parts, {things:,} things", parts=len(seen.parts), things=things)

    return Ask("fingerprint-source", f"read what {move.service} holds on {move.source}", ask)


def ready_target(world: World, move: PlannedMove) -> Ask:
    """Return the question whether the service is ready on its target, asked until its deadline."""
    deadline_s = world.product(move.service).ready_deadline_s
    words = f"wait up to {deadline_s:.0f} s until {move.service} is ready on {move.target}"
    return Ask("ready-target", words, lambda: serving.judge_ready(world, move.service, move.target))


def fingerprint_target(world: World, move: PlannedMove) -> Ask:
    """Return the comparison of what it holds with what it held."""

    def ask() -> Judgement:
        product, at = world.product(move.service), world.target(move.service, move.target)
        before = world.recorded_fingerprint(move.service, "source")
        replicated = is_replicated(world, move)
        if before is None:
            return _nothing_to_compare(world, move, replicated=replicated)
        seen = product.fingerprint(at, since=before)
        world.record_fingerprint(move.service, move.target, "target", seen)
        if replicated:
            return compare_replicated(before, seen, held=are_writers_held(world, move))
        instead = f"not compared here: they hold only while no client writes; {_compared_as_files(world, move)}"
        return compare_fingerprints(before, seen, frozenset({Holds.SINCE_CUTOVER}), instead=instead)

    return Ask("fingerprint-target", f"compare what {move.service} holds on {move.target} with what it held on {move.source}", ask)


def _compared_as_files(world: World, move: PlannedMove) -> str:
    """Return what the proof of the volumes has compared of them, as a clause."""
    places = places_of(world, move)
    return f"the files of {len(places)} mounts were compared ({READ[move.proof]})" if places else "no mount is copied, so no file was compared either"


def _nothing_to_compare(world: World, move: PlannedMove, *, replicated: bool) -> Judgement:
    """Return the answer for a product that tells nothing beyond its files: what was compared of these, if anything."""
    if replicated:
        return unknown(
            f"{move.service}: its data came by replication and no fingerprint of {move.source} is on record: nothing was compared. "
            "Expected: one that was read before the stop. Run the move again with strategy precopy"
        )
    return passed(f"{move.service}: its product tells nothing to compare beyond its files; {_compared_as_files(world, move)}")


def smoke_target(world: World, move: PlannedMove) -> Ask:
    """Return the use of the service's function through its published port."""
    words = f"use {move.service} on {move.target} through its published port"
    return Ask("smoke-target", words, lambda: serving.judge_smoke(world, move.service, move.target))


def dependants_work(world: World, move: PlannedMove) -> Ask:
    """Return the question whether all dependants work."""
    names = ", ".join(link.from_ for link in world.scope.dependants_of(move.service))
    return Ask("dependants-work", f"ask {names} whether they work", lambda: serving.judge_dependants(world, move.service))


def record_baseline(world: World, move: PlannedMove) -> Ask:
    """Return the reading that every later night is compared with; taken when clients are served again, so that it costs no outage."""

    def ask() -> Judgement:
        seen = world.product(move.service).fingerprint(world.target(move.service, move.target), since=None)
        if not seen.parts:
            return passed(f"{move.service}: nothing beyond its files is known to compare later")
        world.record_fingerprint(move.service, move.target, "cutover", seen)
        lasting = [part for part in seen.parts.values() if part.holds is Holds.SINCE_CUTOVER]
        things = sum(part.count for part in lasting)
        return passed(f"{move.service} on {move.target}: {len(lasting)} parts ({things:,} things) must stay from now on", things=things)

    return Ask("record-baseline", f"read what {move.service} holds on {move.target} from now on", ask)


@dataclass(frozen=True)
class RecordedOutage:
    """The measurement of the outage, written into the journal as a record of its own."""

    measuring: MeasureOutage
    world: World
    move: PlannedMove
    key: str = field(default="measure-outage", init=False)
    effect: Effect = field(default=Effect.CHANGES_STATE, init=False)
    commits: bool = field(default=False, init=False)

    def describe(self) -> str:
        """Return the dry run's line."""
        return self.measuring.describe()

    def estimate_s(self) -> float | None:
        """Return seconds."""
        return self.measuring.estimate_s()

    def do(self, note: Note) -> None:
        """Measure, and record."""
        self.measuring.do(note)
        outage = note.get("outage")
        on_record = [one.body for one in self.world.journal.records(kind="outage", service=self.move.service)]
        if outage and outage["from_at"] not in {one.get("from_at") for one in on_record}:
            move = self.move
            body = {**outage, "service": move.service, "source": move.source, "target": move.target, "predicted_s": self._predicted()}
            self.world.run.record("outage", service=move.service, body=body)

    def _predicted(self) -> float | None:
        """Return what the copy while it ran predicted, None when there was none."""
        outcomes = self.world.journal.records(kind="outcome", service=self.move.service)
        notes = [record.body.get("note") or {} for record in outcomes if record.key == "copy-live" and record.body.get("ok")]
        return notes[-1].get("predicted_s") if notes else None

    def verify(self, note: Note) -> Judgement:
        """Judge whether it was measured and is over; beside it what was predicted."""
        judgement = self.measuring.verify(note) if note else unknown("the outage was not measured")
        predicted = self._predicted()
        if predicted is None or not judgement.passed:
            return judgement
        return Judgement(judgement.verdict, f"{judgement.text}; predicted: {predicted:.1f} s", judgement.measured, judgement.details)

    def undo(self, note: Note) -> None:
        """Undo nothing: a measurement stays."""
