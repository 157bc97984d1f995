"""The saga: perform a move's actions in order, each once, and undo them in reverse when one fails before commit.

Every deed is recorded before and after it happens (intent, outcome, undo intent, undo outcome), so that a second start
can tell what was done. The saga runs Protocol objects: it knows no host and no product.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol

from engine.contracts.action import Action, Note
from engine.contracts.move_state import MoveState
from engine.contracts.product import Committing, DurableNote, Observing
from engine.errors import (
    ActionError,
    ChainConflictError,
    HostLostError,
    JournalError,
    LockLostError,
    LongshoreError,
    ManualInterventionError,
    NotObservedError,
)
from engine.finding import joined, recorded, say, shortened
from engine.journal.kinds import RecordKind
from engine.saga.patience import Patience, had_no_answer
from engine.saga.state import FORWARD, AttemptState, Stages
from engine.verdict import Effect, Judgement, Verdict, failed, passed, unknown

SHORT: Final = 160
"""So much of a reason is repeated in the steps that did not run because of it."""
NOT_UNDONE: Final = say("Nothing was undone")
"""How the text begins where a move stays half-way: nobody could look, or clients may be on the target already."""
LEFT: Final = say("Left to undo, in this order")


class PlannedOnly(LongshoreError):
    """A dry run reached an action: the text says what would be done; becomes PLANNED."""


class NotRun(LongshoreError):
    """A step was not run because of another one: the text names it; becomes NOT_RUN."""


class Recorder(Protocol):
    """The part of a journal's run that the saga writes to."""

    def record(self, kind: str, *, service: str | None = None, key: str | None = None, body: dict[str, Any]) -> Any:
        """Append one record durably."""


