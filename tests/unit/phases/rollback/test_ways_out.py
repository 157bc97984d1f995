"""A move whose commit was begun, and whose source somebody started by hand: each state has a command that leads out."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from actions.container.source import StopSource
from actions.container.target import CreateTarget, StartTarget
from actions.rollback.start_returned import StartReturned
from engine.contracts.action import Action
from engine.contracts.move_state import MoveState
from engine.errors import NotObservedError
from engine.journal.journal import Journal, Run
from engine.redaction.redactor import Redactor
from engine.saga.outcomes import NotRun
from engine.saga.saga import RunningMove
from engine.verdict import Judgement, Verdict, passed
from phases.context.attempt import read_past
from phases.migrate.recipe import REPEATABLE, recipe
from phases.rollback.kept_source import find_kept
from phases.rollback.recipe import COMMIT_BEGUN, begun_commit
from tests.fakes.inspect_answer import inspected, recreated
from tests.fakes.two_hosts import SOURCE, TARGET, Model, changing
from tests.unit.actions.container.test_source import Engine, stopped_route

NEVER = "0001-01-01T00:00:00Z"


@pytest.fixture(autouse=True)
def no_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write no audit log."""
    monkeypatch.setattr("actions.common.route.append_audit", lambda *_, **__: None)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a run with an empty journal."""
    return Journal.open(tmp_path / "state" / "p.sqlite", redactor=Redactor()).start_run(
        command="migrate", environment="production"
    )


def created() -> dict[str, Any]:
    """Return the target's container before its first start."""
    return {**recreated(), "State": {"Status": "created", "Running": False, "ExitCode": 0, "StartedAt": NEVER}}


def start_by_hand(engine: Engine, *, stops: bool) -> None:
    """Start a host's container, and stop it again."""
    name = engine.containers[0]["Id"]
    engine.start(name)
    if stops:
        engine.stop(name, 10)


def test_a_container_that_never_ran_shows_that_its_start_was_no_commit() -> None:
    """Killed before the request: the product did nothing yet. Once it ran it counts, also when somebody removed it."""
    target = Engine(created())
    route, _ = stopped_route(Engine(inspected()), target)
    start = StartTarget(route, 10, acts=True)
    assert start.why_committed() == ""
    start.do({})
    assert "its product acts on the world as soon as it starts" in start.why_committed()
    target.containers.clear()
    assert "redis ran since" in start.why_committed()
    assert "not there any more" in start.why_committed()


def resumed(run: Run, source: Engine, target: Engine, *, started: bool) -> tuple[RunningMove, list[Judgement]]:
    """Return an acting move that goes on after a kill in the start of its target, and its rows; somebody has started
    and stopped the source meanwhile.
    """
    route, _ = stopped_route(source, target)
    stop, create, start = StopSource(route, 10), CreateTarget(route), StartTarget(route, 10, acts=True)
    run.record("move_state", service="redis", body={"state": "in_progress"})
    for action in (stop, create):
        run.record("intent", service="redis", key=action.key, body={"note": {}, "effect": "changes_state"})
        run.record("outcome", service="redis", key=action.key, body={"ok": True, "text": "done", "note": {}})
    run.record("intent", service="redis", key=start.key, body={"note": {}, "effect": "changes_state", "commits": True})
    if started:
        start.do({})
        target.stop(target.containers[0]["Id"], 10)
    start_by_hand(source, stops=True)
    again = RunningMove(
        "redis",
        (stop, create, start),
        run,
        apply=True,
        past=read_past(run.journal, "redis"),
        repeatable=REPEATABLE,
        prove_source=lambda: passed("serves"),
        where="--lab",
    )
    rows = []
    for action in again.recipe:
        with suppress(NotRun):
            rows.append(again.perform(action.key))
    return again, rows


