"""The saga: perform a move's actions in order, each once, and undo them in reverse when one fails before commit.

Every action is recorded before and after it happens (intent, outcome, undo intent, undo outcome), so that a second
start can see what was done. The saga runs Protocol objects: it knows no host and no product.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.cancellation import shielded
from engine.contracts.action import Action, Note
from engine.contracts.product import DurableNote, Observing
from engine.errors import (
    ActionError,
    ChainConflictError,
    JournalError,
    LockLostError,
    LongshoreError,
    ManualInterventionError,
    NotObservedError,
)
from engine.finding import recorded, say
from engine.journal.kinds import RecordKind
from engine.saga.outcomes import NotRun, PlannedOnly, judgement_of_error, shortened
from engine.saga.patience import had_no_answer
from engine.saga.undo import UndoableMove
from engine.verdict import Effect, Judgement, Verdict, failed, passed, unknown

UNDER_WAY_S: Final = 10.0
"""So long a change that had no answer may still be under way on its host."""


@dataclass
class RunningMove(UndoableMove):
    """One move while it is performed, step by step.

    `apply=False` is the dry run: read-only actions before the first action are performed, all others are described.
    `on_change` is called after each action (facts about hosts are then out of date), `before_undo` with the reason
    before anything is undone (to collect logs of both sides), `prove_source` after the undo: does the source serve
    again? `prove_done` is asked when the journal says that the move is done: then nothing is done again. `may_start`
    says why an action must not start now, given those begun (no time left), else nothing; not asked after commit.
    `repeatable` are actions that may be done again at any time; another one that was done and is no longer so, while
    later actions rest on it, is reported and not done again: it could write over what happened since. `served_by` names
    the action with which one has served its purpose: it is not looked at any more then. `measures` are actions that
    only measure: none of them keeps a move from its end. `later` are actions after the commit that can be made up for:
    the line continues without them, the move is not done until they are. `kept` is what an undo leaves on purpose.
    `patience` is how long a host without an answer is asked again. `where` are the flags of the commands that are
    shown. `tracks_state=False` is for actions before a move (prepare), which have no state of their own.
    """

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
                    "the journal says done, whether it still holds could not be seen: {text}",
                    text=shortened(proof.text),
                )
                return Judgement(
                    proof.verdict,
                    say("done, but whether it still holds could not be seen: {text}", text=proof.text),
                    details=proof.details,
                )
            if not proof.passed:
                self.stopped_because = say("the journal says done, the hosts say: {text}", text=shortened(proof.text))
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
        actions = [position for position, action in enumerate(self.recipe) if action.effect is not Effect.READ_ONLY]
        return self.recipe[: actions[0]] if actions else self.recipe

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
            if judgement.passed or self._continues_without(action, judgement):
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
        without = ""
        if not judgement.passed and action.key in self.later:
            self._left.append(action.key)
            without = say(
                ". The move continues without it; it is not done until this is. Once its cause is repaired: {retry}",
                retry=self.retry,
            )
        if len(self._done) == len(self.recipe) and not self._left:
            self._set_state(self.stages.done)
        return replace(judgement, text=say("{text}{without}", text=judgement.text, without=without))

    def _continues_without(self, action: Action, judgement: Judgement) -> bool:
        """Return whether an action that did not pass does not stop the line: a lost measurement, or after the commit
        what can be made up for.
        """
        if self._only_measures(action):
            return judgement.verdict is Verdict.UNKNOWN
        return self.committed and action.key in self.later

    def _only_measures(self, action: Action) -> bool:
        """Return whether the move continues without this measurement: one that comes first may still keep a move from
        beginning.
        """
        return action.key in self.measures and (self.committed or self.stages.must_end or self._rested_on(action))

    def _attempt(self, action: Action) -> Judgement:
        return self._resume(action) if self._known(action) else self._do(action)

    def _measure(self, action: Action) -> Judgement:
        """Measure. Before the commit what was lost is UNKNOWN, whatever became of its tools, and they are put away.
        After it the tool of a measurement is UNKNOWN where it is gone, too: it stops no line.
        """
        try:
            judgement = self._attempt(action)
        except ManualInterventionError:
            raise
        except (ActionError, NotObservedError) as error:
            judgement = unknown(str(error)) if self.committed else failed(str(error))
            self._record(
                RecordKind.OUTCOME,
                action,
                {"ok": False, **recorded(str(error)), "note": self._notes.get(action.key, {})},
            )
        if judgement.passed or (self.committed and action.key not in self.superseded_by):
            return judgement
        if action.key in self._begun_here and not self.committed:
            with shielded(), suppress(NotObservedError, ActionError):
                self._undo_one(action)
        return unknown(
            say("{text}. It only measures: the move continues without it", text=judgement.text),
            judgement.details,
            **judgement.measured,
        )

    def _superseded(self, action: Action) -> bool:
        """Return whether a question was answered in an earlier run and later actions have changed what it
        asked about.
        """
        return action.effect is Effect.READ_ONLY and action.key in self.past.done and self._rested_on(action)

    def _has_served(self, action: Action) -> bool:
        return action.key in self.past.done and self.superseded_by.get(action.key) in self.past.touched

    def _rested_on(self, action: Action) -> bool:
        """Return whether an earlier run has begun later actions."""
        later = self.recipe[self.recipe.index(action) + 1 :]
        return any(one.key in self.past.touched for one in later if one.effect is not Effect.READ_ONLY)

    def _known(self, action: Action) -> bool:
        return action.effect is not Effect.READ_ONLY and action.key in self.past.touched

    def _resume(self, action: Action) -> Judgement:
        """Look whether an action of an earlier run is (still) done; do it again when it is seen not to be."""
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
            drift = say(
                "changed since this step finished: {text}. Not repeated, because later steps depend on it",
                text=judgement.text,
            )
            self._record(RecordKind.DRIFT, action, recorded(drift))
            self._drifted = True
            return Judgement(judgement.verdict, drift, judgement.measured, judgement.details)
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
        self._intend(action, {**about, "note": dict(note)})
        self._begun_here.add(action.key)
        started = time.monotonic()
        silent = self._act(action, note)
        self._changed(action)
        if silent and action.key in self.repeatable:
            silent = self._act_again(action, note, silent)
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

    def _intend(self, action: Action, body: dict[str, Any]) -> None:
        """Record the intent; one that a host does not take is in the journal, and the action is not begun: that is
        recorded too.
        """
        try:
            self._record(RecordKind.INTENT, action, body)
        except ActionError as error:
            ended = {
                "ok": False,
                "begun": False,
                "verdict": Verdict.FAILED.value,
                **recorded(say("not begun: {text}", text=str(error))),
            }
            with suppress(JournalError):
                self._record(RecordKind.OUTCOME, action, ended)
            raise

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

    def _act_again(self, action: Action, note: Note, silent: str) -> str:
        """Do once more what had no answer and is then seen not to be done: it may never have arrived, and a moment's
        silence is no reason to undo a move. One that is under way gets some time to end first.
        """
        soon = replace(self.patience, seconds=min(self.patience.seconds, UNDER_WAY_S))
        seen = self._ask(action)
        if seen.verdict is Verdict.FAILED:
            seen = soon.ask(lambda: self._verify(action), until_passed=True, before_again=self.on_change)
        if seen.verdict is not Verdict.FAILED:
            return silent
        again = self._act(action, note)
        self._changed(action)
        return again or silent

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
        """Undo, whatever ended the action: an error of a host, a defect of ours or Ctrl-C; then continue.

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
                self._note_failure(action, reason)
            error.add_note(self._stop(action, reason) if had_no_answer(error) else self._fail(action, reason))
            raise

    def _note_failure(self, action: Action, reason: str) -> None:
        """Record that an action failed; raises LockLostError where another run has continued the move meanwhile."""
        body = {"ok": False, **recorded(reason), "note": self._notes.get(action.key, {})}
        try:
            self._note_down(RecordKind.OUTCOME, action, body)
        except (LockLostError, ChainConflictError) as error:
            self.stopped_because, self.lost_lock = str(error), True
            raise


def _with_estimate(action: Action) -> str:
    estimate = action.estimate_s()
    return (
        action.describe()
        if estimate is None
        else say("{describe} (about {estimate:.0f} s)", describe=action.describe(), estimate=estimate)
    )
