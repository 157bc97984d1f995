"""The saga's facts: order, one time each, undo before commit, nothing undone after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.contracts.action import Note
from engine.contracts.move_state import MoveState
from engine.contracts.product import keep
from engine.errors import (
    ActionError,
    ChainConflictError,
    HostLostError,
    JournalError,
    LockLostError,
    ManualInterventionError,
    NotObservedError,
)
from engine.saga.outcomes import NotRun, PlannedOnly, judgement_of_error
from engine.saga.patience import Patience
from engine.saga.saga import RunningMove
from engine.saga.state import PREPARING, UNDOING, AttemptState, backward
from engine.verdict import Effect, Judgement, Verdict, failed, passed, unknown

ONCE = Patience(seconds=0.0)
"""Everything is asked once: no test waits."""


@dataclass
class Diary:
    """A journal that keeps its records in memory."""

    records: list[tuple[str, str | None, dict[str, Any]]] = field(default_factory=list)

    def record(self, kind: str, *, service: str | None = None, key: str | None = None, body: dict[str, Any]) -> None:
        """Remember one record."""
        assert service == "wiki"
        self.records.append((kind, key, body))

    def kinds(self) -> list[str]:
        """Return the records in words."""
        return [
            f"{kind} {key}" if key else f"{kind} {body.get('state', '')}".strip() for kind, key, body in self.records
        ]


@dataclass
class Act:
    """An action that writes into a shared list what it does."""

    key: str
    world: list[str]
    effect: Effect = Effect.CHANGES_STATE
    commits: bool = False
    fails: BaseException | None = None
    answer: Judgement = field(default_factory=lambda: passed("seen"))
    undo_fails: Exception | None = None

    def describe(self) -> str:
        """Return words."""
        return f"would {self.key}"

    def estimate_s(self) -> float | None:
        """Return an estimate."""
        return 2.0

    def do(self, note: Note) -> None:
        """Do it, or fail half-way."""
        self.world.append(self.key)
        note["seen"] = self.key
        if self.fails:
            raise self.fails

    def verify(self, note: Note) -> Judgement:
        """Return the given answer."""
        assert isinstance(note, dict)
        return self.answer

    def undo(self, note: Note) -> None:
        """Undo it, or fail."""
        self.world.append(f"undo {self.key} {note.get('seen', '')}".strip())
        if self.undo_fails:
            raise self.undo_fails


def _move(*actions: Act, apply: bool = True, past: AttemptState | None = None) -> tuple[RunningMove, Diary]:
    diary = Diary()
    return RunningMove(
        service="wiki", recipe=actions, journal=diary, apply=apply, past=past or AttemptState(), patience=ONCE
    ), diary


def test_each_deed_is_written_down_before_and_after() -> None:
    """An intent stands in the journal before the action and an outcome after it; the states follow."""
    world: list[str] = []
    move, diary = _move(Act("stop", world), Act("switch", world, commits=True))

    assert move.perform("stop").passed
    assert move.perform("switch").passed

    assert diary.kinds() == [
        "move_state in_progress",
        "intent stop",
        "outcome stop",
        "intent switch",
        "outcome switch",
        "move_state committed",
        "move_state done",
    ]
    assert move.state is MoveState.DONE


def test_only_the_next_action_can_be_performed() -> None:
    """A step that comes out of turn is not run, and the hosts stay untouched."""
    world: list[str] = []
    move, _ = _move(Act("stop", world), Act("copy", world))

    with pytest.raises(NotRun, match='next action of this move is "stop"'):
        move.perform("copy")

    assert world == []


def test_a_failure_before_commit_is_undone_in_reverse() -> None:
    """The failed action and all before it are undone, last first; later steps say because of what they did not run."""
    world: list[str] = []
    move, diary = _move(Act("stop", world), Act("copy", world, answer=failed("3 files differ")), Act("start", world))
    move.perform("stop")

    judgement = move.perform("copy")

    assert judgement.verdict is Verdict.FAILED
    assert "3 files differ. Undone (copy, stop)" in judgement.text
    assert world == ["stop", "copy", "undo copy copy", "undo stop stop"]
    assert diary.kinds()[-5:] == [
        "undo_intent copy",
        "undo_outcome copy",
        "undo_intent stop",
        "undo_outcome stop",
        "move_state undone",
    ]
    with pytest.raises(NotRun, match="copy"):
        move.perform("start")


@pytest.mark.parametrize("error", [ActionError("disk full"), KeyboardInterrupt(), ValueError("a defect of ours")])
def test_whatever_ends_a_deed_it_is_undone(error: BaseException) -> None:
    """An error of a host, a defect in the tool and Ctrl-C all leave the source as it was, and are raised again
    unchanged.
    """
    world: list[str] = []
    move, _ = _move(Act("stop", world, fails=error))

    with pytest.raises(type(error)) as raised:
        move.perform("stop")

    assert world == ["stop", "undo stop stop"]
    assert "Undone (stop)" in "".join(raised.value.__notes__)


def test_nothing_is_undone_after_commit() -> None:
    """Once the target serves, a failure stops the line and leaves everything as it is."""
    world: list[str] = []
    move, _ = _move(Act("stop", world), Act("switch", world, commits=True), Act("smoke", world, answer=failed("500")))
    move.perform("stop")
    move.perform("switch")

    judgement = move.perform("smoke")

    assert world == ["stop", "switch", "smoke"]
    assert "nothing is undone after commit" in judgement.text
    assert move.state is MoveState.COMMITTED


def test_an_undo_that_fails_needs_a_person() -> None:
    """A failing undo stops the undo there: starting the source while the target runs would be worse."""
    world: list[str] = []
    undo_fails = NotObservedError("wf001: no answer")
    move, diary = _move(Act("stop", world), Act("start", world, answer=failed("no"), undo_fails=undo_fails))
    move.perform("stop")

    judgement = move.perform("start")

    assert move.state is MoveState.NEEDS_OPERATOR
    assert "in this order: start, stop" in judgement.text
    assert "undo stop stop" not in world
    assert diary.kinds()[-1] == "move_state needs_operator"


def test_the_source_is_proven_after_an_undo() -> None:
    """An undo after which the source does not serve is not called undone."""
    world: list[str] = []
    move, _ = _move(Act("stop", world, answer=failed("exit 137")))
    move.prove_source = lambda: failed("wiki on wf005: 503")

    judgement = move.perform("stop")

    assert move.state is MoveState.NEEDS_OPERATOR
    assert "it does not serve again: wiki on wf005: 503" in judgement.text


def test_logs_are_collected_before_anything_is_undone() -> None:
    """Collecting logs comes first, since undo removes the container that wrote them."""
    world: list[str] = []
    move, _ = _move(Act("stop", world, answer=failed("no")))
    move.before_undo = lambda reason: world.append(f"logs: {reason}")

    move.perform("stop")

    assert world == ["stop", "logs: no", "undo stop stop"]


def test_a_dry_run_changes_nothing() -> None:
    """Reads before the first action are performed; everything after is described from the same action objects."""
    world: list[str] = []
    look, ask = (Act(key, world, effect=Effect.READ_ONLY) for key in ("look", "ask"))
    move, diary = _move(look, Act("stop", world), ask, apply=False)

    assert move.perform("look").passed
    with pytest.raises(PlannedOnly, match=r"would stop \(about 2 s\)"):
        move.perform("stop")
    with pytest.raises(PlannedOnly, match="would ask"):
        move.perform("ask")

    assert world == []
    assert diary.records == []


def test_a_deed_of_an_earlier_run_is_verified_not_done_again() -> None:
    """What the journal calls done is looked at on the hosts and not repeated."""
    world: list[str] = []
    past = AttemptState(state=MoveState.IN_PROGRESS, notes={"stop": {"seen": "then"}}, done=frozenset({"stop"}))
    move, diary = _move(Act("stop", world), Act("copy", world), past=past)

    assert "already done" in diary_text(move.perform("stop"), diary)

    assert world == []
    assert move.note("stop") == {"seen": "then"}


def diary_text(judgement: Judgement, diary: Diary) -> str:
    """Return what the last record said about this judgement."""
    assert judgement.passed
    return str(diary.records[-1][2]["text"])


def test_drift_since_an_earlier_run_is_reported_and_repaired() -> None:
    """An action that was done and is no longer so is recorded as drift, and done again."""
    world: list[str] = []
    action = Act("stop", world, answer=failed("running again"))
    move, diary = _move(action, past=AttemptState(state=MoveState.IN_PROGRESS, done=frozenset({"stop"})))

    move.perform("stop")

    assert any("drift: running again" in body.get("text", "") for _, _, body in diary.records)
    assert world[0] == "stop"


def test_a_move_that_is_done_is_only_looked_at() -> None:
    """A second start of a finished move asks the hosts once whether it still holds, and changes nothing."""
    world: list[str] = []
    move, _ = _move(Act("stop", world), past=AttemptState(state=MoveState.DONE, texts={"stop": "exit 0"}))
    move.prove_done = lambda: passed("runs on wf001")

    assert move.perform("stop").text == "done earlier: exit 0"

    assert world == []


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (AssertionError("2 rows differ"), Verdict.FAILED),
        (NotObservedError("wf001: no answer"), Verdict.UNKNOWN),
        (ManualInterventionError("by hand"), Verdict.UNKNOWN),
        (ValueError("a defect"), Verdict.UNKNOWN),
        (PlannedOnly("would"), Verdict.PLANNED),
        (NotRun("because"), Verdict.NOT_RUN),
    ],
)
def test_only_a_judged_fact_is_failed(error: Exception, verdict: Verdict) -> None:
    """Not having been able to look is never FAILED, and a defect of the tool is never a verdict on the service."""
    assert judgement_of_error(error).verdict is verdict


def test_who_lost_the_lock_changes_nothing_more() -> None:
    """When somebody else took over, this process neither undoes nor records: the move is theirs now."""
    world: list[str] = []
    move, diary = _move(
        Act("stop", world), Act("copy", world, fails=LockLostError("wf005: held by ana")), Act("start", world)
    )
    move.perform("stop")
    before = list(world)

    with pytest.raises(LockLostError):
        move.perform("copy")

    assert world == [*before, "copy"]
    assert diary.kinds()[-1] == "intent copy"
    with pytest.raises(NotRun, match="held by ana"):
        move.perform("start")


def test_what_failed_in_an_earlier_run_is_undone_too() -> None:
    """Taking a move back undoes all that its attempt tried, in reverse, also what another process tried and could not
    undo.
    """
    world: list[str] = []
    past = AttemptState(
        state=MoveState.NEEDS_OPERATOR,
        before=MoveState.IN_PROGRESS,
        done=frozenset({"stop"}),
        failed=frozenset({"copy"}),
    )
    move, _ = _move(Act("stop", world), Act("copy", world), Act("start", world), past=past)

    text = move.undo_attempt("a rollback was asked for")

    assert world == ["undo copy", "undo stop"]
    assert text.startswith("Undone (copy, stop)")
    assert move.state is MoveState.UNDONE


def test_a_rollback_goes_through_states_of_its_own() -> None:
    """It commits when the source is started, ends as rolled back, and one that fails before leaves the move
    as it was.
    """
    world: list[str] = []
    move, diary = _move(Act("stop-moved", world), Act("start-returned", world, commits=True), Act("smoke", world))
    move.stages = backward(MoveState.DONE)
    for key in ("stop-moved", "start-returned", "smoke"):
        move.perform(key)
    assert [kind for kind in diary.kinds() if "state" in kind] == [
        "move_state rolling_back",
        "move_state returned",
        "move_state rolled_back",
    ]

    failing, diary = _move(
        Act("stop-moved", world),
        Act("safety-copy", world, answer=failed("no room")),
        past=AttemptState(state=MoveState.DONE),
    )
    failing.stages = backward(MoveState.DONE)
    failing.perform("stop-moved")
    judgement = failing.perform("safety-copy")
    assert "Retry: nox -s rollback -- wiki --apply" in judgement.text
    assert failing.state is MoveState.DONE


def test_what_a_verification_noted_is_kept_for_the_next_process() -> None:
    """An action that a resume finds done is recorded with what it noted: a third process needs it as much as
    the second.
    """

    class Noting(Act):
        def verify(self, note: Note) -> Judgement:
            note["proven"] = "1,204 entries"
            return passed("seen")

    world: list[str] = []
    move, diary = _move(
        Noting("prove", world),
        Act("start", world),
        past=AttemptState(state=MoveState.IN_PROGRESS, begun=frozenset({"prove"})),
    )

    move.perform("prove")

    assert diary.records[-1][2]["note"] == {"proven": "1,204 entries"}


def test_what_was_to_be_undone_on_a_dead_host_is_not_waited_for() -> None:
    """A person said that it is dead: that is recorded instead of its undo, and the rest is undone."""
    world: list[str] = []
    actions = (
        Act("stop", world),
        Act("create", world, undo_fails=HostLostError("wf002: not asked: declared lost (burnt)")),
    )
    move, diary = _move(*actions, Act("start", world, answer=failed("no")))
    for action in actions:
        assert move.perform(action.key).passed

    move.perform("start")

    assert world[-2:] == ["undo create create", "undo stop stop"]
    assert move.state is MoveState.UNDONE
    assert [body for kind, key, body in diary.records if (kind, key) == ("undo_outcome", "create")] == [
        {"ok": True, "text": "wf002: not asked: declared lost (burnt)"}
    ]


def _resumed(world: list[str], *actions: Act, **given: Any) -> tuple[RunningMove, Diary]:
    """Return a move that an earlier run has done all actions of, killed before it could say that it was at its end."""
    keys = frozenset(action.key for action in actions)
    state = MoveState.COMMITTED if any(action.commits for action in actions) else MoveState.IN_PROGRESS
    past = AttemptState(state=state, done=keys, texts=dict.fromkeys(keys, "seen"))
    diary = Diary()
    assert not world
    recipe = (*actions, Act("last", world))
    return RunningMove(
        service="wiki", recipe=recipe, journal=diary, apply=True, past=past, patience=ONCE, **given
    ), diary


@pytest.mark.parametrize("committed", [True, False])
def test_a_deed_that_others_rest_on_is_not_done_again(committed: bool) -> None:
    """A copy that looks undone after the target was started is reported as drift; it never overwrites what the target
    has written since.
    """
    world: list[str] = []
    copy = Act("copy", world, answer=failed("its helpers are gone"))
    move, diary = _resumed(world, copy, Act("start", world, commits=committed))

    answer = move.perform("copy")

    assert answer.verdict is Verdict.FAILED
    assert "its helpers are gone. Not repeated, because later steps depend on it" in answer.text
    assert "copy" not in world
    assert move.state is (MoveState.COMMITTED if committed else MoveState.UNDONE)
    assert "drift copy" in diary.kinds()


def test_a_deed_that_may_be_repeated_is() -> None:
    """Relays that went away since are made again, whatever came after them."""
    world: list[str] = []
    switch = Act("switch", world, commits=True, answer=failed("a relay is gone"))
    move, _ = _resumed(world, switch, Act("keep", world), repeatable=frozenset({"switch"}))

    move.perform("switch")

    assert world == ["switch"]


def test_what_has_served_its_purpose_is_not_looked_at() -> None:
    """What an action needed was taken away by a later one: that is no drift."""
    world: list[str] = []
    probe = Act("probe", world, answer=failed("it is gone"))
    move, _ = _resumed(world, probe, Act("measure", world), superseded_by={"probe": "measure"})

    assert "no longer needed" in move.perform("probe").text
    assert move.perform("measure").passed
    assert world == []


def test_what_a_later_deed_began_to_use_up_is_not_looked_at_even_when_that_failed() -> None:
    """The removal of a moved container had no room for its last part: that the container is gone is no drift."""
    world: list[str] = []
    stop, retire = Act("stop", world, answer=failed("it is gone")), Act("retire", world)
    past = AttemptState(
        state=MoveState.COMMITTED, done=frozenset({"stop"}), failed=frozenset({"retire"}), texts={"stop": "stopped"}
    )
    move = RunningMove(
        service="wiki",
        recipe=(stop, retire),
        journal=Diary(),
        apply=True,
        past=past,
        patience=ONCE,
        superseded_by={"stop": "retire"},
    )

    assert "no longer needed" in move.perform("stop").text
    assert move.perform("retire").passed


def test_what_ends_a_measurement_is_done_again_when_it_was_killed() -> None:
    """It also puts its tools away: looked at alone, they would stay for good."""
    world: list[str] = []
    measure = Act("measure", world, answer=unknown("not measured"))
    past = AttemptState(
        state=MoveState.COMMITTED, done=frozenset({"probe"}), begun=frozenset({"measure"}), texts={"probe": "runs"}
    )
    move = RunningMove(
        service="wiki", recipe=(Act("probe", world), measure), journal=Diary(), apply=True, past=past, patience=ONCE,
        superseded_by={"probe": "measure"}, measures=frozenset({"probe", "measure"}),
    )  # fmt: skip

    move.perform("probe")
    move.perform("measure")

    assert world == ["measure"]


class Observed(Act):
    """An action whose undo needs what was there before it, and which finds more in the middle."""

    def observe(self, note: Note) -> None:
        """See what is there."""
        note["policy"] = "no" if self.key in self.world else "always"

    def do(self, note: Note) -> None:
        """Change it, then find something."""
        super().do(note)
        note["created"] = "volume"
        keep(note)
        self.world.append("the next change")


def test_what_an_undo_needs_is_on_record_before_a_host_is_changed() -> None:
    """The intent holds all that was observed, and what is found in the middle is recorded before the next change."""
    world: list[str] = []
    move, diary = _move(Observed("disable", world), Act("last", world))
    notes: list[tuple[str, dict[str, Any], int]] = []
    record = diary.record
    diary.record = lambda kind, **given: (
        notes.append((kind, dict(given["body"].get("note") or {}), len(world))),
        record(kind, **given),
    )  # type: ignore[method-assign,assignment,misc]

    move.perform("disable")

    records = [one for one in notes if one[0] in {"intent", "note", "outcome"}]
    assert records[0] == ("intent", {"policy": "always"}, 0)
    assert records[1] == ("note", {"policy": "always", "seen": "disable", "created": "volume"}, 1)
    assert records[2][0] == "outcome"


def test_what_was_observed_first_stays() -> None:
    """A second start observes a host that the first one has changed already: what was there before the first change is
    kept.
    """
    world = ["disable"]
    past = AttemptState(
        state=MoveState.IN_PROGRESS, notes={"disable": {"policy": "always"}}, begun=frozenset({"disable"})
    )
    move, diary = _move(Observed("disable", world, answer=failed("not yet")), past=past)

    move.perform("disable")

    assert next(body["note"] for kind, _, body in diary.records if kind == "intent") == {"policy": "always"}


UNKNOWN = unknown("wf001: no answer")


def test_a_failure_that_comes_from_no_answer_is_not_undone() -> None:
    """An action may say in its own words what it could not find out: nobody looked, so nothing was seen to be wrong."""
    world: list[str] = []
    first, second = Act("first", world), Act("second", world)

    def look(_note: Note) -> Judgement:
        raise ActionError("wf001: the archive could not be read") from NotObservedError("wf001: no answer")

    second.verify = look  # type: ignore[method-assign]
    move, _ = _move(first, second)
    assert move.perform("first").passed
    judgement = move.perform("second")
    assert judgement.verdict is Verdict.UNKNOWN
    assert "Nothing was undone" in judgement.text
    assert world == ["first", "second"]


def test_what_could_not_be_seen_is_not_undone() -> None:
    """An action whose end nobody could see stops the line: nothing is undone, and the text gives both commands."""
    world: list[str] = []
    move, diary = _move(Act("stop", world), Act("copy", world, answer=UNKNOWN), Act("start", world))
    move.where = "--environment production"
    move.perform("stop")

    judgement = move.perform("copy")

    assert judgement.verdict is Verdict.UNKNOWN
    assert world == ["stop", "copy"]
    assert move.state is MoveState.IN_PROGRESS
    assert "Nothing was undone" in judgement.text
    assert "To resume: nox -s migrate -- --service wiki --apply --environment production" in judgement.text
    assert "To take it back: nox -s rollback -- wiki --apply --environment production" in judgement.text
    with pytest.raises(NotRun, match="could not be seen"):
        move.perform("start")
    assert "undo_intent copy" not in diary.kinds()


def test_a_question_without_an_answer_undoes_nothing_either() -> None:
    """A question in the middle that could not be asked stops the line; before anything was begun there is nothing to
    undo at all.
    """
    world: list[str] = []
    question = Act("ready", world, effect=Effect.READ_ONLY, answer=UNKNOWN)
    move, _ = _move(Act("stop", world), question)
    move.perform("stop")
    assert "Nothing was undone" in move.perform("ready").text
    assert move.state is MoveState.IN_PROGRESS

    first, _ = _move(question, Act("stop", world))
    assert "Undone (nothing had been changed)" in first.perform("ready").text
    assert first.state is MoveState.UNDONE, "gates must be asked again"


@dataclass
class Flaky(Act):
    """An action whose question has no answer for a while."""

    silent: int = 0
    do_silent: bool = False

    def do(self, note: Note) -> None:
        """Do it; perhaps the answer is lost."""
        super().do(note)
        if self.do_silent:
            raise NotObservedError("wf001: the answer was lost")

    def verify(self, note: Note) -> Judgement:
        """Answer once it answers again."""
        if self.silent > 0:
            self.silent -= 1
            raise NotObservedError("wf001: no answer")
        return super().verify(note)


def _waits(move: RunningMove) -> list[float]:
    """Let a move ask again for a minute on a clock of its own; return its pauses."""
    pauses: list[float] = []
    move.patience = Patience(60.0, pauses.append, lambda: sum(pauses))
    return pauses


def test_a_silent_host_is_asked_again_for_a_while() -> None:
    """On a resume and after an action: a cut of some seconds costs no move."""
    world: list[str] = []
    move, _ = _move(
        Flaky("stop", world, silent=5),
        Flaky("copy", world, silent=3),
        past=AttemptState(state=MoveState.IN_PROGRESS, done=frozenset({"stop"})),
    )
    pauses = _waits(move)

    assert move.perform("stop").passed
    assert move.perform("copy").passed

    assert world == ["copy"]
    assert 3 < sum(pauses) < 60


def test_an_action_without_an_answer_is_looked_at() -> None:
    """The answer of the action itself was lost: what is seen then counts, a failure as well."""
    world: list[str] = []
    move, _ = _move(
        Flaky("stop", world, silent=2, do_silent=True),
        Flaky("copy", world, do_silent=True, answer=failed("half of it")),
    )
    pauses = _waits(move)

    done = move.perform("stop")
    assert done.passed
    assert "the answer was lost" in done.text
    wrong = move.perform("copy")

    assert wrong.verdict is Verdict.FAILED
    assert "Undone (copy, stop)" in wrong.text
    assert sum(pauses) <= 60 + 60


def test_a_defect_in_a_question_is_no_failure_that_was_seen() -> None:
    """It says nothing about the hosts, so nothing is undone."""

    class Broken(Act):
        def verify(self, note: Note) -> Judgement:
            raise KeyError("State")

    world: list[str] = []
    move, _ = _move(Broken("stop", world), Act("copy", world))

    assert "Nothing was undone" in move.perform("stop").text
    assert world == ["stop"]


@pytest.mark.parametrize("answer", [failed("relays missing"), UNKNOWN])
def test_a_commit_that_was_begun_counts_as_committed(answer: Judgement) -> None:
    """A resume repeats it when it is seen not done, never undoes by itself, and says both ways."""
    world: list[str] = []
    past = AttemptState(
        state=MoveState.IN_PROGRESS,
        done=frozenset({"stop"}),
        begun=frozenset({"switch"}),
        committing=frozenset({"switch"}),
        texts={"stop": "seen"},
    )
    move, _ = _move(Act("stop", world), Act("switch", world, commits=True, answer=answer), past=past)
    move.perform("stop")

    text = move.perform("switch").text

    assert world == (["switch"] if answer.verdict is Verdict.FAILED else [])
    assert "Nothing was undone" in text
    assert "To take it back: nox -s rollback -- wiki --apply" in text
    assert move.state is MoveState.IN_PROGRESS


def test_drift_after_a_commit_that_was_begun_undoes_nothing() -> None:
    """An earlier action that is seen undone stops the line, but clients may be on the target already."""
    world: list[str] = []
    past = AttemptState(
        state=MoveState.IN_PROGRESS,
        done=frozenset({"stop"}),
        begun=frozenset({"switch"}),
        committing=frozenset({"switch"}),
    )
    move, _ = _move(Act("stop", world, answer=failed("runs")), Act("switch", world, commits=True), past=past)

    assert "switch was begun, so clients may be there already" in move.perform("stop").text
    assert world == []


def test_a_proof_that_could_not_look_leaves_the_move_undone() -> None:
    """What was undone is on record as undone, and the text of the first failure is there."""

    def silent() -> Judgement:
        raise NotObservedError("wf005: ssh failed")

    world: list[str] = []
    move, diary = _move(Act("stop", world, answer=failed("exit 137")))
    move.prove_source = silent

    text = move.perform("stop").text

    assert move.state is MoveState.UNDONE
    assert text.startswith("exit 137. Undone (stop), but whether it serves again could not be seen: wf005: ssh failed")
    assert diary.kinds()[-1] == "move_state undone"


@pytest.mark.parametrize("broken", ["undo", "proof"])
def test_anything_unexpected_in_an_undo_or_its_proof_needs_a_person(broken: str) -> None:
    """A defect of ours there is reported with what is left; the text of the first failure is not lost."""

    def proof() -> Judgement:
        raise KeyError("State")

    world: list[str] = []
    undo_fails = KeyError("State") if broken == "undo" else None
    move, diary = _move(
        Act("disable", world),
        Act("stop", world, undo_fails=undo_fails),
        Act("boom", world, answer=failed("first failure")),
    )
    move.prove_source = proof
    move.perform("disable")
    move.perform("stop")

    text = move.perform("boom").text

    assert move.state is MoveState.NEEDS_OPERATOR
    assert diary.kinds()[-1] == "move_state needs_operator"
    assert text.startswith("first failure. ")
    assert "KeyError" in text
    assert "nox -s rollback -- wiki --apply" in text
    assert broken == "proof" or "Left to undo, in this order: stop, disable" in text


def test_an_undo_without_an_answer_is_tried_again() -> None:
    """A cut in the middle of an undo does not end in a person's hands at once."""

    class Slow(Act):
        tries = 0

        def undo(self, note: Note) -> None:
            super().undo(note)
            Slow.tries += 1
            if Slow.tries < 3:
                raise ManualInterventionError("not seen stopped") from NotObservedError("wf001: no answer")

    world: list[str] = []
    move, _ = _move(Slow("start", world), Act("boom", world, answer=failed("no")))
    _waits(move)
    move.perform("start")

    move.perform("boom")

    assert move.state is MoveState.UNDONE
    assert Slow.tries == 3