def test_a_source_with_newer_writes_serves_again_when_the_target_never_ran(run: Run) -> None:
    """The start was begun and did not happen: the move is undone, and the source runs with all that it holds."""
    source, target = Engine(inspected()), Engine(created())
    move, rows = resumed(run, source, target, started=False)
    assert rows[0].verdict is Verdict.FAILED
    assert "Undone (start-target, create-target, stop-source)" in rows[0].text
    assert move.state is MoveState.UNDONE
    assert source.containers[0]["State"]["Status"] == "running"
    assert target.containers == []


def test_two_sides_that_both_ran_are_left_with_the_command_that_takes_the_move_back(run: Run) -> None:
    """Each may hold writes that the other lacks: nothing is undone, and no retry is advised, since none can pass."""
    source, target = Engine(inspected()), Engine(created())
    move, rows = resumed(run, source, target, started=True)
    assert "Nothing was undone" in rows[0].text
    assert "To take it back: nox -s rollback -- redis --apply --lab" in rows[0].text
    assert "To resume" not in rows[0].text
    assert move.state is MoveState.IN_PROGRESS
    assert len(target.containers) == 1


def begun_until_start(monkeypatch: pytest.MonkeyPatch, run: Run) -> tuple[Model, Action]:
    """Return a move whose target's start is its commit, and was begun; the start is returned, and not done yet."""
    monkeypatch.setattr("phases.migrate.recipe.reached_on_start", lambda *_: ("n8n",))
    model = Model(monkeypatch, run)
    run.record("move_state", service="redis", body={"state": "in_progress"})
    for action in changing([one for one in recipe(model.move, 1) if one.key != "remove-copy-helpers"]):
        note: dict[str, Any] = {}
        if hasattr(action, "observe"):
            action.observe(note)
        body = {"effect": "changes_state", "note": note, "commits": action.commits}
        run.record("intent", service="redis", key=action.key, body=body)
        if action.key == "start-target":
            return model, action
        action.do(note)
    raise AssertionError("the recipe has no start-target")


def test_a_rollback_looks_whether_a_start_that_was_begun_happened(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Not started: the move is undone. Started, or gone with a saved run: it goes back as a committed one. No answer:
    it is not guessed.
    """
    model, start = begun_until_start(monkeypatch, run)
    assert read_past(run.journal, "redis").may_have_committed
    assert begun_commit(model.move) == ""
    start.do({})
    assert begun_commit(model.move) == COMMIT_BEGUN
    model.engines[TARGET].silent_for = 1
    with pytest.raises(NotObservedError):
        begun_commit(model.move)


def test_nothing_is_brought_back_over_a_source_that_ran_since(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """The rollback says so before it stops anything, with the command that keeps both; with that one it may run."""
    model, _ = begun_until_start(monkeypatch, run)
    kept, told = find_kept(model.move, as_it_is=False)
    assert (kept is not None, told.passed) == (True, True)
    for stops, ran in ((True, "was started again at"), (False, "is running")):
        start_by_hand(model.engines[SOURCE], stops=stops)
        kept, told = find_kept(model.move, as_it_is=False)
        assert (kept, told.verdict) == (None, Verdict.FAILED)
        assert ran in told.text
        command = "nox -s rollback -- redis --environment production --discard-target-writes 'compared by hand' --apply"
        assert told.text.endswith(f": {command}")
        assert find_kept(model.move, as_it_is=True)[1].passed
    model.engines[SOURCE].containers.clear()
    assert "is not there" in find_kept(model.move, as_it_is=True)[1].text


def test_a_running_source_is_stopped_before_it_gets_its_name_back() -> None:
    """Somebody started the kept container of a service whose target's writes are given up."""
    source, target = Engine(inspected()), Engine(created())
    route, _ = stopped_route(source, target)
    source.rename("redis", "redis-moved")
    start_by_hand(source, stops=False)
    renamed, rename = [], source.rename

    def note_state(name: str, new: str) -> None:
        renamed.append(source.containers[0]["State"]["Status"])
        rename(name, new)

    source.rename = note_state  # type: ignore[method-assign]
    StartReturned(route, keep=True).do({})
    assert renamed == ["exited"]
    assert (source.containers[0]["Name"], source.containers[0]["State"]["Status"]) == ("/redis", "running")
