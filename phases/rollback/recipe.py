"""The order of a rollback, once: the service goes back to its source, with what was written on the target since, or
without.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from actions.common.base_action import BaseAction, WrappedAction
from actions.common.route import Route
from actions.container.commit import Commit
from actions.container.target import CreateTarget, StartTarget
from actions.copy.endpoints import PURPOSE as COPY_WAY
from actions.copy.endpoints import ROLE as COPY
from actions.copy.safety_copy import ROLE as ASIDE
from actions.copy.safety_copy import SafetyCopy
from actions.copy.volumes import CopyVolumes, VerifyVolumes
from actions.outage.probe import MeasureOutage, StartProbe
from actions.outage.vantage_point import choose_probe_target
from actions.relays.planning import plan_forwarders, wanted_forwarders
from actions.relays.reconcile import refuse_outside
from actions.replication.replica import PURPOSE as REPLICA_WAY
from actions.replication.replica import ROLE as REPLICA
from actions.rollback.clean_source import CleanSource
from actions.rollback.clean_target import CleanTarget
from actions.rollback.copy_back import CopyBack
from actions.rollback.start_returned import StartReturned, SwitchClientsBack
from actions.rollback.stop_moved import StopMoved
from checks.capacity.disk_space import SpaceNeed, judge_space
from engine.contracts.action import Action, Note
from engine.contracts.fingerprint import Fingerprint, Validity
from engine.contracts.move_state import MoveState
from engine.contracts.product import Committing
from engine.errors import ActionError, HostLostError, NotObservedError
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed
from phases.assess import health
from phases.context.attempt import read_past
from phases.context.outage_record import RecordedOutage
from phases.context.readonly_step import ReadOnlyStep
from phases.context.routes import addresses_of, route_of
from phases.context.service_facts import peer_of
from phases.context.service_move import ServiceMove
from phases.migrate.data_strategy import data_steps
from phases.migrate.recipe import before_stop, recipe
from phases.rollback.kept_source import find_kept
from services.fingerprints.compare import compare_fingerprints

BEFORE_RETURN = "return"
"""The moment of the fingerprint that is taken on the target just before it is stopped for a rollback."""

ASIDE_FACTOR = 1.1
NO_DATA = say("nothing beyond its files is known to compare")

DEAD_STEPS = ("target-writes", "start-probe-back", "stop-moved", "return-outage", "clean-target")
"""What is asked of the new host, or done there; the outage began when it died, before any probe."""
SOURCE_STEP = "clean-source"
"""Done where the new host is not asked; elsewhere the step that cleans it up does both sides."""
DATA_STEPS = ("safety-copy", "copy-back", "verify-copy-back")
RETURN_STEPS = (
    "confirm-rollback",
    "target-writes",
    "links-returnable",
    "start-probe-back",
    "stop-moved",
    *DATA_STEPS,
    "switch-back",
    "start-returned",
    "ready-returned",
    "fingerprint-returned",
    "smoke-returned",
    "dependants-returned",
    "return-outage",
    SOURCE_STEP,
    "clean-target",
)
REPEATABLE = frozenset(
    {"start-probe-back", "switch-back", "start-returned", "return-outage", SOURCE_STEP, "clean-target"}
)
"""Actions that a resumed rollback may do again whatever came after them: none of them writes into data."""
STOPPED = "stop-moved"
"""May be done again, too, where what the target holds is left there: nothing is brought back from it."""
MEASURES = frozenset({"start-probe-back", "return-outage"})
"""Actions that only measure: a rollback ends without them."""
SUPERSEDED_BY = {"start-probe-back": "return-outage", "stop-moved": "clean-target"}
"""What is done for the sake of a later action: once that was begun, it is not asked for again. A moved container that
is
being removed is down.
"""
UNDO_STEP = "finish-undo"
COMMIT_BEGUN = "its commit was begun and not undone"
CREATED = "create-target"


def found_on_hosts(move: ServiceMove) -> str:
    """Return why a move that is not committed on record may hold newer writes on its target, as the hosts tell; empty
    when it does not.

    The process may have ended in the middle of the commit: such a move goes back as a committed one, with its data.
    Where nobody could look, the undo looks again, and refuses to put anything back unseen.
    """
    past = read_past(move.context.journal, move.service)
    known = past.done | past.begun | past.failed
    for action in recipe(move, past.attempt):
        if isinstance(action, Commit) and action.key not in known:
            continue
        if isinstance(action, StartTarget) and CREATED not in known:
            continue
        if isinstance(action, Commit | StartTarget):
            with suppress(NotObservedError, ActionError):
                reason = action.why_not_undone()
                if reason:
                    return reason
    return ""


def begun_commit(move: ServiceMove) -> str:
    """Return that the commit of a move in progress was begun, empty when it was not, or when its host shows that it did
    nothing.

    Raises CouldNotLookError when that host gives no answer; one that is declared lost shows nothing.
    """
    past = read_past(move.context.journal, move.service)
    if not past.may_have_committed:
        return ""
    begun = [action for action in recipe(move, past.attempt) if action.key in past.committing]
    return COMMIT_BEGUN if any(_may_have_happened(action) for action in begun) else ""


def _may_have_happened(action: Action) -> bool:
    """Return whether an action that commits, and was begun, counts as done: always, unless its host shows otherwise."""
    if not isinstance(action, Committing):
        return True
    try:
        return bool(action.why_committed())
    except (ActionError, HostLostError):
        return True


@dataclass(frozen=True)
class Renamed(WrappedAction):
    """An action under another key, where a recipe holds it for another purpose."""

    key: str


def rollback_recipe(move: ServiceMove, attempt: int, *, discard: str | None, dead: bool = False) -> tuple[Action, ...]:
    """Return the actions that bring a committed move back.

    With `discard`, the reason for it, the target's data stays there and the source's is used as it was.

    With a `dead` target nothing is asked of it: what was written there is lost with it, so `discard` goes with it.
    """
    route = route_of(move, attempt)
    places, size = move.places(), move.bytes_to_copy()
    moved = {**move.context.where(), move.service: move.target}
    back = {**moved, move.service: move.source}
    way_back = replace(move, planned=move.planned.model_copy(update={"source": move.target, "target": move.source}))
    scope, dropped = move.context.scope, move.dropped_mounts
    refuse_outside(
        scope.hosts, wanted_forwarders(scope, back) | wanted_forwarders(scope, moved), scope.environment.environment
    )
    aim = None if dead else choose_probe_target(scope, move.service, moved)
    creating = CreateTarget(route, dropped, addresses_of(move), move.planned.ports)
    copying = CopyVolumes(route, places, peer_of(move.context, move.target), size)
    returning = CopyBack(route.turned(), places, peer_of(move.context, move.source), size)
    data: tuple[Action, ...] = (
        SafetyCopy(route, move.source, places, size),
        returning,
        Renamed(key="verify-copy-back", action=VerifyVolumes(route.turned(), places, size, returning.proving())),
    )
    return (
        _confirm_kept(move, discard or "") if dead else _confirm(move, needs_space=not discard),
        *([] if dead else [_written_since(move, discard=discard)]),
        _links(move, back),
        *([Renamed(key="start-probe-back", action=StartProbe(route, aim))] if aim else []),
        *([] if dead else [_stop_moved(move, route, keep=bool(discard))]),
        *(() if discard else data),
        SwitchClientsBack(route, wanted_forwarders(scope, back), wanted_forwarders(scope, moved), scope.hosts),
        StartReturned(route, keep=bool(discard), grace_s=move.product.stop_grace_s),
        _ask(
            "ready-returned",
            say("wait until {service} is ready on {source}", service=move.service, source=move.source),
            lambda: health.judge_ready(move.context, move.service, move.source),
        ),
        _fingerprint(move, "source" if discard else BEFORE_RETURN),
        _ask(
            "smoke-returned",
            say("use {service} on {source}", service=move.service, source=move.source),
            lambda: health.judge_smoke(move.context, move.service, move.source),
        ),
        *_dependants(move),
        *([Renamed(key="return-outage", action=RecordedOutage(MeasureOutage(route, aim), way_back))] if aim else []),
        *(
            [CleanSource(route, (COPY, REPLICA, ASIDE), (COPY_WAY, REPLICA_WAY))]
            if dead
            else [
                CleanTarget(
                    route,
                    creating,
                    copying,
                    bool(discard),
                    lambda: data_steps(move, route).clear,
                    move.product.stop_grace_s,
                )
            ]
        ),
    )


def _stop_moved(move: ServiceMove, route: Route, *, keep: bool) -> StopMoved:
    product, saving = move.product, before_stop(move, move.target)
    return StopMoved(route, product.stop_grace_s, product.clean_exit_codes, *saving, keep=keep)


def _ask(key: str, words: str, question: Callable[[], Judgement]) -> ReadOnlyStep:
    return ReadOnlyStep(key, words, question)


def _confirm(move: ServiceMove, *, needs_space: bool) -> ReadOnlyStep:
    """Return the question whether both containers are where a rollback starts from, and what it sets aside has room."""

    def ask() -> Judgement:
        kept, problem = find_kept(move, as_it_is=not needs_space)
        if kept is None:
            return problem
        name, source = move.entry.container, move.source_facts()
        moved = move.target_facts().container(name)
        if moved is None:
            return failed(
                say(
                    "{target}: no container {name}. Expected: the moved one. Look: ssh {target} docker ps -a",
                    target=move.target,
                    name=name,
                )
            )
        needs = [
            SpaceNeed(say("{service}: data set aside", service=move.service), source.docker_root, move.bytes_to_copy())
        ]
        room = judge_space(source, needs, ASIDE_FACTOR) if needs_space else passed(say("nothing is set aside"))
        if not room.passed:
            return room
        return passed(
            say(
                "{moved_name} is {state} on {target}, {kept_name} is {kept_state} on {source}; {text}",
                moved_name=moved.name,
                state=moved.state,
                target=move.target,
                kept_name=kept.name,
                kept_state=kept.state,
                source=move.source,
                text=room.text,
            )
        )

    return ReadOnlyStep(
        "confirm-rollback",
        say(
            "look whether {service} stands on {target} and is kept on {source}",
            service=move.service,
            target=move.target,
            source=move.source,
        ),
        ask,
    )


def _confirm_kept(move: ServiceMove, reason: str) -> ReadOnlyStep:
    """Return the question whether the source's container is there to go back to; its new host is dead and not asked."""

    def ask() -> Judgement:
        kept, problem = find_kept(move, as_it_is=True)
        if kept is None:
            return problem
        return passed(
            say(
                "{name} is {state} on {source}; what was written on {target} since the move is lost with it ({reason})",
                name=kept.name,
                state=kept.state,
                source=move.source,
                target=move.target,
                reason=reason,
            )
        )

    return ReadOnlyStep(
        "confirm-rollback",
        say(
            "look whether {service} is kept on {source}; {target} is declared lost",
            service=move.service,
            source=move.source,
            target=move.target,
        ),
        ask,
    )