class FullDiary(Diary):
    """A journal that takes nothing from a moment on."""

    full = False

    def record(self, kind: str, *, service: str | None = None, key: str | None = None, body: dict[str, Any]) -> None:
        """Refuse."""
        if self.full:
            raise JournalError("state/lab.sqlite: record 9 can't be written: database or disk is full")
        super().record(kind, service=service, key=key, body=body)


def test_a_journal_that_takes_nothing_more_does_not_stop_an_undo() -> None:
    """Nothing more is begun; what was begun is undone from memory, and the text says where its record is."""
    world: list[str] = []
    diary = FullDiary()
    move = RunningMove(
        "wiki", (Act("stop", world), Act("copy", world), Act("start", world)), diary, apply=True, patience=ONCE
    )
    move.perform("stop")
    diary.full = True

    with pytest.raises(JournalError, match="full") as raised:
        move.perform("copy")

    text = "".join(raised.value.__notes__)
    assert world == ["stop", "undo stop stop"]
    assert move.state is MoveState.UNDONE
    assert "Undone (stop)" in text
    assert "nox -s adopt -- --compare" in text
    with pytest.raises(NotRun):
        move.perform("start")


def test_a_commit_whose_outcome_can_not_be_written_is_not_undone() -> None:
    """The target serves, whether the journal knows it or not."""

    class Filling(Act):
        def verify(self, note: Note) -> Judgement:
            diary.full = True
            return super().verify(note)

    world: list[str] = []
    diary = FullDiary()
    move = RunningMove(
        "wiki", (Act("stop", world), Filling("switch", world, commits=True)), diary, apply=True, patience=ONCE
    )
    move.perform("stop")

    with pytest.raises(JournalError) as raised:
        move.perform("switch")

    assert world == ["stop", "switch"]
    assert "nothing is undone after commit" in "".join(raised.value.__notes__)


