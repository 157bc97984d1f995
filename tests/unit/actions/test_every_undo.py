"""Every undo and every resume, with an empty note, against hosts in each state that a kill can leave: right by looking,
or a person.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import delete, update

import actions
from actions.common.base_action import BaseAction, WrappedAction
from actions.copy.safety_copy import proof_path
from engine.contracts.action import Action
from engine.errors import LongshoreError, ManualInterventionError
from engine.journal.database import RECORDS, WRITTEN
from engine.journal.journal import Journal, Run
from engine.redaction.redactor import Redactor
from phases.context.readonly_step import ReadOnlyStep
from phases.context.service_move import ServiceMove, service_move
from phases.migrate.recipe import REPEATABLE, recipe
from phases.prepare.recipe import prepare_recipe
from phases.repoint.recipe import repoint_recipe
from phases.repoint.subject import pointing_of
from phases.rollback.recipe import rollback_recipe
from tests.fakes.inspect_answer import inspected
from tests.fakes.two_hosts import DATA, HOOKS, POLICY, REWRITTEN, SOURCE, TARGET, Killed, Model, changing, scope_of

Meddling = Callable[[Model], None]
Notes = dict[str, dict[str, Any]]
MOST_STEPS: Final = 12
STATES: Final[dict[str, list[tuple[int, int]]]] = {}
WRAPPED: Final = ("action",)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a run with an empty journal."""
    return Journal.open(tmp_path / "state" / "p.sqlite", redactor=Redactor()).start_run(
        command="migrate", environment="production"
    )


def _anew(run: Run) -> Run:
    """Return a run in an emptied journal: what an earlier state left on record says nothing of the next one."""
    with run.journal.engine.begin() as connection:
        connection.execute(delete(RECORDS))
        connection.execute(update(WRITTEN).values(records=0, head=""))
    return run.journal.start_run(command="migrate", environment="production")


def _started_by_hand(host: str, *, stops: bool, writes: bool = True) -> Meddling:
    def meddle(model: Model) -> None:
        engine = model.engines[host]
        if not model.services(host) or model.runs(host):
            return
        name = model.services(host)[0]["Id"]
        engine.start(name)
        if writes:
            model.write_on(host)
        if stops:
            engine.stop(name, 10)

    return meddle


def _restarted(model: Model) -> None:
    """The target's host was started anew: what restarts by itself does."""
    for host in (SOURCE, TARGET):
        for item in model.engines[host].containers:
            if item["State"]["Status"] == "running":
                model.engines[host].stop(item["Id"], 10)
                if item["HostConfig"]["RestartPolicy"]["Name"] != "no":
                    model.engines[host].start(item["Id"])
    model.write()


def _silent(host: str, calls: int) -> Meddling:
    def meddle(model: Model) -> None:
        model.engines[host].silent_for = calls

    return meddle


MEDDLING: Final[dict[str, Meddling]] = {
    "nobody": lambda _model: None,
    "source started by hand": _started_by_hand(SOURCE, stops=False),
    "source started and stopped by hand": _started_by_hand(SOURCE, stops=True),
    "target started by hand": _started_by_hand(TARGET, stops=False),
    "target started and stopped by hand": _started_by_hand(TARGET, stops=True),
    "both hosts started anew": _restarted,
    "the source's engine is silent once": _silent(SOURCE, 1),
    "the target's engine is silent once": _silent(TARGET, 1),
    "the source's engine is silent": _silent(SOURCE, 10_000),
    "the target's engine is silent": _silent(TARGET, 10_000),
}


def _begun(model: Model, recipe_: list[Action], position: int, steps: int) -> bool:
    """Do the actions before a position, and `steps` changes of the one there; return whether it was killed in the
    middle.
    """
    for action in recipe_[:position]:
        action.do({})
        model.write()
    model.steps, model.last_step = 0, steps
    try:
        if steps:
            recipe_[position].do({})
    except Killed:
        return True
    finally:
        model.last_step = 0
        model.write()
    return not steps


def _undo(begun: list[Action]) -> str:
    """Undo as the saga does, with empty notes; return why it stopped, empty when all was undone."""
    for action in reversed(begun):
        try:
            action.undo({})
        except LongshoreError as error:
            return f"{action.key}: {error}"
    return ""