def _written_since(move: ServiceMove, *, discard: str | None) -> ReadOnlyStep:
    """Return the reading of what the target holds now, and what of it was written since the cutover."""

    def ask() -> Judgement:
        container = move.container_on(move.target)
        if not container.running:
            return _last_reading(move, container.state, discard=discard)
        now = move.fingerprint(move.target, since=None)
        if not now.parts:
            return passed(
                say(
                    "{service}: {no_data}; whatever was written on {target} {fate}",
                    service=move.service,
                    no_data=NO_DATA,
                    target=move.target,
                    fate=_fate(move, discard=discard),
                )
            )
        move.record_fingerprint(move.target, BEFORE_RETURN, now)
        lines = describe_writes(move.recorded_fingerprint("cutover"), now)
        told = say(
            "{lines_count} of {parts_count} parts were written on {target} since the cutover",
            lines_count=len(lines),
            parts_count=len(now.parts),
            target=move.target,
        )
        return passed(
            say(
                "{told}{lines}. This {fate}",
                told=told,
                lines=say(": {lines}", lines=joined("; ", lines[:3])) if lines else "",
                fate=_fate(move, discard=discard),
            ),
            tuple(lines),
            parts_written=len(lines),
        )

    return ReadOnlyStep(
        "target-writes",
        say(
            "read what was written to {service} on {target} since the cutover; it {fate}",
            service=move.service,
            target=move.target,
            fate=_fate(move, discard=discard),
        ),
        ask,
    )


