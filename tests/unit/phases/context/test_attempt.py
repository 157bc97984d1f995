"""What the journal knows of a move: the current attempt only, and where each service is now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.config.scope import build_scope
from engine.contracts.container import MountFacts
from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.contracts.move_state import MoveState
from engine.errors import NotObservedError
from engine.journal.journal import Journal, Run
from engine.redaction.redactor import Redactor
from phases.context.attempt import must_be_undone, read_past, read_return, settled_states
from phases.context.fingerprint_records import part_body, part_of, without_secret_names
from phases.context.run_context import RunContext, _mount_over, container_address, main_port
from tests.fakes.facts import make_container
from tests.fakes.project_files import make_environment, make_inventory, make_plan


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Return an empty journal."""
    return Journal.open(tmp_path / "p.sqlite", redactor=Redactor())


@pytest.fixture
def run(journal: Journal) -> Run:
    """Return a run."""
    return journal.start_run(command="migrate", environment="production")


def intent(run: Run, key: str, **note: Any) -> None:
    """Record that an action begins."""
    run.record("intent", service="redis", key=key, body={"describe": key, "note": note})


def outcome(run: Run, key: str, *, ok: bool = True, **note: Any) -> None:
    """Record how an action ended."""
    run.record("outcome", service="redis", key=key, body={"ok": ok, "text": f"{key} {ok}", "note": note})


def state(run: Run, state: MoveState, service: str = "redis") -> None:
    """Record where a move stands."""
    run.record("move_state", service=service, body={"state": state.value})


def test_a_move_that_never_began_is_planned(journal: Journal) -> None:
    """The first attempt, nothing done, nothing begun."""
    past = read_past(journal, "redis")

    assert (past.state, past.attempt, past.done, past.begun, past.notes) == (
        MoveState.PLANNED,
        1,
        frozenset(),
        frozenset(),
        {},
    )


def test_what_was_done_and_what_was_begun_are_distinguished(journal: Journal, run: Run) -> None:
    """An action whose outcome is missing was interrupted: a resume must look before it continues."""
    state(run, MoveState.IN_PROGRESS)
    intent(run, "stop-source", policy="always")
    outcome(run, "stop-source", exit_code=0)
    intent(run, "copy-volumes")

    past = read_past(journal, "redis")

    assert (past.done, past.begun, past.state) == ({"stop-source"}, {"copy-volumes"}, MoveState.IN_PROGRESS)
    assert past.notes == {"stop-source": {"policy": "always", "exit_code": 0}, "copy-volumes": {}}
    assert past.texts == {"stop-source": "stop-source True"}


def undone(run: Run, key: str) -> None:
    """Record that an action was undone."""
    run.record("undo_outcome", service="redis", key=key, body={"ok": True, "text": ""})


def test_what_was_undone_is_neither_done_nor_to_be_undone_again(journal: Journal, run: Run) -> None:
    """A process that dies in the middle of its undo leaves exactly the rest to whoever resumes it."""
    state(run, MoveState.IN_PROGRESS)
    for key in ("stop-source", "copy-volumes"):
        intent(run, key)
    outcome(run, "stop-source")
    outcome(run, "copy-volumes", ok=False)

    assert read_past(journal, "redis").failed == {"copy-volumes"}
    undone(run, "copy-volumes")
    past = read_past(journal, "redis")

    assert (past.done, past.begun, past.failed) == ({"stop-source"}, frozenset(), frozenset())


def test_a_move_that_needed_a_person_begins_a_new_attempt(journal: Journal, run: Run) -> None:
    """What `--retry` begins is another attempt: after a crash it is read alone, under its own number."""
    state(run, MoveState.IN_PROGRESS)
    intent(run, "copy-volumes")
    state(run, MoveState.NEEDS_OPERATOR)
    assert read_past(journal, "redis").settled is MoveState.IN_PROGRESS
    state(run, MoveState.IN_PROGRESS)
    intent(run, "stop-source")

    past = read_past(journal, "redis")

    assert (past.attempt, past.begun) == (2, {"stop-source"})