def _resume(recipe_: list[Action], begun: int) -> tuple[str, list[Action]]:
    """Resume as the saga does, with empty notes; return why it stopped and what was begun by then."""
    for position, action in enumerate(recipe_):
        try:
            if position < begun and action.verify({}).passed:
                continue
            if position < begun - 1 and action.key not in {"commit", "disable-restart", "relay-dependencies"}:
                return f"{action.key}: drift", recipe_[:begun]
            action.do({})
        except LongshoreError as error:
            return f"{action.key}: {error}", recipe_[: max(begun, position + 1)]
    return "", recipe_


def _states(make: Callable[[], tuple[Model, list[Action]]]) -> list[tuple[int, int]]:
    """Return each moment at which the process can be killed: in which action, after how many changes; looked for once a
    recipe.
    """
    way = make.__qualname__
    if way not in STATES:
        STATES[way] = _look_for_states(make)
    return STATES[way]


def _look_for_states(make: Callable[[], tuple[Model, list[Action]]]) -> list[tuple[int, int]]:
    found = []
    for position in range(len(make()[1])):
        for steps in range(MOST_STEPS):
            model, recipe_ = make()
            killed = _begun(model, recipe_, position, steps)
            found.append((position, steps))
            if not killed:
                break
        else:
            pytest.fail(f"{recipe_[position].key} changes hosts more than {MOST_STEPS} times")
    return found


def _forward(monkeypatch: pytest.MonkeyPatch, run: Run) -> Callable[[], tuple[Model, list[Action]]]:
    def make() -> tuple[Model, list[Action]]:
        model = Model(monkeypatch, _anew(run))
        return model, [action for action in changing(recipe(model.move, 1)) if action.key != "remove-copy-helpers"]

    return make


def by_strategy(move: ServiceMove, strategy: str) -> ServiceMove:
    """Return the move with another strategy."""
    return replace(move, planned=move.planned.model_copy(update={"strategy": strategy}))


def _travelling(monkeypatch: pytest.MonkeyPatch, run: Run, strategy: str) -> Callable[[], tuple[Model, list[Action]]]:
    """Return a move whose data travels while its service runs, with how it is cleared away."""

    def make() -> tuple[Model, list[Action]]:
        model = Model(monkeypatch, _anew(run))
        return model, changing(recipe(by_strategy(model.move, strategy), 1))

    make.__qualname__ = f"travelling by {strategy}"
    return make


def _begun_on_record(model: Model, recipe_: list[Action], position: int, steps: int) -> Notes:
    """Do as `_begun`, and return the notes on record: those of what came to its end, none of what was killed in the
    middle.
    """
    notes: Notes = {}
    for action in recipe_[:position]:
        note: dict[str, Any] = {}
        action.do(note)
        assert action.verify(note).passed, f"{action.key}: {action.verify(note)}"
        notes[action.key] = note
        model.context.run.record("outcome", service="redis", key=action.key, body={"ok": True, "note": note})
        model.write()
    _begun(model, [recipe_[position]], 0, steps)
    return notes


def _resume_with_notes(recipe_: list[Action], begun: int, notes: Notes, model: Model) -> tuple[str, list[Action]]:
    """Resume as the saga does, with the notes on record; return why it stopped and what was begun by then."""
    for position, action in enumerate(recipe_):
        note = notes.setdefault(action.key, {})
        try:
            if position < begun:
                if action.verify(note).passed:
                    continue
                if action.key in {one.key for one in recipe_[: begun - 1]} - REPEATABLE:
                    return f"{action.key}: drift", recipe_[:begun]
            action.do(note)
            if not (seen := action.verify(note)).passed:
                return f"{action.key}: {seen.text}", recipe_[: max(begun, position + 1)]
        except LongshoreError as error:
            return f"{action.key}: {error}", recipe_[: max(begun, position + 1)]
        model.context.run.record("outcome", service="redis", key=action.key, body={"ok": True, "note": note})
    return "", recipe_


