"""Runs that were killed in the middle of an action, and what a person did in between: nothing is deleted, and no policy
is
forgotten.
"""

from __future__ import annotations

import json
import re
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker.errors
import pytest
import requests.exceptions

from actions.common.route import inspect_container
from actions.container.commit import Commit
from actions.container.source import (
    DisableRestart,
    RenameSource,
    StopSource,
    grace_of,
    run_before_stop,
    see_target_down,
)
from actions.container.target import CreateTarget, StartTarget
from actions.container_spec.identity import refuse_used_places, see_source_down
from actions.container_spec.saved_spec import SaveSourceSpec, path_of
from actions.copy.locations import DataPlace
from actions.copy.ssh_channel import Peer
from actions.copy.volumes import CopyVolumes
from actions.relays.planning import Relay
from actions.rollback.clean_target import CleanTarget
from actions.rollback.copy_back import CopyBack
from actions.rollback.start_returned import StartReturned
from actions.rollback.stop_moved import StopMoved
from engine.contracts.action import Action
from engine.contracts.container import ContainerCommand
from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.contracts.move_state import MoveState
from engine.contracts.product import Observing
from engine.errors import ActionError, HostLostError, ManualInterventionError, NotObservedError, RefusedError
from engine.journal.journal import Journal, Run
from engine.redaction.redactor import Redactor
from engine.saga.outcomes import NotRun
from engine.saga.patience import Patience
from engine.saga.saga import RunningMove
from engine.saga.state import backward
from engine.verdict import Effect, Judgement, Verdict, failed, passed
from hosts.facts.model import HostFacts
from phases.assess import health
from phases.context.attempt import read_past, read_return
from phases.context.readonly_step import ReadOnlyStep
from phases.context.run_context import RunContext
from phases.context.service_move import ServiceMove, service_move
from phases.migrate.recipe import REPEATABLE, SUPERSEDED_BY
from phases.rollback import recipe as rollback
from phases.rollback.recipe import found_on_hosts
from tests.fakes.facts import LABEL
from tests.fakes.inspect_answer import inspected, recreated
from tests.fakes.two_hosts import SOURCE, TARGET, Model, ModelledFleet, ModelledHost, changing
from tests.unit.actions.container.test_source import Engine, make_route, recorded_route, stopped_route

RELAY = Relay("wf005", "shop", "redis", 6379, "192.0.2.1", 6379)
ROOT = Path(__file__).parents[4]
PLACE = DataPlace("volume", "redis_data")


class Data:
    """A copy that remembers whether it was taken away."""

    key, effect, commits = "copy-volumes", Effect.CHANGES_STATE, False

    def __init__(self) -> None:
        """Be there."""
        self.removed = False

    def describe(self) -> str:
        """Say what it is."""
        return "copy"

    def estimate_s(self) -> float:
        """Take a second."""
        return 1.0

    def do(self, note: dict[str, Any]) -> None:
        """Copy."""
        note["copied"] = 1

    def verify(self, note: dict[str, Any]) -> Judgement:
        """Be copied."""
        return passed("copied")

    def undo(self, note: dict[str, Any]) -> None:
        """Be taken away."""
        self.removed = True


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


def killed_in(run: Run, action: Action) -> None:
    """Let an action be done and the process end before its outcome is on record, with nothing noted."""
    run.record(
        "intent",
        service="redis",
        key=action.key,
        body={"describe": "", "effect": "changes_state", "estimate_s": 1.0, "note": {}},
    )
    action.do({})


def committing(monkeypatch: pytest.MonkeyPatch, run: Run) -> tuple[Engine, Engine, Data, tuple[Action, ...], list[Any]]:
    """Return a move that was killed in its commit: the relays run, nothing of it is on record."""
    source, target, relays = Engine(inspected()), Engine(), []  # type: ignore[var-annotated]
    route, _ = make_route(source, target)

    def apply(*given: Any) -> Any:
        relays[:] = [SimpleNamespace(running=True, made_for=relay.text()) for relay in given[-1]]
        return SimpleNamespace(created=(), removed=(), kept=())

    monkeypatch.setattr(
        "actions.container.commit.list_relays",
        lambda _fleet, host, _environment: list(relays) if host == "wf005" else [],
    )
    monkeypatch.setattr("actions.container.commit.apply_forwarders", apply)
    monkeypatch.setattr("actions.container.commit.judge_forwarders", lambda *_: passed("relays run"))
    data, commit = Data(), Commit(route, frozenset({RELAY}), frozenset(), ("wf005", "wf001"))
    recipe = (
        SaveSourceSpec(route),
        DisableRestart(route),
        StopSource(route, 10),
        data,
        CreateTarget(route),
        StartTarget(route, 10),
        commit,
    )
    move = RunningMove("redis", recipe, run, apply=True)
    for action in recipe[:-1]:
        assert move.perform(action.key).passed, action.key
    killed_in(run, commit)
    return source, target, data, recipe, relays