def test_a_rollback_is_read_apart_from_its_move(journal: Journal, run: Run) -> None:
    """Its actions are those since it began, it knows what it goes back from, and keeps the move's attempt until it is
    over.
    """
    state(run, MoveState.IN_PROGRESS)
    outcome(run, "stop-source")
    state(run, MoveState.COMMITTED)
    state(run, MoveState.DONE)
    assert (read_return(journal, "redis").state, read_return(journal, "redis").done) == (MoveState.DONE, frozenset())
    state(run, MoveState.ROLLING_BACK)
    outcome(run, "stop-moved")
    state(run, MoveState.NEEDS_OPERATOR)

    past = read_return(journal, "redis")

    assert (past.state, past.before, past.done, past.attempt) == (
        MoveState.ROLLING_BACK,
        MoveState.DONE,
        {"stop-moved"},
        1,
    )
    state(run, MoveState.ROLLED_BACK)
    assert (read_return(journal, "redis").state, read_return(journal, "redis").attempt) == (MoveState.ROLLED_BACK, 1)
    assert read_past(journal, "redis").attempt == 2


def test_a_action_that_failed_is_not_done(journal: Journal, run: Run) -> None:
    """Not even when it had been done before; its notes stay for the undo."""
    for ok in (True, False):
        intent(run, "start-target", container="abc")
        outcome(run, "start-target", ok=ok)

    past = read_past(journal, "redis")

    assert (past.done, past.begun, past.notes["start-target"]) == (frozenset(), frozenset(), {"container": "abc"})


def test_an_undone_attempt_is_over(journal: Journal, run: Run) -> None:
    """The next attempt has its own number, so its own labels, and inherits nothing."""
    intent(run, "stop-source", policy="always")
    outcome(run, "stop-source")
    state(run, MoveState.UNDONE)

    past = read_past(journal, "redis")

    assert (past.attempt, past.state, past.done, past.notes, past.begun) == (
        2,
        MoveState.UNDONE,
        frozenset(),
        {},
        frozenset(),
    )


def test_runs_of_one_attempt_are_read_together(journal: Journal, run: Run) -> None:
    """A resume is another run of the same attempt; other services are none of its business."""
    intent(run, "stop-source")
    outcome(run, "stop-source")
    run.record("intent", service="n8n", key="stop-source", body={"note": {}})
    second = journal.start_run(command="migrate", environment="production")
    intent(second, "copy-volumes")
    outcome(second, "copy-volumes")

    assert read_past(journal, "redis").done == {"stop-source", "copy-volumes"}
    assert read_past(journal, "n8n").begun == {"stop-source"}


def make_context(journal: Journal, run: Run, **chosen: Any) -> RunContext:
    """Return a world without hosts."""
    scope = build_scope(make_inventory(), make_plan(), make_environment(), **chosen)
    fleet: Any = {}
    return RunContext(scope=scope, fleet=fleet, journal=journal, run=run, redactor=Redactor())


@pytest.mark.parametrize(
    ("seen", "host"),
    [
        (MoveState.PLANNED, "wf005"),
        (MoveState.IN_PROGRESS, "wf005"),
        (MoveState.UNDONE, "wf005"),
        (MoveState.ROLLED_BACK, "wf005"),
        (MoveState.COMMITTED, "wf001"),
        (MoveState.DONE, "wf001"),
    ],
)
def test_a_service_is_where_it_serves(journal: Journal, run: Run, seen: MoveState, host: str) -> None:
    """On its target from the commit on, on its source before and after a way back."""
    state(run, seen)

    assert make_context(journal, run).where() == {"n8n": "wf005", "redis": host}


def test_moves_left_out_of_a_run_count_for_where_services_are(journal: Journal, run: Run) -> None:
    """`--service n8n` after redis has moved: n8n's relays lead to redis' new host."""
    state(run, MoveState.DONE)

    assert make_context(journal, run, services=("n8n",)).where()["redis"] == "wf001"