def _backward(monkeypatch: pytest.MonkeyPatch, run: Run) -> Callable[[], tuple[Model, list[Action]]]:
    def make() -> tuple[Model, list[Action]]:
        model, moved = _forward(monkeypatch, run)()
        for action in moved:
            action.do({})
            model.write()
        back = list(rollback_recipe(model.move, 1, discard=None))
        return model, changing(back)

    return make


def _check_kept(model: Model, case: str) -> None:
    """No acknowledged write is lost, whatever was done by whom."""
    assert not model.lost(SOURCE, TARGET), f"{case}: lost {model.lost(SOURCE, TARGET)}; {model.volumes}"


@pytest.mark.parametrize("meddling", list(MEDDLING))
def test_the_undo_of_a_killed_move_loses_nothing(monkeypatch: pytest.MonkeyPatch, run: Run, meddling: str) -> None:
    """At each moment of the move, whoever meddled: the source serves all that was written, alone; or a person is asked
    and nothing is deleted.
    """
    make = _forward(monkeypatch, run)
    for position, steps in _states(make):
        model, moving = make()
        _begun(model, moving, position, steps)
        both = model.runs(SOURCE) and model.runs(TARGET)
        MEDDLING[meddling](model)
        both = both or (model.runs(SOURCE) and model.runs(TARGET))
        case = f"{meddling}, killed in {moving[position].key} after {steps} changes"
        stopped = _undo(moving[: position + 1])
        case += f": {stopped or 'undone'}"
        _check_kept(model, case)
        assert both or not (model.runs(SOURCE) and model.runs(TARGET)), f"{case}: two writers"
        if not stopped:
            assert model.runs(SOURCE), case
            assert not model.lost(SOURCE), f"{case}: {model.lost(SOURCE)}"
            assert (model.policy(SOURCE), model.engines[TARGET].containers) == (POLICY, []), case
        if meddling == "nobody" and moving[position].key not in {"start-target", "commit", "rename-source"}:
            assert not stopped, case


@pytest.mark.parametrize("meddling", list(MEDDLING))
def test_a_killed_move_that_is_resumed_loses_nothing(monkeypatch: pytest.MonkeyPatch, run: Run, meddling: str) -> None:
    """The resumed move ends with the target serving all that was written; or it stops, and the undo after that is as
    right as any.
    """
    make = _forward(monkeypatch, run)
    for position, steps in _states(make):
        model, moving = make()
        _begun(model, moving, position, steps)
        both = model.runs(SOURCE) and model.runs(TARGET)
        MEDDLING[meddling](model)
        both = both or (model.runs(SOURCE) and model.runs(TARGET))
        case = f"{meddling}, killed in {moving[position].key} after {steps} changes"
        stopped, begun = _resume(moving, position + 1)
        case += f": {stopped or 'moved'}"
        _check_kept(model, case)
        assert both or not (model.runs(SOURCE) and model.runs(TARGET)), f"{case}: two writers"
        if stopped:
            case += f"; {_undo(begun)}"
            _check_kept(model, case)
        elif not stopped:
            assert model.runs(TARGET), case
            assert not model.lost(TARGET), f"{case}: {model.lost(TARGET)}"
            assert model.policy(TARGET) == POLICY, case


@pytest.mark.parametrize("meddling", list(MEDDLING))
def test_the_undo_of_a_killed_rollback_loses_nothing(monkeypatch: pytest.MonkeyPatch, run: Run, meddling: str) -> None:
    """The target serves again with all that was written, alone; or a person is asked. What was set aside stays."""
    make = _backward(monkeypatch, run)
    for position, steps in _states(make):
        model, returning = make()
        _begun(model, returning, position, steps)
        both = model.runs(SOURCE) and model.runs(TARGET)
        MEDDLING[meddling](model)
        both = both or (model.runs(SOURCE) and model.runs(TARGET))
        case = f"{meddling}, killed in {returning[position].key} after {steps} changes"
        proven = proof_path("redis") in model.fleet[SOURCE].files
        aside = list(model.volumes.get((SOURCE, "redis_data-longshore-aside-1"), {}).get("content", ()))
        stopped = "" if returning[position].key == "clean-target" else _undo(returning[: position + 1])
        case += f": {stopped or 'undone'}"
        _check_kept(model, case)
        assert both or not (model.runs(SOURCE) and model.runs(TARGET)), f"{case}: two writers"
        if proven:
            assert model.content(SOURCE, "redis_data-longshore-aside-1") == aside, case
        if not stopped and returning[position].key != "clean-target":
            assert model.runs(TARGET), case
            assert not model.lost(TARGET), f"{case}: {model.lost(TARGET)}"
            assert model.policy(TARGET) == POLICY, case
        if meddling == "nobody" and returning[position].key != "start-returned":
            assert not stopped, case