def test_a_commit_that_was_killed_is_never_undone_by_deleting(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Clients write through the relays: target, data and relays stay, the source stays stopped, and a person gets both
    ways.
    """
    source, target, data, recipe, relays = committing(monkeypatch, run)

    again = RunningMove(
        "redis", recipe, run, apply=True, past=read_past(run.journal, "redis"), prove_source=lambda: passed("serves")
    )
    again.undo_attempt("a rollback was asked for")
    with pytest.raises(
        ManualInterventionError,
        match=r"nox -s migrate -- --lab --service redis --apply, .* nox -s rollback -- redis --lab --apply",
    ):
        recipe[-1].undo({})

    assert again.state is not MoveState.UNDONE
    assert (len(target.containers), data.removed, len(relays)) == (1, False, 1)
    assert source.containers[0]["State"]["Status"] == "exited"


def test_a_lost_answer_of_a_resume_deletes_nothing_of_a_killed_commit(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """The source's engine does not answer once: whatever the resume makes of that, the target stays healthy."""
    source, target, data, recipe, relays = committing(monkeypatch, run)
    real, asked = source.inspect_container, []

    def flaky(name: str) -> dict[str, Any]:
        asked.append(name)
        if len(asked) == 2:
            raise requests.exceptions.ConnectionError("the forward was cut")
        return real(name)

    monkeypatch.setattr(source, "inspect_container", flaky)
    again = RunningMove(
        "redis",
        recipe,
        run,
        apply=True,
        past=read_past(run.journal, "redis"),
        repeatable=REPEATABLE,
        superseded_by=SUPERSEDED_BY,
        prove_source=lambda: passed("serves"),
        patience=Patience(pause=lambda _seconds: None),
    )
    for action in recipe:
        try:
            again.perform(action.key)
        except NotRun:
            break

    assert (len(target.containers), data.removed, len(relays)) == (1, False, 1)
    assert target.containers[0]["State"]["Status"] == "running"
    assert source.containers[0]["State"]["Status"] == "exited"


def test_the_restart_policy_comes_back_after_a_kill(run: Run) -> None:
    """Killed between the change and its record, resumed, then undone: the source has its old restart policy."""
    source = Engine(inspected())
    route, _ = make_route(source, Engine())
    recipe = (
        SaveSourceSpec(route),
        DisableRestart(route),
        StopSource(route, 10),
        ReadOnlyStep("later", "look", lambda: failed("it fails")),
    )
    RunningMove("redis", recipe, run, apply=True).perform("save-source-spec")
    killed_in(run, recipe[1])

    again = RunningMove(
        "redis", recipe, run, apply=True, past=read_past(run.journal, "redis"), prove_source=lambda: passed("serves")
    )
    for action in recipe:
        again.perform(action.key)

    assert again.state is MoveState.UNDONE
    assert source.containers[0]["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert source.containers[0]["State"]["Status"] == "running"


def test_the_moved_containers_policy_comes_back_after_a_killed_stop(run: Run) -> None:
    """The stop was killed before its record: its own host says which policy it had."""
    moved = recreated()
    moved["State"] = {"Status": "running", "Running": True, "StartedAt": "2026-01-01T00:00:00Z"}
    moved["HostConfig"]["RestartPolicy"] = {"Name": "always"}
    target = Engine(moved)
    route, _ = make_route(Engine(), target)
    recipe = (StopMoved(route, 10, {0, 143}), ReadOnlyStep("later", "look", lambda: failed("it fails")))
    for state in ("done", "rolling_back"):
        run.record("move_state", service="redis", body={"state": state})
    killed_in(run, recipe[0])

    stages, past = backward(MoveState.DONE), read_return(run.journal, "redis")
    again = RunningMove(
        "redis", recipe, run, apply=True, past=past, stages=stages, prove_source=lambda: passed("serves")
    )
    for action in recipe:
        again.perform(action.key)

    assert (target.containers[0]["HostConfig"]["RestartPolicy"]["Name"], target.containers[0]["State"]["Status"]) == (
        "always",
        "running",
    )


def test_a_policy_that_an_attempt_left_behind_is_not_recorded_as_the_containers_own() -> None:
    """The next attempt would commit `no`: it is refused, with the command that gives the policy back."""
    source = Engine(inspected())
    route, fleet = recorded_route(source, Engine())
    DisableRestart(route).do({})
    second: Any = SimpleNamespace(**{**vars(route), "move_label": "lab/redis/2", "audit": lambda *_: None})

    with pytest.raises(ActionError, match="docker update --restart unless-stopped redis"):
        SaveSourceSpec(second).do({})
    assert json.loads(fleet["wf005"].files[path_of("redis")])["move"] == LABEL


def run_again(engine: Engine, *, stops: bool = True) -> None:
    """Start a container by hand, and stop it later."""
    name = engine.containers[0]["Id"]
    engine.start(name)
    if stops:
        engine.stop(name, 10)


def test_a_source_that_ran_in_between_is_found() -> None:
    """Started by hand at 02:20, stopped at 08:00 with exit code 0: its writes are in no copy; also with an
    empty note.
    """
    source, target = Engine(inspected()), Engine()
    route, _ = stopped_route(source, target)
    assert StopSource(route, 10).verify({}).passed
    CreateTarget(route).do({})
    run_again(source)

    answer = StopSource(route, 10).verify({})
    assert answer.verdict is Verdict.FAILED
    assert "was started again at 2026-01-01T00:00:02Z" in answer.text
    for action in (CreateTarget(route), StartTarget(route, 10), Commit(route, frozenset(), frozenset(), ())):
        with pytest.raises(RefusedError, match="was started again"):
            action.do({})
    assert target.containers[0]["State"]["Status"] == "created"


def test_a_moved_container_that_ran_in_between_is_found() -> None:
    """A resumed rollback would remove the only place with its writes."""
    moved = recreated()
    moved["State"] = {"Status": "running", "Running": True, "StartedAt": "2026-01-01T00:00:00Z"}
    source, target = Engine(inspected()), Engine(moved)
    route, _ = recorded_route(source, target)
    StopSource(route, 10).do({})
    stop = StopMoved(route, 10, {0, 143})
    stop.do({})
    assert stop.verify({}).passed
    run_again(target)

    assert stop.verify({}).verdict is Verdict.FAILED
    with pytest.raises(RefusedError, match="was started again"):
        StartReturned(route).do({})
    run_again(source, stops=False)
    copying: Any = SimpleNamespace(undo=lambda _note: pytest.fail("the data was removed"), places=())
    with pytest.raises(RefusedError, match="newer writes, so nothing was removed"):
        CleanTarget(route, CreateTarget(route), copying, keep=False).do({})
    assert len(target.containers) == 1


def test_a_source_that_was_started_again_is_not_renamed_nor_doubled(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Killed in start-returned, then the target does not answer once: the source keeps its name and serves alone."""
    source, target = Engine(inspected()), Engine(recreated())
    route, _ = stopped_route(source, target)
    target.start("redis")
    RenameSource(route).do({})
    stop, start = StopMoved(route, 10, {0, 143}), StartReturned(route)
    for state in ("done", "rolling_back"):
        run.record("move_state", service="redis", body={"state": state})
    run.record("intent", service="redis", key=stop.key, body={"note": {}, "effect": "changes_state"})
    stop.do({})
    run.record("outcome", service="redis", key=stop.key, body={"ok": True, "text": "stopped", "note": {}})
    killed_in(run, start)
    real, asked = target.inspect_container, []

    def flaky(name: str) -> dict[str, Any]:
        asked.append(name)
        if len(asked) == 1:
            raise requests.exceptions.ConnectionError("the forward was cut")
        return real(name)

    monkeypatch.setattr(target, "inspect_container", flaky)
    again = RunningMove(
        "redis",
        (stop, start),
        run,
        apply=True,
        past=read_return(run.journal, "redis"),
        stages=backward(MoveState.DONE),
        repeatable=rollback.REPEATABLE,
        superseded_by=rollback.SUPERSEDED_BY,
        prove_source=lambda: passed("serves"),
        patience=Patience(pause=lambda _seconds: None),
    )
    again.perform("stop-moved")

    assert (source.containers[0]["Name"], source.containers[0]["State"]["Status"]) == ("/redis", "running")
    assert target.containers[0]["State"]["Status"] == "exited"
    with pytest.raises(ManualInterventionError, match="clients may have written there"):
        start.undo({})


def test_a_running_container_is_never_renamed() -> None:
    """Neither to its kept name nor back."""
    source = Engine(inspected())
    route, _ = recorded_route(source, Engine())
    with pytest.raises(RefusedError, match="Expected: stopped"):
        RenameSource(route).do({})
    source.containers[0]["Name"] = "/redis-moved"
    with pytest.raises(ManualInterventionError, match="was not renamed"):
        RenameSource(route).undo({})
    assert source.containers[0]["Name"] == "/redis-moved"


def test_what_was_set_aside_is_put_back_with_an_empty_note_and_stays(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Killed while data was brought back: the mixture is made what it was, from the proven copy, which is
    not removed.
    """
    model = Model(monkeypatch, run)
    for action in changing(model_recipe(model)):
        action.do({})
    model.write()
    back = changing(rollback.rollback_recipe(model.move, 1, discard=None))
    by_key = {action.key: action for action in back}
    before = list(model.content(SOURCE))
    by_key["stop-moved"].do({})
    by_key["safety-copy"].do({})
    model.content(SOURCE)[:] = ["a mixture"]

    by_key["copy-back"].undo({})
    by_key["safety-copy"].undo({})

    assert model.content(SOURCE) == before
    assert model.content(SOURCE, "redis_data-longshore-aside-1") == before


def test_nothing_is_put_back_under_a_container_that_runs(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Somebody started the source in the meantime: a person decides, nothing is written over its data."""
    model = Model(monkeypatch, run)
    for action in changing(model_recipe(model)):
        action.do({})
    by_key = {action.key: action for action in changing(rollback.rollback_recipe(model.move, 1, discard=None))}
    by_key["stop-moved"].do({})
    by_key["safety-copy"].do({})
    model.engines[SOURCE].start("redis-moved")
    model.write_on(SOURCE)

    with pytest.raises(ManualInterventionError, match="nothing was written over it"):
        by_key["copy-back"].undo({})
    assert isinstance(by_key["copy-back"], CopyBack)
    assert not model.lost(SOURCE, TARGET)


@pytest.mark.parametrize("stranger", [False, True])
def test_data_comes_back_to_a_source_that_still_has_its_own_name(
    monkeypatch: pytest.MonkeyPatch, run: Run, *, stranger: bool
) -> None:
    """The move was killed after its commit and before it renamed its source: a rollback brings the data back; another
    container refuses it.
    """
    model = Model(monkeypatch, run)
    for action in changing(model_recipe(model)):
        if action.key == "rename-source":
            break
        action.do({})
    model.write()
    by_key = {action.key: action for action in changing(rollback.rollback_recipe(model.move, 1, discard=None))}
    by_key["stop-moved"].do({})
    by_key["safety-copy"].do({})
    assert model.engines[SOURCE].containers[0]["Name"] == "/redis"
    if stranger:
        model.engines[SOURCE].containers[0]["Name"] = "/redis-moved"
        model.engines[SOURCE].containers.append(
            {**inspected(), "Id": "9" * 64, "State": {"Status": "exited", "Running": False}}
        )
        with pytest.raises(RefusedError, match="redis is another container"):
            by_key["copy-back"].do({})
        return

    by_key["copy-back"].do({})

    assert model.content(SOURCE) == model.content(TARGET) == model.acknowledged


def model_recipe(model: Model) -> tuple[Action, ...]:
    """Return the modelled move's actions but the one that clears the copy away."""
    from phases.migrate.recipe import recipe  # noqa: PLC0415 where it is used

    return tuple(action for action in recipe(model.move, 1) if action.key != "remove-copy-helpers")


def test_a_rollback_finds_a_killed_commit_on_the_hosts(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """In progress on record, but the relays run: it goes back with its data. Killed before the commit it is undone."""
    model = Model(monkeypatch, run)
    run.record("move_state", service="redis", body={"state": "in_progress"})
    for action in changing(model_recipe(model)):
        run.record("intent", service="redis", key=action.key, body={"effect": "changes_state", "note": {}})
        if action.key == "commit":
            assert found_on_hosts(model.move) == ""
            action.do({})
            break
        action.do({})

    reason = found_on_hosts(model.move)

    assert reason.startswith("a relay that leads to wf001 runs, or ran")


def test_a_product_that_acts_on_start_is_not_undone_once_it_ran() -> None:
    """It has acted on the world: its start was the commit, whatever is on record."""
    source, target = Engine(inspected()), Engine(recreated())
    route, _ = stopped_route(source, target)
    start = StartTarget(route, 10, acts=True)
    start.undo({})
    start.do({})
    with pytest.raises(ManualInterventionError, match="acts on the world as soon as it starts"):
        start.undo({})
    assert target.containers[0]["State"]["Status"] == "running"


def test_a_policy_that_was_set_while_it_served_comes_back(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """The target was started with `no`, its operator chose another policy later: a rollback that is undone gives that
    one back.
    """
    model = Model(monkeypatch, run)
    for action in changing(model_recipe(model)):
        action.do({})
    model.engines[TARGET].update_container("redis", restart_policy={"Name": "always"})
    by_key = {action.key: action for action in changing(rollback.rollback_recipe(model.move, 1, discard=None))}
    by_key["stop-moved"].do({})
    by_key["stop-moved"].do({})
    assert model.policy(TARGET) == "no"

    by_key["stop-moved"].undo({})

    assert (model.policy(TARGET), model.runs(TARGET)) == ("always", True)


@pytest.mark.parametrize("status", [500, 503])
def test_an_engine_that_can_not_answer_says_nothing_of_a_container(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """An error of the engine itself is no answer: it is asked again, and leads to no undo."""
    source = Engine(inspected())
    route, _ = make_route(source, Engine())

    def fail(_name: str) -> None:
        raise docker.errors.APIError(
            "server error", response=SimpleNamespace(status_code=status), explanation="context canceled"
        )

    monkeypatch.setattr(source, "inspect_container", fail)
    with pytest.raises(NotObservedError, match="wf005: inspect redis: Docker could not tell: context canceled"):
        inspect_container(route.fleet, "wf005", "redis")


def test_no_advice_stops_a_side_that_may_serve() -> None:
    """Either of two that could run at once may hold the newer writes: a person looks at both before one is stopped."""
    running = {**recreated(), "State": {"Status": "running", "Running": True, "StartedAt": "2026-01-01T00:00:00Z"}}
    source, target = Engine(inspected()), Engine(running)
    route, _ = recorded_route(source, target)
    with pytest.raises(ManualInterventionError, match="Look which of the two its clients use") as of_target:
        see_target_down(route)
    with pytest.raises(ManualInterventionError, match="Look which of the two its clients use") as of_source:
        see_source_down(route)
    target.silent = True
    with pytest.raises(ManualInterventionError, match="redis was not seen stopped") as unseen:
        StartTarget(route, 10, acts=True).undo({})
    for error in (of_target, of_source, unseen):
        assert "docker stop" not in str(error.value)


def test_no_text_of_ours_advises_to_stop_a_container() -> None:
    """Whatever is printed, in whatever step: which container may be stopped is for a person to say who has looked."""
    code = [
        path
        for room in ("actions", "checks", "commands", "engine", "hosts", "phases", "services")
        for path in (ROOT / room).rglob("*.py")
    ]
    advising = re.compile(r"(ssh |Try|Then|Look|Run)[^\n]*docker (stop|kill|pause)|docker (stop|kill) [{]")
    assert [path.name for path in code if advising.search(path.read_text(encoding="utf-8"))] == []


def test_a_moved_container_is_seen_under_any_name() -> None:
    """It carries the move's label: renamed by somebody, it still may not run while the source runs."""
    running = {
        **recreated(),
        "Name": "/redis-old",
        "State": {"Status": "running", "Running": True, "StartedAt": "2026-01-01T00:00:00Z"},
    }
    source = Engine(inspected())
    route, _ = recorded_route(source, Engine(running))
    source.stop("redis", 1)
    with pytest.raises(ManualInterventionError, match="wf001: redis-old is running"):
        StopSource(route, 10).undo({})
    assert source.containers[0]["State"]["Status"] == "exited"


def test_the_grace_is_the_longest_that_somebody_asks_for() -> None:
    """The product's, the operator's own `--stop-timeout`, or what must be written out: 20 GB at 50 MB/s."""
    assert grace_of(30, {"Config": {"StopTimeout": 300}}) == 300
    assert grace_of(120, {"Config": {"StopTimeout": 10}}) == 120
    assert grace_of(120, {"Config": {}}, held_bytes=20e9) == 400
    source = Engine(inspected())
    route, _ = recorded_route(source, Engine())
    StopSource(route, 30).do({})
    assert source.calls[-1] == "stop 120"


def test_a_save_that_fails_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """BGSAVE on a full disk: the stop would lose what is in memory, so it is found while the service runs."""
    source = Engine(inspected())
    route, _ = recorded_route(source, Engine())
    monkeypatch.setattr(
        "actions.container.source.change_inside",
        lambda *_: SimpleNamespace(exit_code=1, text="", error_text="No space left on device"),
    )
    saving = StopSource(route, 30, before=(ContainerCommand(("redis-cli", "save"), 60),))
    with pytest.raises(ActionError, match="No space left on device"):
        saving.do({})
    assert source.calls == []
    run_before_stop(route, "wf005", inspected(), (), "stop-source")


def test_data_that_a_container_uses_is_not_removed() -> None:
    """Somebody's container mounts what was copied: a person decides; one that only reads, and our own helpers, do not
    count.
    """
    other = {**inspected(), "Id": "9" * 64, "Name": "/other"}
    route, _ = make_route(Engine(), Engine(other))
    with pytest.raises(ManualInterventionError, match="redis_data is mounted by container other"):
        refuse_used_places(route, "wf001", {"redis_data": "volume"})
    other["Mounts"][0]["RW"] = False
    refuse_used_places(route, "wf001", {"redis_data": "volume"})


@pytest.mark.parametrize(
    ("kind", "place", "mounted", "used"),
    [
        ("volume", "redis_data", "/var/lib/docker/volumes/redis_data/_data", True),
        ("volume", "redis_data", "/var/lib/docker/volumes/redis_data/_data/sub", True),
        ("volume", "redis_data", "/var/lib/docker/volumes/redis_data2/_data", False),
        ("bind", "/srv/shop/data", "/srv/shop", True),
        ("bind", "/srv/shop/data", "/srv/shop/data/../data/uploads", True),
        ("bind", "/srv/shop/data", "/srv/shop/database", False),
        ("bind", "/srv/shop/data", "/srv", False),
        ("bind", "/srv/shop/data", "/", False),
    ],
)
def test_data_that_is_used_under_another_name_is_not_removed(kind: str, place: str, mounted: str, used: bool) -> None:
    """A volume by its path, a folder above or below; what mounts the whole host is no user of one folder."""
    other = {**inspected(), "Id": "9" * 64, "Name": "/other"}
    other["Mounts"] = [{"Type": "bind", "Source": mounted, "Destination": "/x", "RW": True}]
    route, _ = make_route(Engine(), Engine(other))
    with pytest.raises(ManualInterventionError, match="is mounted by container other") if used else nullcontext():
        refuse_used_places(route, "wf001", {place: kind})


def test_moved_data_is_not_anonymous(monkeypatch: pytest.MonkeyPatch) -> None:
    """`docker volume prune` takes anonymous volumes as soon as no container uses them: what we made is not
    labelled so.
    """
    made: dict[str, str] = {}
    source, target = Engine(), Engine()
    answer = {"Driver": "local", "Options": {}, "Labels": {"com.docker.volume.anonymous": "", "team": "shop"}}
    monkeypatch.setattr(source, "inspect_volume", lambda _name: answer, raising=False)
    monkeypatch.setattr(target, "create_volume", lambda _name, **given: made.update(given["labels"]), raising=False)
    monkeypatch.setattr("actions.copy.volumes.volume_label", lambda *_: None)
    route, _ = make_route(source, target)
    CopyVolumes(route, (PLACE,), Peer("wf001", "192.0.2.1", "ssh-ed25519 A")).make_places((PLACE,))
    assert "com.docker.volume.anonymous" not in made
    assert made["team"] == "shop"


def test_a_reading_of_an_older_rollback_does_not_count(run: Run) -> None:
    """Nor one of an older attempt: what would be dropped must have been read in this very rollback."""
    context = RunContext(scope=None, fleet=None, journal=run.journal, run=run, redactor=Redactor())  # type: ignore[arg-type]
    planned: Any = SimpleNamespace(service="redis", source="wf005", target="wf001")
    nothing: Any = None
    move = ServiceMove(context, planned, nothing, nothing)
    reading = Fingerprint("redis", {"keys": FingerprintPart(5, "a")})

    def states(*names: str) -> None:
        for name in names:
            run.record("move_state", service="redis", body={"state": name})

    states("in_progress")
    context.record_fingerprint("redis", "wf005", "source", reading)
    states("committed", "done", "rolling_back")
    context.record_fingerprint("redis", "wf001", "return", reading)
    assert "was read before this rollback stopped it" in rollback._last_reading(move, "exited", discard="why").text
    states("done", "rolling_back")
    unread = rollback._last_reading(move, "exited", discard="why")
    assert "is exited, so what was written there since the cutover is not counted" in unread.text
    assert "it stays on wf001 (the reason given: why)" in unread.text
    assert unread.passed
    context.record_fingerprint("redis", "wf001", "return", reading)
    states("needs_operator", "rolling_back")
    assert context.recorded_fingerprint("redis", "return") == reading
    assert context.recorded_fingerprint("redis", "source") == reading
    states("returned", "rolled_back", "in_progress")
    assert context.recorded_fingerprint("redis", "return") is None
    assert context.recorded_fingerprint("redis", "source") is None


def serving_move(run: Run, monkeypatch: pytest.MonkeyPatch, now: Fingerprint, policy: str = "always") -> ServiceMove:
    """Return a move of redis, which is ready on wf005, holds `now`, and restarts by `policy`."""
    context = RunContext(scope=None, fleet=None, journal=run.journal, run=run, redactor=Redactor())  # type: ignore[arg-type]
    product: Any = SimpleNamespace(fingerprint=lambda _at, since: now if since else None)
    planned: Any = SimpleNamespace(service="redis", source="wf005", target="wf001")
    entry: Any = SimpleNamespace(container="redis")
    monkeypatch.setattr(RunContext, "target", lambda *_, **__: None)
    monkeypatch.setattr(health, "_judge_serves", lambda *_: passed("redis serves on wf005"))
    monkeypatch.setattr(health, "inspect_container", lambda *_: {"HostConfig": {"RestartPolicy": {"Name": policy}}})
    run.record("move_state", service="redis", body={"state": "in_progress"})
    context.record_fingerprint(
        "redis", "wf005", "source", Fingerprint("redis", {"keys": FingerprintPart(12_345, "a", Validity.AT_CUTOVER)})
    )
    note = {"restart_policy": {"Name": "always"}}
    run.record("intent", service="redis", key="disable-restart", body={"effect": "changes_state", "note": note})
    return ServiceMove(context, planned, entry, product)


def judge_again(move: ServiceMove) -> Judgement:
    """Judge whether the source serves as it did."""
    return health.judge_serves_again(move, "wf005", "source", health.POLICY_OF_SOURCE)


def test_a_store_that_its_stop_emptied_does_not_count_as_serving(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ready and works, but what it held before the stop is gone: that is said, with what to do."""
    answer = judge_again(
        serving_move(run, monkeypatch, Fingerprint("redis", {"keys": FingerprintPart(0, "", Validity.AT_CUTOVER)}))
    )
    assert answer.verdict is Verdict.FAILED
    assert "lost data by its stop: keys: 12,345 before its stop, now nothing" in answer.text


def test_a_source_must_restart_by_itself_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ready, but with restart policy `no` it is gone at the next reboot."""
    full = Fingerprint("redis", {"keys": FingerprintPart(12_400, "b", Validity.AT_CUTOVER)})
    assert judge_again(serving_move(run, monkeypatch, full)).passed
    answer = judge_again(serving_move(run, monkeypatch, full, policy="no"))
    assert answer.verdict is Verdict.FAILED
    assert "docker update --restart always redis" in answer.text


def test_a_start_that_dependants_reach_is_a_commit() -> None:
    """A dependant on the target resolves the name as soon as the container runs, and what it writes is acknowledged:
    nothing deletes it.
    """
    source, target = Engine(inspected()), Engine(recreated())
    route, _ = stopped_route(source, target)
    start = StartTarget(route, 10, reached_by=("n8n",))
    assert start.commits
    assert "n8n on this host can reach it from then on, so this is the commit" in start.describe()
    start.do({})
    with pytest.raises(ManualInterventionError, match="n8n on the same host could reach it by name"):
        start.undo({})
    assert target.containers[0]["State"]["Status"] == "running"
    assert not StartTarget(route, 10).commits


def test_a_move_that_was_killed_before_its_source_was_renamed_can_be_brought_back(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """Killed after the commit: the source's container rests under its own name, and its data is written over all the
    same.
    """
    model = Model(monkeypatch, run)
    for action in changing(model_recipe(model)):
        if action.key != "rename-source":
            action.do({})
    model.write()
    held = list(model.content(TARGET))
    by_key = {action.key: action for action in changing(rollback.rollback_recipe(model.move, 1, discard=None))}
    by_key["stop-moved"].do({})
    by_key["safety-copy"].do({})
    assert model.engines[SOURCE].containers[0]["Name"] == "/redis"

    returning = by_key["copy-back"]
    assert isinstance(returning, CopyBack)
    returning._refuse_under_container()
    returning.do({})

    assert model.content(SOURCE) == held


def test_data_is_not_brought_back_under_somebody_else_s_container(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """The source's is kept under another name, and a new one has its name: it could run and write."""
    model = Model(monkeypatch, run)
    for action in changing(model_recipe(model)):
        action.do({})
    by_key = {action.key: action for action in changing(rollback.rollback_recipe(model.move, 1, discard=None))}
    by_key["stop-moved"].do({})
    by_key["safety-copy"].do({})
    stranger = inspected()
    stranger.update(Id="f" * 64, Name="/redis", State={"Status": "exited", "Running": False, "ExitCode": 0})
    model.engines[SOURCE].containers.append(stranger)

    returning = by_key["copy-back"]
    assert isinstance(returning, CopyBack)
    with pytest.raises(RefusedError, match="redis is another container"):
        returning._refuse_under_container()


def test_a_commit_does_not_pass_while_its_target_is_down(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """A power cut before it had its restart policy: it serves nobody, whatever relays lead to it."""
    model = Model(monkeypatch, run)
    by_key = {action.key: action for action in changing(model_recipe(model))}
    for action in by_key.values():
        action.do({})
    assert by_key["commit"].verify({}).passed
    moved = next(one for one in model.engines[TARGET].containers if one["Name"] == "/redis")
    moved["State"].update(Status="exited", Running=False)

    answer = by_key["commit"].verify({})

    assert answer.verdict is Verdict.FAILED
    assert "redis is exited. Expected: running" in answer.text


def test_a_moved_container_is_not_retired_while_its_copied_data_is_there(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """Killed between the container and its volume: the row does not say removed."""
    model = Model(monkeypatch, run)
    for action in changing(model_recipe(model)):
        action.do({})
    by_key = {action.key: action for action in changing(rollback.rollback_recipe(model.move, 1, discard=None))}
    model.engines[TARGET].containers.clear()

    answer = by_key["clean-target"].verify({})

    assert answer.verdict is Verdict.FAILED
    assert "volume redis_data is still there" in answer.text


def test_a_second_container_on_the_sources_data_keeps_the_target_from_starting(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """Somebody ran one by hand over the old volume after the copy was proven: what it wrote is not on the target."""
    model = Model(monkeypatch, run)
    by_key = {action.key: action for action in changing(model_recipe(model))}
    for key, action in by_key.items():
        if key == "start-target":
            break
        action.do({})
    byhand = {**inspected(), "Id": "8" * 64, "Name": "/by-hand"}
    byhand["Config"] = {**byhand["Config"], "Labels": {}}
    model.engines[SOURCE].containers.append(byhand)

    with pytest.raises(ActionError, match="redis_data also mounted by by-hand"):
        by_key["start-target"].do({})

    assert not model.runs(TARGET)


def test_an_undo_starts_no_source_beside_a_container_on_its_data(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Somebody runs one by hand over the old volume while the service is down: two servers on the same files."""
    model = Model(monkeypatch, run)
    by_key = {action.key: action for action in changing(model_recipe(model))}
    for key in ("save-source-spec", "disable-restart", "stop-source"):
        by_key[key].do({})
    byhand = {**inspected(), "Id": "8" * 64, "Name": "/by-hand"}
    byhand["Config"] = {**byhand["Config"], "Labels": {}}
    model.engines[SOURCE].containers.append(byhand)

    with pytest.raises(ManualInterventionError, match="redis_data also mounted by by-hand"):
        by_key["stop-source"].undo({})
    byhand["State"] = {"Status": "exited", "Running": False, "ExitCode": 0}
    by_key["stop-source"].undo({})

    assert next(one for one in model.engines[SOURCE].containers if one["Name"] == "/redis")["State"]["Running"]


def test_with_a_lost_target_the_source_is_left_clean(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Nothing is asked of the lost host, and what the move had on the source is removed in a step of its own."""
    model = Model(monkeypatch, run)
    lost = rollback.rollback_recipe(model.move, 1, discard="its disk is gone", dead=True)
    usual = rollback.rollback_recipe(model.move, 1, discard=None)
    assert [action.key for action in lost][-1] == "clean-source"
    assert "clean-source" not in {action.key for action in usual}
    assert not {action.key for action in lost} & set(rollback.DEAD_STEPS)


def resume_of_a_killed_return(
    run: Run, source: Engine, target: Engine, *, keep: bool = False, stops: bool = True
) -> tuple[RunningMove, list[Judgement]]:
    """Return a rollback that resumes after a kill in start-returned, and its results; somebody has started the moved
    container meanwhile.
    """
    route, _ = stopped_route(source, target)
    target.start("redis")
    RenameSource(route).do({})
    stop, start = StopMoved(route, 10, {0, 143}, keep=keep), StartReturned(route, keep=keep)
    for state in ("done", "rolling_back"):
        run.record("move_state", service="redis", body={"state": state})
    run.record("intent", service="redis", key=stop.key, body={"note": {}, "effect": "changes_state"})
    stop.do({})
    run.record("outcome", service="redis", key=stop.key, body={"ok": True, "text": "stopped", "note": {}})
    run.record("intent", service="redis", key=start.key, body={"note": {}, "effect": "changes_state", "commits": True})
    run_again(target, stops=stops)
    repeatable = frozenset({"stop-moved", "start-returned"} if keep else {"start-returned"})
    again = RunningMove(
        "redis",
        (stop, start),
        run,
        apply=True,
        past=read_return(run.journal, "redis"),
        stages=backward(MoveState.DONE),
        repeatable=repeatable,
        prove_source=lambda: passed("serves"),
        where="--lab",
    )
    rows = []
    for action in again.recipe:
        with suppress(NotRun):
            rows.append(again.perform(action.key))
    return again, rows


@pytest.mark.parametrize("stops", [True, False])
def test_a_rollback_whose_source_was_never_started_goes_back_to_a_moved_container_that_somebody_started(
    run: Run, *, stops: bool
) -> None:
    """Killed before the source's start: both hosts show that only the target has newer writes, so it serves again, and
    rollback brings them back.
    """
    source, target = Engine(inspected()), Engine(recreated())
    move, rows = resume_of_a_killed_return(run, source, target, stops=stops)

    assert move.state is MoveState.DONE
    assert "Undone (start-returned, stop-moved)" in rows[0].text
    assert "Retry: nox -s rollback -- redis --apply --lab" in rows[0].text
    assert target.containers[0]["State"]["Status"] == "running"
    assert source.containers[0]["State"]["Status"] == "exited"


def test_two_sides_that_both_ran_need_a_person_with_the_command_that_resumes(run: Run) -> None:
    """The source was started and ended, then somebody started the moved container: each may hold writes that the other
    lacks.
    """
    source, target = Engine(inspected()), Engine(recreated())
    original = target.start

    def after_the_source(name: str) -> None:
        if len(run.journal.records(kind="intent", service="redis")) > 1:
            run_again(source)
        original(name)

    target.start = after_the_source  # type: ignore[method-assign]
    move, rows = resume_of_a_killed_return(run, source, target, stops=False)

    assert move.state is MoveState.NEEDS_OPERATOR
    assert "Each may hold writes that the other lacks" in rows[0].text
    assert "nox -s rollback -- redis --apply --lab --discard-target-writes 'compared by hand'" in rows[0].text
    assert (source.containers[0]["State"]["Status"], target.containers[0]["State"]["Status"]) == ("exited", "running")


def test_what_a_person_gave_up_on_the_target_no_longer_stops_a_rollback(run: Run) -> None:
    """With --discard-target-writes the moved container is stopped once more, whoever started it, and the
    source serves.
    """
    source, target = Engine(inspected()), Engine(recreated())
    move, rows = resume_of_a_killed_return(run, source, target, keep=True, stops=False)

    assert [row.verdict for row in rows] == [Verdict.PASSED, Verdict.PASSED], rows
    assert move.state is MoveState.ROLLED_BACK
    assert (source.containers[0]["State"]["Status"], target.containers[0]["State"]["Status"]) == ("running", "exited")


@pytest.mark.parametrize("keep", [True, False])
def test_a_rollback_puts_away_what_a_killed_move_left_of_its_copy(*, keep: bool) -> None:
    """Killed before remove-copy-helpers: the rollback removes the helpers and keys of its copy, or of its replica's
    tunnel, and looks.
    """
    source, target = Engine(inspected()), Engine(recreated())
    route, _ = stopped_route(source, target)
    target.start("redis")
    StopMoved(route, 10, {0, 143}).do({})
    run_again(source, stops=False)
    left = ["the tunnel's key"]
    clear: Any = SimpleNamespace(
        do=lambda _note: left.clear(),
        verify=lambda _note: failed(f"{left[0]} is still there") if left else passed("nothing is left"),
    )
    copying: Any = SimpleNamespace(undo=lambda _note: None, places=())
    retire = CleanTarget(route, CreateTarget(route), copying, keep, lambda: clear)

    retire.do({})
    assert not left
    assert retire.verify({}).passed
    left.append("the tunnel's key")
    assert "the tunnel's key is still there" in retire.verify({}).text


def test_a_kept_container_that_somebody_started_again_is_stopped_before_it_gets_its_name() -> None:
    """With --discard-target-writes the moved container is kept, and two writers are not: no running one is renamed."""
    source, target = Engine(inspected()), Engine(recreated())
    route, _ = stopped_route(source, target)
    target.start("redis")
    StopMoved(route, 10, {0, 143}).do({})
    run_again(source, stops=False)
    run_again(target, stops=False)
    copying: Any = SimpleNamespace(undo=lambda _note: pytest.fail("the data was removed"), places=())
    retire = CleanTarget(route, CreateTarget(route), copying, keep=True)

    retire.do({})

    kept = target.containers[0]
    assert (kept["Name"], kept["State"]["Status"]) == ("/redis-longshore-discarded-1", "exited")
    assert kept["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert source.containers[0]["State"]["Status"] == "running"
    assert retire.verify({}).passed
    run_again(target, stops=False)
    assert "is running. Expected: stopped" in retire.verify({}).text


class FleetWithoutTarget(ModelledFleet):
    """Hosts of which one was declared lost: whoever asks it for anything gets that error."""

    def __getitem__(self, name: str) -> ModelledHost:
        """Return a host, unless it is the lost one."""
        return super().__getitem__(_answering(name))

    def docker(self, name: str) -> Any:
        """Return an engine."""
        return super().docker(_answering(name))

    def facts(self, name: str) -> HostFacts:
        """Return what is there now."""
        return super().facts(_answering(name))


def _answering(name: str) -> str:
    if name == TARGET:
        raise HostLostError(f"{name}: not asked: declared lost (its disk burnt)")
    return name


def test_a_rollback_from_a_lost_host_asks_it_nothing(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Its recipe is made and carried out without the host: the source runs again with what it held."""
    model = Model(monkeypatch, run)
    for action in changing(model_recipe(model)):
        action.do({})
    held = list(model.content(SOURCE))
    fleet: Any = FleetWithoutTarget(model)
    fleet.update(model.fleet)
    lost = service_move(replace(model.context, fleet=fleet), "redis")

    back = rollback.rollback_recipe(lost, 1, discard="what was written may go", dead=True)

    assert not {action.key for action in back} & set(rollback.DEAD_STEPS)
    assert back[0].key == "confirm-rollback"
    note: dict[str, Any] = {}
    back[0].do(note)
    assert back[0].verify(note).passed
    for action in changing(back):
        note = {}
        if isinstance(action, Observing):
            action.observe(note)
        action.do(note)
        assert action.verify(note).passed, action.key
    assert model.runs(SOURCE)
    assert model.content(SOURCE) == held