def test_who_lost_the_chain_changes_nothing_more() -> None:
    """Another process writes this journal: the move is its own now, as with a lost lock."""
    world: list[str] = []
    move, _ = _move(Act("stop", world), Act("copy", world, fails=ChainConflictError("record 9 is there")))
    move.perform("stop")

    with pytest.raises(ChainConflictError):
        move.perform("copy")

    assert world == ["stop", "copy"]
    assert move.lost_lock


@pytest.mark.parametrize("committed", [True, False])
def test_a_lost_measurement_stops_no_move(committed: bool) -> None:
    """A probe that is gone is UNKNOWN and the move continues, after the commit and on a resume before it."""
    world: list[str] = []
    probe = Act("probe", world, answer=failed("it does not run") if not committed else UNKNOWN)
    if committed:
        move, _ = _move(Act("switch", world, commits=True), probe, Act("keep", world))
        move.measures = frozenset({"probe"})
        move.perform("switch")
        after = "keep"
    else:
        past = AttemptState(state=MoveState.IN_PROGRESS, done=frozenset({"probe", "stop"}))
        move, _ = _move(probe, Act("stop", world), past=past)
        move.measures = frozenset({"probe"})
        after = "stop"

    assert move.perform("probe").verdict is Verdict.UNKNOWN

    assert move.perform(after).passed
    assert move.state is MoveState.DONE
    assert not any(one.startswith("undo") for one in world)