@pytest.mark.parametrize("meddling", list(MEDDLING))
def test_a_killed_rollback_that_goes_on_loses_nothing(monkeypatch: pytest.MonkeyPatch, run: Run, meddling: str) -> None:
    """The source serves all that was written; or it stops, and never is a side removed that may hold newer writes."""
    make = _backward(monkeypatch, run)
    for position, steps in _states(make):
        model, returning = make()
        _begun(model, returning, position, steps)
        both = model.runs(SOURCE) and model.runs(TARGET)
        MEDDLING[meddling](model)
        both = both or (model.runs(SOURCE) and model.runs(TARGET))
        case = f"{meddling}, killed in {returning[position].key} after {steps} changes"
        stopped, _ = _resume(returning, position + 1)
        case += f": {stopped or 'returned'}"
        _check_kept(model, case)
        assert both or not (model.runs(SOURCE) and model.runs(TARGET)), f"{case}: two writers"
        if not stopped:
            assert model.runs(SOURCE), case
            assert not model.lost(SOURCE), f"{case}: {model.lost(SOURCE)}"
            assert model.policy(SOURCE) == POLICY, case


@pytest.mark.parametrize("strategy", ["precopy", "replicate"])
@pytest.mark.parametrize("meddling", list(MEDDLING))
def test_the_undo_of_a_killed_copy_while_it_runs_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, run: Run, meddling: str, strategy: str
) -> None:
    """Copied or replicated while the service runs: the source serves all that was written, alone, and nothing of ours
    is left; or a person.
    """
    make = _travelling(monkeypatch, run, strategy)
    for position, steps in _states(make):
        model, moving = make()
        _begun(model, moving, position, steps)
        both = model.runs(SOURCE) and model.runs(TARGET)
        MEDDLING[meddling](model)
        both = both or (model.runs(SOURCE) and model.runs(TARGET))
        case = f"{meddling}, killed in {moving[position].key} after {steps} changes"
        stopped = _undo(moving[: position + 1])
        case += f": {stopped or 'undone'}"
        _check_kept(model, case)
        assert both or not (model.runs(SOURCE) and model.runs(TARGET)), f"{case}: two writers"
        if not stopped:
            assert model.runs(SOURCE), case
            assert not model.lost(SOURCE), f"{case}: {model.lost(SOURCE)}"
            assert (model.policy(SOURCE), model.engines[TARGET].containers, model.ends) == (POLICY, [], set()), case
            assert (TARGET, DATA) not in model.volumes, case
        if meddling == "nobody" and moving[position].key not in {
            "start-target",
            "commit",
            "remove-copy-helpers",
            "rename-source",
        }:
            assert not stopped, case


@pytest.mark.parametrize("strategy", ["precopy", "replicate"])
@pytest.mark.parametrize("meddling", list(MEDDLING))
def test_a_killed_copy_while_it_runs_that_is_resumed_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, run: Run, meddling: str, strategy: str
) -> None:
    """What was killed has an empty note, what came to its end has its own: the target serves all that was written; or
    it stops, and is undone.
    """
    make, moved = _travelling(monkeypatch, run, strategy), 0
    for position, steps in _states(make):
        model, moving = make()
        notes = _begun_on_record(model, moving, position, steps)
        both = model.runs(SOURCE) and model.runs(TARGET)
        MEDDLING[meddling](model)
        both = both or (model.runs(SOURCE) and model.runs(TARGET))
        case = f"{meddling}, killed in {moving[position].key} after {steps} changes"
        stopped, begun = _resume_with_notes(moving, position + 1, notes, model)
        moved += not stopped
        case += f": {stopped or 'moved'}"
        _check_kept(model, case)
        assert both or not (model.runs(SOURCE) and model.runs(TARGET)), f"{case}: two writers"
        if stopped:
            case += f"; {_undo(begun)}"
            _check_kept(model, case)
        else:
            assert model.runs(TARGET), case
            assert not model.lost(TARGET), f"{case}: {model.lost(TARGET)}"
            assert (model.policy(TARGET), model.ends, len(model.engines[TARGET].containers)) == (POLICY, set(), 1), case
    assert moved or "silent" in meddling or "by hand" in meddling, "no resumed copy came to its end"