def _last_reading(move: ServiceMove, state: str, *, discard: str | bool | None) -> Judgement:
    """Judge a target that does not run: what this very rollback read of it before its stop counts, no older reading."""
    now = move.recorded_fingerprint(BEFORE_RETURN)
    if now is not None:
        lines = describe_writes(move.recorded_fingerprint("cutover"), now)
        told = say(
            "{lines_count} of {parts_count} parts were written there since the cutover",
            lines_count=len(lines),
            parts_count=len(now.parts),
        )
        fate = _fate(move, discard=discard)
        return passed(
            say(
                "{service} on {target}: was read before this rollback stopped it: {told}. This {fate}",
                service=move.service,
                target=move.target,
                told=told,
                fate=fate,
            ),
            tuple(lines),
        )
    if discard:
        return passed(
            say(
                "{target}: {service} is {state}, so what was written there since the cutover is not counted. All of it "
                "{fate}",
                target=move.target,
                service=move.service,
                state=state,
                fate=_fate(move, discard=discard),
            )
        )
    return passed(
        say(
            "{target}: {service} is {state}; its files are brought back as they are, and proven",
            target=move.target,
            service=move.service,
            state=state,
        )
    )


def _fate(move: ServiceMove, *, discard: str | bool | None) -> str:
    return (
        say(
            "is NOT brought back: it stays on {target} (the reason given: {discard})",
            target=move.target,
            discard=discard,
        )
        if discard
        else say("is brought back to {source}", source=move.source)
    )