def test_a_probe_that_is_gone_after_the_commit_stops_no_resumed_move() -> None:
    """A rollback that was begun and given up may have removed it: no later run could ever end if it had to be there."""
    world: list[str] = []
    probe = Act("probe", world, answer=failed("it does not run"))
    past = AttemptState(
        state=MoveState.COMMITTED,
        done=frozenset({"probe", "switch"}),
        texts={"probe": "runs", "switch": "switched"},
    )
    move = RunningMove(
        service="wiki", recipe=(probe, Act("switch", world, commits=True), Act("measure", world)), journal=Diary(),
        apply=True, past=past, patience=ONCE, superseded_by={"probe": "measure"},
        measures=frozenset({"probe", "measure"}),
    )  # fmt: skip

    assert move.perform("probe").verdict is Verdict.UNKNOWN
    assert move.perform("switch").passed
    assert move.perform("measure").passed
    assert move.state is MoveState.DONE


def test_an_outage_that_is_not_over_still_stops_the_line() -> None:
    """That was measured: clients have no answer. Only what could not be measured is a warning."""
    world: list[str] = []
    move, _ = _move(
        Act("switch", world, commits=True),
        Act("probe", world, answer=failed("outage since 02:00, not over")),
        Act("keep", world),
    )
    move.measures = frozenset({"probe"})
    move.perform("switch")

    assert move.perform("probe").verdict is Verdict.FAILED
    assert move.stopped_because