def _all_actions(monkeypatch: pytest.MonkeyPatch, run: Run) -> list[Action]:
    """Return every action of every recipe, wrappers and what they wrap."""
    monkeypatch.setenv("BACKUP_PASSWORD", "a-backup-password")
    model = Model(monkeypatch, run, scope_of(HOOKS, REWRITTEN, services=("n8n", "redis")))
    move = model.move
    n8n = inspected()
    n8n.update(Id="8" * 64, Name="/n8n", Mounts=[])
    model.engines[SOURCE].containers.append(n8n)
    found: list[Any] = [
        *prepare_recipe(move),
        *repoint_recipe(pointing_of(move)),
        *recipe(service_move(model.context, "n8n"), 1),
    ]
    for strategy in ("stop_copy", "precopy", "replicate"):
        planned = by_strategy(move, strategy)
        found += [
            *recipe(planned, 1),
            *rollback_recipe(planned, 1, discard=None),
            *rollback_recipe(planned, 1, discard="why"),
            *rollback_recipe(planned, 1, discard="why", dead=True),
        ]
    for action in found:
        found.extend(getattr(action, name) for name in WRAPPED if hasattr(getattr(action, name, None), "undo"))
    return found


def _classes() -> set[type]:
    """Return the classes in actions/ that can be done and undone."""
    found = set()
    for module in pkgutil.walk_packages(actions.__path__, "actions."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if (
                kind.__module__.startswith("actions.")
                and all(hasattr(kind, name) for name in ("do", "verify", "undo", "describe"))
                and kind is not WrappedAction
            ):
                found.add(kind)
    return found


NOTHING_TO_UNDO: Final = {
    "RemoveCopyHelpers": "whoever needs the helpers makes them again",
    "VerifyVolumes": "it compares; what it copies once more is undone with the copy",
    "ProveReplica": "it compares",
    "MeasureOutage": "a measurement stays",
    "UndoReferences": "a resumed undo is never taken back",
    "CleanTarget": "the rollback is committed by then",
    "CleanSource": "the rollback is committed by then",
}
"""Actions that leave nothing to be undone, and why."""


def test_who_undoes_nothing_is_known() -> None:
    """A new action without an undo of its own is a decision that stands here, never an oversight."""
    assert {kind.__name__ for kind in _classes() if kind.undo is BaseAction.undo} == set(NOTHING_TO_UNDO)


def test_every_action_is_in_a_recipe_and_bears_an_empty_note(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Verify and undo of each, of hosts on which nothing was done: an answer, or an error of ours that says what to do;
    never a defect.
    """
    found = _all_actions(monkeypatch, run)
    left = {kind.__name__ for kind in _classes()} - {type(action).__name__ for action in found}
    assert left == {"UndoReferences"}  # it stands before the recipe and asks the actions in it
    for action in (one for one in found if not isinstance(one, ReadOnlyStep)):
        for answer in (action.verify, action.undo):
            with suppress(LongshoreError):
                answer({})


def test_a_person_gets_both_ways_when_a_commit_may_have_switched_clients(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """Forward with what was written, or back with it; and where to look first."""
    _, moving = _forward(monkeypatch, run)()
    for action in moving:
        action.do({})
        if action.key == "commit":
            break
    with pytest.raises(
        ManualInterventionError,
        match=(
            r"nox -s migrate -- --environment production --service redis --apply, or bring back .* nox -s "
            r"rollback -- redis --environment"
        ),
    ):
        action.undo({})