def describe_writes(before: Fingerprint | None, now: Fingerprint) -> list[str]:
    """Return a line for each part that is new or differs from the cutover's reading, with both counts."""
    then = before.parts if before else {}
    lines: list[str] = []
    for name, part in now.parts.items():
        old = then.get(name)
        if old is None:
            lines.append(say("{name}: new, {count:,}", name=name, count=part.count))
        elif (old.count, old.digest) != (part.count, part.digest):
            lines.append(
                say("{name}: {old_count:,} → {part_count:,}", name=name, old_count=old.count, part_count=part.count)
                if old.count != part.count
                else say("{name}: content changed ({count:,})", name=name, count=part.count)
            )
    gone = [
        say("{name}: gone, was {count:,}", name=name, count=part.count)
        for name, part in then.items()
        if name not in now.parts
    ]
    return lines + gone


def _links(move: ServiceMove, back: dict[str, str]) -> ReadOnlyStep:
    """Return the question whether each link can be kept once the service is back; services that moved later reach it by
    relays.
    """

    def ask() -> Judgement:
        wanted = plan_forwarders(move.context.scope, back)
        mine = [text for text in wanted.problems if move.service in text]
        if mine:
            return failed(
                say(
                    "{service}: {count} links can't be kept from {source}: {first_mine}. Roll back that dependant "
                    "first",
                    service=move.service,
                    count=len(mine),
                    source=move.source,
                    first_mine=mine[0],
                ),
                tuple(mine),
            )
        relays = sorted(one.text() for one in wanted.forwarders)
        return passed(
            say(
                "all links of {service} can be kept once it is back on {source}; {count} relays then",
                service=move.service,
                source=move.source,
                count=len(relays),
            ),
            tuple(relays),
        )

    return ReadOnlyStep(
        "links-returnable",
        say("look whether every dependant can reach {service} on {source}", service=move.service, source=move.source),
        ask,
    )


def _fingerprint(move: ServiceMove, moment: str) -> ReadOnlyStep:
    def ask() -> Judgement:
        before = move.recorded_fingerprint(moment)
        if before is None:
            files = (
                say("those that it left behind, not compared with anything")
                if moment == "source"
                else say("compared when they were brought back")
            )
            return passed(
                say("{service}: {no_data}; its files are {files}", service=move.service, no_data=NO_DATA, files=files)
            )
        now = move.fingerprint(move.source, since=before)
        move.record_fingerprint(move.source, "returned", now)
        return compare_fingerprints(before, now, frozenset({Validity.SINCE_CUTOVER}))

    then = say("there before the move") if moment == "source" else say("on {target}", target=move.target)
    words = say(
        "compare what {service} holds on {source} with what it held {then}",
        service=move.service,
        source=move.source,
        then=then,
    )
    return ReadOnlyStep("fingerprint-returned", words, ask)


def _dependants(move: ServiceMove) -> tuple[ReadOnlyStep, ...]:
    if not move.context.scope.dependants_of(move.service):
        return ()
    names = joined(", ", (link.from_ for link in move.context.scope.dependants_of(move.service)))
    return (
        ReadOnlyStep(
            "dependants-returned",
            say("ask {names} whether they work", names=names),
            lambda: health.judge_dependants(move),
        ),
    )


@dataclass(frozen=True)
class FinishUndo(BaseAction):
    """Finish the undo of a move that stopped before its commit: put back what it changed, see the source serve."""

    move: ServiceMove
    undo_attempt: Callable[[], str]
    state: Callable[[], MoveState]
    proof: Callable[[], Judgement | None] = lambda: None
    key = "finish-undo"

    def describe(self) -> str:
        """Return the dry run's line."""
        return say(
            "undo what the move of {service} did so far, in reverse, and see it serve on {source}",
            service=self.move.service,
            source=self.move.source,
        )

    def do(self, note: Note) -> None:
        """Undo; the note says how it ended."""
        note["ended"] = self.undo_attempt()

    def verify(self, note: Note) -> Judgement:
        """Judge whether the move is undone and the source serves."""
        ended = str(note.get("ended", "")) or say("not undone yet")
        if self.state() is not MoveState.UNDONE:
            return failed(ended)
        proof = self.proof()
        return passed(ended) if proof is None or proof.passed else Judgement(proof.verdict, ended)