@dataclass
class RunningMove:
    """One move while it is performed, step by step.

    `apply=False` is the dry run: read-only actions before the first deed are performed, all others are described.
    `on_change` is called after each deed (facts about hosts are then out of date), `before_undo` with the reason
    before anything is undone (to collect logs of both sides), `prove_source` after the undo: does the source serve
    again? `prove_done` is asked when the journal says that the move is done: then nothing is done again. `may_start`
    tells why a deed must not start now, given those begun (no time left), else nothing; not asked after commit.
    `repeatable` are deeds that may be done again at any time; another one that was done and is no longer so, while
    later deeds rest on it, is told and not done again: it could write over what happened since. `served_by` names the
    deed with which one has served its purpose: it is not looked at any more then. `measures` are actions that only
    measure: none of them keeps a move from its end. `later` are actions after the commit that can be made up for: the
    line goes on without them, the move is not done until they are. `kept` is what an undo leaves on purpose. `patience`
    is how long a host without an answer is asked again. `where` are the flags of the commands that are told.
    `tracks_state=False` is for deeds before a move (prepare), which have no state of their own.
    """

    service: str
    recipe: tuple[Action, ...]
    journal: Recorder
    apply: bool
    past: AttemptState = field(default_factory=AttemptState)
    stages: Stages = FORWARD
    on_change: Callable[[], None] = lambda: None
    before_undo: Callable[[str], None] = lambda _reason: None
    prove_source: Callable[[], Judgement] | None = None
    prove_done: Callable[[], Judgement] | None = None
    tracks_state: bool = True
    repeatable: frozenset[str] = frozenset()
    superseded_by: Mapping[str, str] = field(default_factory=dict)
    measures: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    patience: Patience = field(default_factory=Patience)
    where: str = ""
    may_start: Callable[[Action, tuple[Action, ...]], str] = lambda _action, _begun: ""
    stopped_because: str | None = None
    lost_lock: bool = field(default=False, init=False)
    proof: Judgement | None = field(default=None, init=False)
    """What was seen after the undo: whether the service serves where it was."""
    unwritten: str = field(default="", init=False)
    """Why the journal did not take what was undone, where it did not."""
    _done: list[Action] = field(default_factory=list, init=False)
    _begun_here: set[str] = field(default_factory=set, init=False)
    _left: list[str] = field(default_factory=list, init=False)
    _notes: dict[str, Note] = field(default_factory=dict, init=False)
    _state: MoveState = field(default=MoveState.PLANNED, init=False)
    _switched: bool = field(default=False, init=False)
    _drifted: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Continue where the journal says that the move stands."""
        self._state = self.past.state
        self._notes = {key: dict(note) for key, note in self.past.notes.items()}

    @property
    def state(self) -> MoveState:
        """Return where the move stands."""
        return self._state

    @property
    def committed(self) -> bool:
        """Return True once the target serves: nothing is undone automatically any more."""
        return self._switched or self._state in {self.stages.committed, self.stages.done}

    @property
    def retry(self) -> str:
        """Return the command that goes on."""
        return self.stages.retry(self.service, self.where)

    @property
    def go_back(self) -> str:
        """Return the command that takes the move back, or goes on with that."""
        return self.stages.go_back(self.service, self.where)

    def note(self, key: str) -> Note:
        """Return what the action `key` noted, empty when it did not run."""
        return self._notes.get(key, {})

    def perform(self, key: str) -> Judgement:
        """Perform the next action and return its judgement; on a failure before the commit everything is undone first.

        Where it can't be seen whether an action failed, nothing is undone: the line stops. Raises PlannedOnly in a dry
        run, NotRun after an earlier failure.
        """
        action = self._next(key)
        if self.past.state is self.stages.done and self.tracks_state:
            return self._already_done(action)
        if not self.apply and action not in self._before_first_deed():
            self._done.append(action)
            raise PlannedOnly(_with_estimate(action))
        if not self.apply:
            self._done.append(action)
            return self._ask(action)
        return self._perform(action)

    def _already_done(self, action: Action) -> Judgement:
        """Answer for an action of a move that is done: look once whether it still holds, do nothing again."""
        if not self._done:
            nobody = unknown(say("nothing to ask whether the move still holds"))
            proof = self.patience.ask(self.prove_done, before_again=self.on_change) if self.prove_done else nobody
            if proof.verdict is Verdict.UNKNOWN:
                self.stopped_because = say(
                    "the journal says done, whether it still holds could not be seen: {text}", text=_short(proof.text)
                )
                return Judgement(
                    proof.verdict,
                    say("done, but whether it still holds could not be seen: {text}", text=proof.text),
                    details=proof.details,
                )
            if not proof.passed:
                self.stopped_because = say("the journal says done, the hosts say: {text}", text=_short(proof.text))
                return Judgement(
                    proof.verdict, say("drift since the move was done: {text}", text=proof.text), details=proof.details
                )
        self._done.append(action)
        return passed(say("done earlier: {text}", text=self.past.texts.get(action.key, action.describe())))

    def _next(self, key: str) -> Action:
        if self.stopped_because:
            raise NotRun(say("not run: {stopped_because}", stopped_because=self.stopped_because))
        position = len(self._done)
        expected = self.recipe[position].key if position < len(self.recipe) else None
        if key != expected:
            raise NotRun(
                say(
                    'not run: "{key}" was asked for, but the next action of this move is "{expected}"',
                    key=key,
                    expected=expected,
                )
            )
        return self.recipe[position]

    def _before_first_deed(self) -> tuple[Action, ...]:
        deeds = [position for position, action in enumerate(self.recipe) if action.effect is not Effect.READ_ONLY]
        return self.recipe[: deeds[0]] if deeds else self.recipe

    def _perform(self, action: Action) -> Judgement:
        if self._superseded(action):
            self._done.append(action)
            return passed(say("asked in an earlier run: {text}", text=self.past.texts[action.key]))
        if self._has_served(action):
            self._done.append(action)
            return passed(say("done in an earlier run; no longer needed: {text}", text=self.past.texts[action.key]))
        with self._stop_on_failure(action):
            if self._state not in {self.stages.begun, self.stages.committed}:
                self._set_state(self.stages.begun)
            judgement = self._measure(action) if self._only_measures(action) else self._attempt(action)
            if judgement.passed or self._goes_on_without(action, judgement):
                return self._settle(action, judgement)
        ending = (
            self._stop(action, judgement.text)
            if judgement.verdict is Verdict.UNKNOWN
            else self._fail(action, judgement.text)
        )
        return Judgement(
            judgement.verdict,
            say("{text}. {ending}", text=judgement.text, ending=ending),
            judgement.measured,
            judgement.details,
        )

    def _settle(self, action: Action, judgement: Judgement) -> Judgement:
        """Note that an action is behind the move, and the state that it brings with it."""
        self._done.append(action)
        if action.commits:
            self._set_state(self.stages.committed)
        told = ""
        if not judgement.passed and action.key in self.later:
            self._left.append(action.key)
            told = say(
                ". The move goes on without it; it is not done until this is. Once its cause is mended: {retry}",
                retry=self.retry,
            )
        if len(self._done) == len(self.recipe) and not self._left:
            self._set_state(self.stages.done)
        return replace(judgement, text=say("{text}{told}", text=judgement.text, told=told))

    def _goes_on_without(self, action: Action, judgement: Judgement) -> bool:
        """Return whether an action that did not pass does not stop the line: a lost measurement, or after the commit
        what can be made up for.
        """
        if self._only_measures(action):
            return judgement.verdict is Verdict.UNKNOWN
        return self.committed and action.key in self.later

    def _only_measures(self, action: Action) -> bool:
        """Return whether the move goes on without this measurement: one that comes first may still keep a move from
        beginning.
        """
        return action.key in self.measures and (self.committed or self.stages.must_end or self._rested_on(action))

    def _attempt(self, action: Action) -> Judgement:
        return self._resume(action) if self._known(action) else self._do(action)

    def _measure(self, action: Action) -> Judgement:
        """Measure; before the commit what was lost is UNKNOWN, whatever became of its tools, and they are put away."""
        try:
            judgement = self._attempt(action)
        except ManualInterventionError:
            raise
        except ActionError as error:
            judgement = failed(str(error))
            self._record(
                RecordKind.OUTCOME,
                action,
                {"ok": False, **recorded(str(error)), "note": self._notes.get(action.key, {})},
            )
        if judgement.passed or self.committed:
            return judgement
        if action.key in self._begun_here:
            with suppress(NotObservedError, ActionError):
                self._undo_one(action)
        return unknown(
            say("{text}. It only measures: the move goes on without it", text=judgement.text),
            judgement.details,
            **judgement.measured,
        )

    def _superseded(self, action: Action) -> bool:
        """Return whether a question was answered in an earlier run and later deeds have changed what it asked about."""
        return action.effect is Effect.READ_ONLY and action.key in self.past.done and self._rested_on(action)

    def _has_served(self, action: Action) -> bool:
        return action.key in self.past.done and self.superseded_by.get(action.key) in self.past.touched

    def _rested_on(self, action: Action) -> bool:
        """Return whether an earlier run has begun later deeds."""
        later = self.recipe[self.recipe.index(action) + 1 :]
        return any(one.key in self.past.touched for one in later if one.effect is not Effect.READ_ONLY)

    def _known(self, action: Action) -> bool:
        return action.effect is not Effect.READ_ONLY and action.key in self.past.touched

    def _resume(self, action: Action) -> Judgement:
        """Look whether a deed of an earlier run is (still) done; do it again when it is seen not to be."""
        judgement = self._ask(action)
        if judgement.passed:
            self._switched = self._switched or action.commits
            self._record(
                RecordKind.OUTCOME,
                action,
                {
                    "ok": True,
                    **recorded(say("already done: {text}", text=judgement.text)),
                    "resumed": True,
                    "note": self.note(action.key),
                },
            )
            return judgement
        if self._only_measures(action) and action.key in self.superseded_by.values():
            return self._do(action)  # whatever ends a measurement also puts its tools away
        if judgement.verdict is Verdict.UNKNOWN or (self._only_measures(action) and self._rested_on(action)):
            return judgement
        if action.key not in self.past.done:
            return self._do(action)
        if self._rested_on(action) and action.key not in self.repeatable:
            told = say(
                "changed since this step finished: {text}. Not repeated, because later steps depend on it",
                text=judgement.text,
            )
            self._record(RecordKind.DRIFT, action, recorded(told))
            self._drifted = True
            return Judgement(judgement.verdict, told, judgement.measured, judgement.details)
        self._record(
            RecordKind.OUTCOME,
            action,
            {"ok": False, **recorded(say("drift: {text}", text=judgement.text)), "resumed": True},
        )
        return self._do(action)

    def _do(self, action: Action) -> Judgement:
        late = "" if self.committed or action.effect is Effect.READ_ONLY else self.may_start(action, tuple(self._done))
        if late:
            return failed(say("not started: {late}", late=late))
        observed = self._observe(action)
        if not observed.passed:
            return observed
        note = self._notes[action.key]
        about = {
            **recorded(action.describe(), "describe"),
            "effect": action.effect.value,
            "estimate_s": action.estimate_s(),
            "commits": action.commits,
        }
        self._record(RecordKind.INTENT, action, {**about, "note": dict(note)})
        self._begun_here.add(action.key)
        started = time.monotonic()
        silent = self._act(action, note)
        self._changed(action)
        judgement = self._ask(action, until_passed=bool(silent))
        if silent:
            judgement = replace(
                judgement,
                text=say("{text} (seen after it had no answer: {silent})", text=judgement.text, silent=silent),
            )
        self._switched = self._switched or (action.commits and judgement.passed)
        self._record(
            RecordKind.OUTCOME,
            action,
            {
                "ok": judgement.passed,
                "verdict": judgement.verdict.value,
                **recorded(judgement.text),
                "note": note,
                "duration_s": round(time.monotonic() - started, 3),
            },
        )
        return judgement

    def _observe(self, action: Action) -> Judgement:
        """Complete the action's note with all that its undo or a resume will need; what was observed first stays."""
        before = self._notes.get(action.key, {})
        seen = dict(before)

        def look() -> Judgement:
            if isinstance(action, Observing):
                action.observe(seen)
            return passed(say("observed"))

        judgement = self.patience.ask(look, before_again=self.on_change)
        self._notes[action.key] = DurableNote(
            {**seen, **before}, lambda note: self._record(RecordKind.NOTE, action, {"note": note})
        )
        return judgement if judgement.passed else replace(judgement, text=say("not begun: {text}", text=judgement.text))

    def _act(self, action: Action, note: Note) -> str:
        """Do it; return why there was no answer, "" when there was one: whether it is done is then for its question to
        say.
        """
        try:
            action.do(note)
        except NotObservedError as error:
            return str(error)
        return ""

    def _ask(self, action: Action, *, until_passed: bool = False) -> Judgement:
        """Ask whether an action is done, again for a while where there is no answer; a measurement is not
        waited for.
        """
        patience = replace(self.patience, seconds=0.0) if action.key in self.measures else self.patience
        return patience.ask(lambda: self._verify(action), until_passed=until_passed, before_again=self.on_change)

    def _verify(self, action: Action) -> Judgement:
        """Ask once; what an action says that it can't find is wrong, unless somebody did not answer; a defect of ours
        is no answer.
        """
        try:
            return action.verify(self._notes.setdefault(action.key, {}))
        except ManualInterventionError:
            raise
        except (ActionError, AssertionError) as error:
            return unknown(str(error)) if had_no_answer(error) else failed(str(error))
        except LongshoreError:
            raise
        except Exception as error:  # noqa: BLE001 it says nothing about the hosts, so it must not lead to an undo
            return judgement_of_error(error)

    @contextmanager
    def _stop_on_failure(self, action: Action) -> Iterator[None]:
        """Undo, whatever ended the deed: an error of a host, a defect of ours or Ctrl-C; then continue.

        Where there was no answer nothing is undone. When somebody else holds the lock now, or writes the journal,
        nothing is undone and nothing recorded: the move is theirs.
        """
        try:
            yield
        except (LockLostError, ChainConflictError) as error:
            self.stopped_because, self.lost_lock = str(error), True
            raise
        except BaseException as error:
            reason = str(error) or type(error).__name__
            self.on_change()
            if action.key in self._begun_here or self._known(action):
                self._note_down(
                    RecordKind.OUTCOME,
                    action,
                    {"ok": False, **recorded(reason), "note": self._notes.get(action.key, {})},
                )
            error.add_note(self._stop(action, reason) if had_no_answer(error) else self._fail(action, reason))
            raise

    def undo_attempt(self, reason: str) -> str:
        """Undo all that this attempt has begun, as after a failure, and return what a person should know now."""
        return self._undo_attempt(reason)

    def _fail(self, action: Action, reason: str) -> str:
        """Stop this move; undo what was done unless it is committed; return what a person should know now."""
        self.stopped_because = say('"{key}" did not pass ({reason})', key=action.key, reason=_short(reason))
        return self._undo_attempt(reason)

    def _stop(self, action: Action, reason: str) -> str:
        """Stop this move where it is: nobody could look, and an undo follows only a failure that was seen."""
        if self.stages.ends_clean or not self._to_undo() or self.committed:
            return self._fail(action, reason)
        self.stopped_because = say('"{key}" could not be seen ({reason})', key=action.key, reason=_short(reason))
        return say(
            "{not_undone}: it could not be seen, and what can't be seen is not taken for wrong. {ways_on}",
            not_undone=NOT_UNDONE,
            ways_on=self._ways_on(),
        )

    def _ways_on(self) -> str:
        back = "" if self.go_back == self.retry else say(". To take it back: {go_back}", go_back=self.go_back)
        return say("The move is partly done. To resume: {retry}{back}", retry=self.retry, back=back)

    def _undo_attempt(self, reason: str) -> str:
        try:
            begun = self._may_have_committed()
        except ManualInterventionError as error:
            self._set_state_down(MoveState.NEEDS_OPERATOR)
            return say(
                "{not_undone}. {error} Then: {command}{unwritten}",
                not_undone=NOT_UNDONE,
                error=error,
                command=f"{self.go_back} {self.stages.admitting}".rstrip(),
                unwritten=self._told_unwritten(),
            )
        if self.committed:
            return say(
                "{serves}: nothing is undone after commit. {after_commit}",
                serves=self.stages.serves,
                after_commit=self._after_commit(),
            )
        if begun:
            return say(
                "{not_undone}: {begun} was begun, so clients may be there already. {ways_on}",
                not_undone=NOT_UNDONE,
                begun=", ".join(begun),
                ways_on=self._ways_on(),
            )
        if not self.stages.undoes:
            return say("To go on with it: {retry}", retry=self.retry)
        try:
            return self._undo_and_prove(reason)
        except (LockLostError, ChainConflictError) as error:
            self.stopped_because, self.lost_lock = str(error), True
            error.add_note(say("Nothing more is undone. What failed first: {reason}", reason=reason))
            raise

    def _may_have_committed(self) -> list[str]:
        """Return the actions that commit, were begun, and were not seen on the hosts to have done nothing; no answer
        counts as done.
        """
        begun = []
        for action in self.recipe:
            if action.key not in self.past.committing and not (action.commits and self.committed):
                continue
            if not isinstance(action, Committing) or self._why_committed(action) or self.committed:
                begun.append(action.key)
        return begun

    def _why_committed(self, action: Committing) -> str:
        try:
            return self.patience.repeat(action.why_committed)
        except ManualInterventionError:
            raise
        except (NotObservedError, ActionError) as error:
            return str(error)

    def _after_commit(self) -> str:
        """Return what a person does about a failure after the commit; a deed that is not done again is not mended by a
        retry alone.
        """
        if not self._drifted:
            return say("Retry: {retry}", retry=self.retry)
        back = (
            ""
            if self.go_back == self.retry
            else say(". Or take the move back, with what was written: {go_back}", go_back=self.go_back)
        )
        return say(
            "A retry alone does not mend a drift: look at what is named above and put it right. Then: {retry}{back}",
            retry=self.retry,
            back=back,
        )

    def _undo_and_prove(self, reason: str) -> str:
        logs = self._collect(reason)
        try:
            undone = self._undo(self._to_undo())
        except ManualInterventionError as error:
            self._set_state_down(MoveState.NEEDS_OPERATOR)
            return say(
                "The undo could not finish. {error} To go on with it: {go_back}{logs}{told_unwritten}",
                error=error,
                go_back=self.go_back,
                logs=logs,
                told_unwritten=self._told_unwritten(),
            )
        put_back = [key for key in undone if key not in self.kept]
        left = [action.key for action in reversed(self._done) if action.key in self.kept]
        told = say("Undone ({put_back})", put_back=", ".join(put_back) or say("nothing had been changed"))
        proof = self._prove() if put_back else None
        if proof is not None and proof.verdict not in {Verdict.PASSED, Verdict.UNKNOWN}:
            self._set_state_down(MoveState.NEEDS_OPERATOR)
            return say(
                "{told}, but it does not serve again: {text}. Once it does: {go_back}{logs}{told_unwritten}",
                told=told,
                text=proof.text,
                go_back=self.go_back,
                logs=logs,
                told_unwritten=self._told_unwritten(),
            )
        self._set_state_down(self.stages.undone)
        if proof is not None and not proof.passed:
            told = say("{told}, but whether it serves again could not be seen: {text}", told=told, text=proof.text)
        elif proof is not None:
            told = say("{told}; {text}", told=told, text=proof.text)
        told = say("{told}{more}", told=told, more=say(". Kept: {left}", left=joined(", ", left)) if left else "")
        return say(
            "{told}. Retry: {retry}{logs}{told_unwritten}",
            told=told,
            retry=self.retry,
            logs=logs,
            told_unwritten=self._told_unwritten(),
        )

    def _collect(self, reason: str) -> str:
        """Collect the logs of both sides; that they can't be had stands in the way of no undo."""
        try:
            self.before_undo(reason)
        except (LockLostError, ChainConflictError):
            raise
        except Exception as error:  # noqa: BLE001 whatever it is, what was begun must be undone
            return say(" (the logs of both sides could not be kept: {error})", error=error)
        return ""

    def _prove(self) -> Judgement | None:
        """Ask whether the service serves where it was; a question that breaks is told to a person."""
        if self.prove_source is None:
            return None
        try:
            proof = self.patience.ask(self.prove_source, before_again=self.on_change)
        except (LockLostError, ChainConflictError):
            raise
        except Exception as error:  # noqa: BLE001 whatever it is, the move was undone and that must be on record
            proof = failed(
                say(
                    "the question whether it does broke ({name}: {error}). Look at it yourself",
                    name=type(error).__name__,
                    error=error,
                )
            )
        self.proof = proof
        self._note_down(
            RecordKind.SOURCE_VERIFIED,
            None,
            {"ok": proof.passed, "verdict": proof.verdict.value, **recorded(proof.text)},
        )
        return proof

    def _to_undo(self) -> list[Action]:
        """Return all deeds of this attempt that were begun, in this run or an earlier one, the last first."""
        keys = {action.key for action in self._done} | self._begun_here | self.past.touched
        return [
            action for action in reversed(self.recipe) if action.effect is not Effect.READ_ONLY and action.key in keys
        ]

    def _undo(self, deeds: list[Action]) -> list[str]:
        for position, action in enumerate(deeds):
            try:
                self._undo_one(action)
            except (LockLostError, ChainConflictError):
                raise
            except Exception as error:
                raise ManualInterventionError(_left_to_undo(error, deeds[position:])) from error
        return [action.key for action in deeds]

    def _undo_one(self, action: Action) -> None:
        """Undo one deed, again for a while where there is no answer; what was to be undone on a dead host is not waited
        for.
        """
        told = ""
        self._note_down(RecordKind.UNDO_INTENT, action, {})
        try:
            self.patience.repeat(partial(action.undo, self._notes.get(action.key, {})))
        except (LockLostError, ChainConflictError):
            raise
        except HostLostError as error:
            told = str(error)
        except Exception as error:
            self._note_down(
                RecordKind.UNDO_OUTCOME, action, {"ok": False, **recorded(str(error) or type(error).__name__)}
            )
            raise
        self._note_down(RecordKind.UNDO_OUTCOME, action, {"ok": True, **recorded(told)})
        self._changed(action)

    def _changed(self, action: Action) -> None:
        if action.effect is not Effect.READ_ONLY:
            self.on_change()

    def _set_state(self, state: MoveState) -> None:
        if self.tracks_state and state is not self._state:
            self._state = state
            self.journal.record(RecordKind.MOVE_STATE, service=self.service, body={"state": state.value})

    def _set_state_down(self, state: MoveState) -> None:
        """Note a state that the move is in whether it can be recorded or not."""
        if self.tracks_state and state is not self._state:
            self._state = state
            self._note_down(RecordKind.MOVE_STATE, None, {"state": state.value})

    def _record(self, kind: str, action: Action, body: dict[str, Any]) -> None:
        self.journal.record(kind, service=self.service, key=action.key, body=body)

    def _note_down(self, kind: str, action: Action | None, body: dict[str, Any]) -> None:
        """Record what is put back; a journal that takes nothing more does not stand in the way of it: the hosts' audit
        logs have it.
        """
        key = {"key": action.key} if action else {}
        try:
            self.journal.record(kind, service=self.service, body=body, **key)
        except ChainConflictError:
            raise
        except JournalError as error:
            self.unwritten = str(error)

    def _told_unwritten(self) -> str:
        if not self.unwritten:
            return ""
        compare = f"nox -s adopt -- --compare {self.where}".rstrip()
        return say(
            " (the journal did not take all of this: {unwritten}. The audit logs of the hosts have it: {compare})",
            unwritten=self.unwritten,
            compare=compare,
        )