def test_a_rollback_continues_without_a_probe() -> None:
    """Who rolls back a service that no longer answers can't measure from a first good answer; the probe is put away."""
    world: list[str] = []
    probe = Act("start-probe-back", world, fails=ActionError("no good answer within 15 s"))
    move, _ = _move(probe, Act("stop-moved", world), past=AttemptState(state=MoveState.DONE))
    move.stages, move.measures = backward(MoveState.DONE), frozenset({"start-probe-back"})

    judgement = move.perform("start-probe-back")

    assert judgement.verdict is Verdict.UNKNOWN
    assert "no good answer" in judgement.text
    assert world == ["start-probe-back", "undo start-probe-back start-probe-back"]
    assert move.perform("stop-moved").passed


def test_cleaning_up_after_the_commit_does_not_stop_the_line() -> None:
    """The rest follows, other services too; the move is done only when it was made up for."""
    world: list[str] = []
    move, _ = _move(
        Act("switch", world, commits=True), Act("clear", world, answer=failed("a key is left")), Act("keep", world)
    )
    move.later = frozenset({"clear"})
    move.perform("switch")

    judgement = move.perform("clear")

    assert judgement.verdict is Verdict.FAILED
    assert "Once its cause is repaired: nox -s migrate -- --service wiki --apply" in judgement.text
    assert move.perform("keep").passed
    assert (move.state, move.stopped_because) == (MoveState.COMMITTED, None)