def test_fingerprints_come_back_as_they_were_recorded(journal: Journal, run: Run) -> None:
    """Bounds, names and how long a part holds survive; the newest of its moment is read."""
    context = make_context(journal, run)
    parts = {
        "rows": FingerprintPart(5, "a", Validity.SINCE_CUTOVER, {"id_max": 5021}),
        "keys": FingerprintPart(1, "b", Validity.AT_CUTOVER, {}, {"k": "1"}),
    }
    context.record_fingerprint("redis", "wf005", "before", Fingerprint("redis", {"rows": FingerprintPart(4, "old")}))
    context.record_fingerprint("redis", "wf005", "before", Fingerprint("redis", parts))
    context.record_fingerprint("redis", "wf001", "after", Fingerprint("redis", {}))

    assert context.recorded_fingerprint("redis", "before") == Fingerprint("redis", parts)
    assert context.recorded_fingerprint("redis", "commit") is None
    assert part_of(part_body(parts["rows"])) == parts["rows"]


def test_a_service_is_asked_at_its_health_port() -> None:
    """Else at the first port that it publishes."""
    services = make_inventory(("services/redis/health", {"kind": "tcp", "port": 26379})).services

    assert (main_port(services["redis"]), main_port(services["n8n"])) == (26379, 5678)


def test_a_container_has_an_address_or_is_reported_as_unseen() -> None:
    """The first network with an address; a stopped container has none."""
    networks = {"a": {"IPAddress": ""}, "b": {"IPAddress": "172.20.0.9"}}

    assert container_address(make_container(raw={"NetworkSettings": {"Networks": networks}})) == "172.20.0.9"
    with pytest.raises(NotObservedError, match="wf005: redis has no address; it is exited"):
        container_address(
            make_container(state="exited", raw={"NetworkSettings": {"Networks": {"a": {"IPAddress": ""}}}})
        )


def test_the_nearest_mount_holds_a_path() -> None:
    """A mount inside another one wins; a tmpfs holds nothing that could be read; no mount is an error."""
    mounts = (
        MountFacts("volume", "all", "/data", read_only=False),
        MountFacts("volume", "db", "/data/db", read_only=False),
        MountFacts("tmpfs", "", "/data/db/tmp", read_only=False),
    )
    container = make_container(mounts=mounts)

    assert [_mount_over(container, path).source for path in ("/data/x", "/data/db/tmp/x", "/data/dbx")] == [
        "all",
        "db",
        "all",
    ]
    with pytest.raises(NotObservedError, match="wf005: no mount of redis holds /etc"):
        _mount_over(container, "/etc")


def test_names_that_look_like_secrets_are_not_written_down() -> None:
    """A Redis key with a session's token in it would be hidden in the record and then be missed: its part is compared
    at the cutover only.
    """
    session, plain = "session:8f14e45fceea167a5a36dedd", "cart:6"
    secret = FingerprintPart(2, "d" * 64, Validity.SINCE_CUTOVER, {}, {session: "a", plain: "b"})
    open_ = FingerprintPart(1, "d" * 64, Validity.SINCE_CUTOVER, {}, {plain: "b"})

    assert without_secret_names(open_, Redactor()) is open_
    assert without_secret_names(secret, Redactor()) == FingerprintPart(2, "d" * 64, Validity.AT_CUTOVER)


@pytest.mark.parametrize(
    "states",
    [
        (),
        ("in_progress",),
        ("in_progress", "undone", "in_progress", "committed"),
        ("in_progress", "committed", "needs_operator"),
        ("in_progress", "needs_operator"),
        ("in_progress", "committed", "done", "rolling_back", "returned", "rolled_back"),
    ],
)
def test_all_moves_settled_states_at_once_are_those_of_each(
    journal: Journal, run: Run, states: tuple[str, ...]
) -> None:
    """Where services are now needs no more than the states."""
    for state in states:
        run.record("move_state", service="redis", body={"state": state})
    run.record("move_state", service="n8n", body={"state": "in_progress"})

    settled = settled_states(journal)

    assert settled.get("redis", MoveState.PLANNED) is read_past(journal, "redis").settled
    assert settled["n8n"] is MoveState.IN_PROGRESS


