"""Defects that were fixed, put back one by one: the simulator is worth something when it finds each of them.

Each is known by its number and says what it was. `put_back(number)` restores it in the product's modules, until the end
of the block.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

import phases.context.frozen_plan
import phases.session.opening
from actions.common.route import docker_api
from actions.common.toolbox import remove_helpers
from actions.container.commit import Commit
from actions.container.source import DisableRestart, StopSource
from actions.container.target import CreateTarget, StartTarget
from actions.container_spec import identity
from actions.container_spec.identity import find_source, name_of
from actions.copy import safety_copy
from actions.copy.endpoints import CopyEndpoints
from actions.copy.locations import remove_place
from actions.relays import reconcile
from actions.relays.reconcile import refuse_outside
from actions.rollback.copy_back import CopyBack
from actions.rollback.start_returned import StartReturned
from actions.rollback.stop_moved import StopMoved
from engine.container_names import kept_name
from engine.polling import Polling
from engine.saga.patience import Patience
from engine.saga.saga import RunningMove
from engine.saga.state import AttemptState
from engine.verdict import failed, passed
from tests.simulation import engine_api
from tests.simulation.clock import ROOMS
from tests.simulation.shell import SimHost


@dataclass(frozen=True)
class PutBack:
    """A defect: what it was, how it is put back, and seeds that are known to find it."""

    said: str
    patch: Callable[[pytest.MonkeyPatch], None]
    seeds: range


def _everywhere(patch: pytest.MonkeyPatch, original: Any, instead: Any) -> None:
    """Replace a function in every module of the product that has it by name."""
    for name, module in list(sys.modules.items()):
        if module is not None and name.partition(".")[0] in ROOMS:
            for attribute, value in list(vars(module).items()):
                if value is original:
                    patch.setattr(module, attribute, instead)


def _no_answer_undoes(patch: pytest.MonkeyPatch) -> None:
    """What could not be seen was taken for wrong, and undone; a commit that was begun did not count."""
    undo = RunningMove._undo_attempt

    def undo_all(self: RunningMove, reason: str) -> str:
        self.past = replace(self.past, committing=frozenset())
        return undo(self, reason)

    patch.setattr(RunningMove, "_stop", RunningMove._fail)
    patch.setattr(AttemptState, "may_have_committed", property(lambda _self: False))
    patch.setattr(Patience, "_polling", lambda _self: Polling("an answer", 0.0))
    patch.setattr(RunningMove, "_undo_attempt", undo_all)


def _commit_is_undone(patch: pytest.MonkeyPatch) -> None:
    _no_answer_undoes(patch)
    patch.setattr(Commit, "why_not_undone", lambda _self: "")
    patch.setattr(StartTarget, "why_not_undone", lambda _self, _inspect=None: "")
    patch.setattr(CreateTarget, "_need_removable", lambda _self, _container: None)


def _running_source_is_renamed(patch: pytest.MonkeyPatch) -> None:
    _no_answer_undoes(patch)

    def undo(self: StartReturned, _note: Any) -> None:
        inspect = find_source(self.route)
        if inspect is not None and name_of(inspect) == self.route.container:
            with docker_api(self.route.fleet, self.route.source, "rename") as api:
                api.rename(str(inspect["Id"]), kept_name(self.route.container))

    def find_stopped(move: Any, *, as_it_is: bool) -> Any:
        name, source = move.entry.container, move.source_facts()
        kept = source.container(kept_name(name)) or source.container(name)
        if kept is None or kept.running:
            return None, failed(f"{name} is not kept and stopped")
        return kept, passed("")

    patch.setattr(StartReturned, "undo", undo)
    patch.setattr("phases.rollback.recipe.find_kept", find_stopped)  # the later defence: it looks before it stops
    patch.setattr("actions.rollback.stop_moved.see_source_down", lambda _route: None)
    for file in ("stop_moved", "copy_back", "start_returned", "clean_target"):
        patch.setattr(
            f"actions.rollback.{file}.why_not_at_rest", lambda *_: ""
        )  # the later defence: each undo before it looks at the source, too


def _nothing_is_put_back(patch: pytest.MonkeyPatch) -> None:
    _no_answer_undoes(patch)

    def remove_aside(self: safety_copy.SafetyCopy, _note: Any) -> None:
        remove_helpers(self.route.fleet, self.host, self.route.move_label, safety_copy.ROLE)
        for place in self.places:
            remove_place(self.route, self.host, safety_copy.aside_of(place, self.route.move_label), self.key)

    patch.setattr(CopyBack, "undo", lambda self, _note: CopyEndpoints.remove(self.ends))
    patch.setattr(safety_copy.SafetyCopy, "undo", remove_aside)


def _only_the_moves_own_hosts(patch: pytest.MonkeyPatch, *, of: frozenset[str]) -> None:
    carried_out, with_hosts = phases.session.opening._carried_out, phases.session.opening.with_relay_hosts
    command_now = [""]

    def remember(options: Any, command: str, *given: Any) -> Any:
        command_now[0] = command
        return carried_out(options, command, *given)

    def its_own(scope: Any, journal: Any) -> Any:
        return scope if command_now[0] in of else with_hosts(scope, journal)

    patch.setattr(phases.session.opening, "_carried_out", remember)
    patch.setattr(phases.session.opening, "with_relay_hosts", its_own)
    _everywhere(
        patch, refuse_outside, lambda *_, **__: None
    )  # the later defence: relays are refused on hosts that a run does not hold
    list_all, fault_of, held = reconcile.list_all, reconcile._fault_of, [()]

    def list_and_remember(fleet: Any, hosts: Iterable[str], environment: str) -> Any:
        held[0] = tuple(hosts)
        return list_all(fleet, held[0], environment)

    def fault_where_held(forwarder: Any, there: Iterable[Any]) -> str:
        return fault_of(forwarder, there) if set(forwarder.hosts) <= set(held[0]) else ""

    patch.setattr(reconcile, "list_all", list_and_remember)
    patch.setattr(reconcile, "_fault_of", fault_where_held)


def _any_run_counts(patch: pytest.MonkeyPatch) -> None:
    _everywhere(patch, identity.another_run, lambda *_: "")
    for kind in (StopSource, StopMoved):  # the later defence: the run that is in the journal's note
        patch.setattr(kind, "verify", lambda self, _note, verify=kind.verify: verify(self, {}))


def _policy_only_in_the_outcome(patch: pytest.MonkeyPatch) -> None:
    do, undo = DisableRestart.do, DisableRestart.undo

    def observe_nothing(self: RunningMove, action: Any) -> Any:
        self._notes[action.key] = dict(self._notes.get(action.key, {}))
        return passed("observed")

    def do_and_note(self: DisableRestart, note: Any) -> None:
        do(self, note)
        note["noted"] = True

    patch.setattr(RunningMove, "_observe", observe_nothing)
    patch.setattr(DisableRestart, "do", do_and_note)
    patch.setattr(DisableRestart, "undo", lambda self, note: undo(self, note) if note.get("noted") else None)
    patch.setattr("actions.container.source.start_again", _start_again_as_it_is)


def _start_again_as_it_is(route: Any, inspect: Any, _key: str) -> None:
    with docker_api(route.fleet, route.source, "start again") as api:
        api.start(str(inspect["Id"]))


def _the_proof_may_break(patch: pytest.MonkeyPatch) -> None:
    def prove(self: RunningMove) -> Any:
        if self.prove_source is None:
            return None
        self.proof = self.prove_source()
        if self.proof.verdict.value == "UNKNOWN":
            raise AssertionError(self.proof.text)
        return self.proof

    patch.setattr(RunningMove, "_prove", prove)


def _lock_is_not_tested_with_the_change(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine_api, "FENCED", False)
    patch.setattr(SimHost, "_fenced", lambda self, words, stdin: self._do(words[3:], stdin))


def _again_carries_out_the_old_plan(patch: pytest.MonkeyPatch) -> None:
    begun = phases.context.frozen_plan._begun
    patch.setattr(
        phases.context.frozen_plan, "_begun", lambda scope, journal, _again: begun(scope, journal, frozenset())
    )
    patch.setattr(phases.session.opening, "refuse_other_than_approved", lambda *_: None)


PUT_BACKS: Final = {
    1: PutBack("a commit that was begun is undone with what clients wrote", _commit_is_undone, range(460, 461)),
    2: PutBack(
        "an undo renames a source that runs, and starts the target too",
        _running_source_is_renamed,
        range(683, 684),
    ),
    3: PutBack("what was set aside is removed while the source holds a mixture", _nothing_is_put_back, range(33, 34)),
    5: PutBack(
        "a run's hosts are its own moves' only",
        lambda patch: _only_the_moves_own_hosts(patch, of=frozenset({"migrate", "rollback"})),
        range(20, 21),
    ),
    6: PutBack(
        "a rollback leaves relays on other hosts",
        lambda patch: _only_the_moves_own_hosts(patch, of=frozenset({"rollback"})),
        range(1),
    ),
    7: PutBack(
        "a container that somebody started in between counts as the one that was stopped",
        _any_run_counts,
        range(95, 96),
    ),
    10: PutBack("the restart policy is known only once the outcome is", _policy_only_in_the_outcome, range(197, 198)),
    14: PutBack("a proof that breaks after an undo leaves the move in progress", _the_proof_may_break, range(783, 784)),
    15: PutBack("the lock is tested before a change, not with it", _lock_is_not_tested_with_the_change, range(85, 86)),
    16: PutBack("--retry carries out the plan of before", _again_carries_out_the_old_plan, range(45, 46)),
}


@contextmanager
def put_back(number: int | None) -> Iterator[None]:
    """Restore a defect until the end of the block; None restores nothing."""
    patch = pytest.MonkeyPatch()
    try:
        if number is not None:
            PUT_BACKS[number].patch(patch)
        yield
    finally:
        patch.undo()