def test_a_preparation_says_what_is_kept_and_how_to_prepare_again() -> None:
    """A failed drill removes neither the backup nor the image, and a migration does not resume a preparation."""
    world: list[str] = []
    move, _ = _move(
        Act("image-shipped", world),
        Act("backup-taken", world),
        Act("backup-drilled", world, answer=failed("3 rows differ")),
    )
    move.stages, move.tracks_state, move.kept = PREPARING, False, frozenset({"image-shipped", "backup-taken"})
    move.perform("image-shipped")
    move.perform("backup-taken")

    text = move.perform("backup-drilled").text

    assert (
        "Undone (backup-drilled). Kept: backup-taken, image-shipped. Retry: nox -s prepare -- --service wiki --apply"
        in text
    )
    assert "migrate" not in text


def test_the_undo_of_a_rollback_says_how_to_continue_it() -> None:
    """It is an undo itself: nothing of it is called undone, and no migration is advised."""
    world: list[str] = []
    move, _ = _move(Act("finish-undo", world, answer=failed("The undo could not finish")))
    move.stages, move.tracks_state = UNDOING, False

    assert (
        move.perform("finish-undo").text
        == "The undo could not finish. To go on with it: nox -s rollback -- wiki --apply"
    )
    assert world == ["finish-undo"]