def test_a_commit_that_was_begun_may_have_committed(journal: Journal, run: Run) -> None:
    """Killed in the middle of it, its clients may be on the target: a rollback is no undo, and its relays are reckoned
    with.
    """
    state(run, MoveState.IN_PROGRESS)
    intent(run, "commit")
    past = read_past(journal, "redis")

    assert past.may_have_committed
    assert not must_be_undone(past)
    assert not must_be_undone(read_return(journal, "redis"))
    assert settled_states(journal)["redis"] is MoveState.COMMITTED

    run.record("undo_outcome", service="redis", key="commit", body={"ok": True, "text": ""})  # the hosts were looked at
    assert not read_past(journal, "redis").may_have_committed
    assert must_be_undone(read_return(journal, "redis"))


@pytest.mark.parametrize("commits", [True, False])
def test_the_start_of_a_product_that_acts_by_itself_commits(journal: Journal, run: Run, commits: bool) -> None:
    """Its intent says so: the same key of another product does not."""
    state(run, MoveState.IN_PROGRESS)
    run.record(
        "intent", service="redis", key="start-target", body={"describe": "start", "note": {}, "commits": commits}
    )

    assert read_past(journal, "redis").may_have_committed is commits


def test_what_was_noted_in_the_middle_is_there_after_a_kill(journal: Journal, run: Run) -> None:
    """An undo by another process has what the action found, though it never ended."""
    state(run, MoveState.IN_PROGRESS)
    intent(run, "copy-volumes", policy="always")
    run.record(
        "note", service="redis", key="copy-volumes", body={"note": {"policy": "always", "created": ["redis_data"]}}
    )

    assert read_past(journal, "redis").notes["copy-volumes"] == {"policy": "always", "created": ["redis_data"]}


def test_an_outcome_that_nobody_saw_leaves_an_action_begun(journal: Journal, run: Run) -> None:
    """A resume looks at it before it does it again."""
    state(run, MoveState.IN_PROGRESS)
    intent(run, "stop-source")
    run.record(
        "outcome",
        service="redis",
        key="stop-source",
        body={"ok": False, "verdict": "UNKNOWN", "text": "no answer", "note": {"id": "ab"}},
    )
    past = read_past(journal, "redis")

    assert (past.begun, past.failed, past.notes["stop-source"]) == (
        frozenset({"stop-source"}),
        frozenset(),
        {"id": "ab"},
    )


def not_begun(run: Run, key: str) -> None:
    """Record that a host did not take the intent of a action."""
    run.record("outcome", service="redis", key=key, body={"ok": False, "begun": False, "text": "not begun: no room"})


def test_a_commit_whose_intent_a_host_did_not_take_was_not_begun(journal: Journal, run: Run) -> None:
    """It is undone as any other move; where an earlier intent of it stands, that one still counts."""
    state(run, MoveState.IN_PROGRESS)
    run.record("intent", service="redis", key="commit", body={"describe": "commit", "commits": True, "note": {}})
    assert read_past(journal, "redis").may_have_committed

    not_begun(run, "commit")
    past = read_past(journal, "redis")
    assert (past.begun, past.failed, past.may_have_committed) == (frozenset(), frozenset(), False)
    assert must_be_undone(read_return(journal, "redis"))

    for _ in range(2):
        run.record("intent", service="redis", key="commit", body={"describe": "commit", "commits": True, "note": {}})
    not_begun(run, "commit")
    assert read_past(journal, "redis").may_have_committed
    assert read_past(journal, "redis").begun == {"commit"}