def _left_to_undo(error: Exception, deeds: list[Action]) -> str:
    """Return what a person should know of an undo that did not end: what was seen, and what is left."""
    told = (
        str(error)
        if isinstance(error, LongshoreError)
        else say("the tool itself failed ({name}): {error}", name=type(error).__name__, error=error)
    )
    return say(
        "{key}: {told}{stop} {left}: {deeds}.",
        key=deeds[0].key,
        told=told,
        stop="" if told.endswith(".") else ".",
        left=LEFT,
        deeds=", ".join(action.key for action in deeds),
    )


def judgement_of_error(error: BaseException) -> Judgement:
    """Return the judgement that an exception stands for: only an AssertionError is FAILED, the rest is UNKNOWN."""
    text = joined("\n", [str(error) or type(error).__name__, *getattr(error, "__notes__", [])])
    if isinstance(error, PlannedOnly):
        return Judgement(Verdict.PLANNED, text)
    if isinstance(error, NotRun):
        return Judgement(Verdict.NOT_RUN, text)
    if isinstance(error, AssertionError):
        return failed(text)
    if isinstance(error, LongshoreError):
        return unknown(text)
    return unknown(say("the tool itself failed ({name}): {text}", name=type(error).__name__, text=text))


def _short(text: str) -> str:
    return shortened(text, SHORT) if text else say("no reason given")


def _with_estimate(action: Action) -> str:
    estimate = action.estimate_s()
    return (
        action.describe()
        if estimate is None
        else say("{describe} (about {estimate:.0f} s)", describe=action.describe(), estimate=estimate)
    )