def test_a_rollback_that_fails_is_undone_though_the_commit_of_the_move_was_begun() -> None:
    """What committed is the move that is rolled back: the rollback has a commit of its own."""
    world: list[str] = []
    past = AttemptState(state=MoveState.IN_PROGRESS, committing=frozenset({"commit"}))
    move, _ = _move(Act("stop-moved", world), Act("safety-copy", world, answer=failed("no room")), past=past)
    move.stages = backward(MoveState.IN_PROGRESS)
    move.perform("stop-moved")

    assert "Undone (safety-copy, stop-moved)" in move.perform("safety-copy").text
    assert move.state is MoveState.IN_PROGRESS


class RefusingDiary(Diary):
    """A journal that keeps the intent of one action, which then a host does not take."""

    refuses: str = ""

    def record(self, kind: str, *, service: str | None = None, key: str | None = None, body: dict[str, Any]) -> None:
        """Remember one record; refuse after it what a host has no room for."""
        super().record(kind, service=service, key=key, body=body)
        if kind == "intent" and key == self.refuses:
            raise ActionError("wf005: could not write the audit log: no space left")


def test_an_intent_that_a_host_did_not_take_is_reported_as_not_begun() -> None:
    """The journal has the intent: without a word, a later run would count a commit as begun that never was."""
    world: list[str] = []
    move, _ = _move(Act("stop", world), Act("commit", world, commits=True))
    diary = RefusingDiary()
    diary.refuses = "commit"
    move.journal = diary
    move.perform("stop")

    with pytest.raises(ActionError, match="no space left"):
        move.perform("commit")

    assert "commit" not in world
    assert "undo stop stop" in world
    ended = next(body for kind, key, body in diary.records if (kind, key) == ("outcome", "commit"))
    assert (ended["ok"], ended["begun"]) == (False, False)
    assert "no space left" in ended["text"]


@dataclass
class SilentOnce(Act):
    """An action whose first request never arrives: its host gives no answer for a moment."""

    tries: int = 0

    def do(self, note: Note) -> None:
        """Get lost, then arrive."""
        self.tries += 1
        if self.tries == 1:
            raise NotObservedError("wf001: Docker does not answer")
        super().do(note)

    def verify(self, note: Note) -> Judgement:
        """Judge whether it arrived."""
        return passed("there") if self.tries > 1 else failed("not there")


@pytest.mark.parametrize(("repeatable", "tries"), [(frozenset({"relays"}), 2), (frozenset[str](), 1)])
def test_a_deed_that_never_arrived_is_done_again_where_it_may_be(repeatable: frozenset[str], tries: int) -> None:
    """An engine that was restarted for a second does not take a move back; what writes into data is not repeated."""
    world: list[str] = []
    action = SilentOnce("relays", world)
    move = RunningMove(
        "wiki",
        (action,),
        Diary(),
        apply=True,
        repeatable=repeatable,
        patience=ONCE,
        prove_source=lambda: passed("serves"),
    )

    answer = move.perform("relays")

    assert action.tries == tries
    assert answer.passed is (tries > 1)
    assert ("undo relays" in world) is (tries == 1)
