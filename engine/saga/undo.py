"""What happens when an action fails: everything is undone in reverse, or it is said why nothing may be undone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from engine.cancellation import shielded
from engine.contracts.action import Action
from engine.contracts.move_state import MoveState
from engine.contracts.product import Committing
from engine.errors import (
    ActionError,
    ChainConflictError,
    HostLostError,
    LockLostError,
    LongshoreError,
    ManualInterventionError,
    NotObservedError,
)
from engine.finding import joined, recorded, say
from engine.journal.kinds import RecordKind
from engine.saga.outcomes import shortened
from engine.saga.progress import MoveProgress
from engine.verdict import Effect, Judgement, Verdict, failed

NOT_UNDONE: Final = say("Nothing was undone")
"""How the text begins where a move stays half-way: nobody could look, or clients may be on the target already."""
LEFT: Final = say("Left to undo, in this order")


@dataclass
class UndoableMove(MoveProgress):
    """A move whose actions can be undone, as long as it is not committed."""

    def undo_attempt(self, reason: str) -> str:
        """Undo all that this attempt has begun, as after a failure, and return what a person should know now."""
        return self._undo_attempt(reason)

    def _fail(self, action: Action, reason: str) -> str:
        """Stop this move; undo what was done unless it is committed; return what a person should know now."""
        self.stopped_because = say('"{key}" did not pass ({reason})', key=action.key, reason=shortened(reason))
        return self._undo_attempt(reason)

    def _stop(self, action: Action, reason: str) -> str:
        """Stop this move where it is: nobody could look, and an undo follows only a failure that was seen."""
        if self.stages.ends_clean or not self._to_undo() or self.committed:
            return self._fail(action, reason)
        self.stopped_because = say('"{key}" could not be seen ({reason})', key=action.key, reason=shortened(reason))
        return say(
            "{not_undone}: it could not be seen, and what can't be seen is not taken for wrong. {ways_on}",
            not_undone=NOT_UNDONE,
            ways_on=self._ways_on(),
        )

    def _ways_on(self) -> str:
        if self._drifted and self.go_back != self.retry:
            return say(
                "The move is partly done, and a retry alone does not repair a drift: look at what is named above. To "
                "take it back: {go_back}",
                go_back=self.go_back,
            )
        back = "" if self.go_back == self.retry else say(". To take it back: {go_back}", go_back=self.go_back)
        return say("The move is partly done. To resume: {retry}{back}", retry=self.retry, back=back)

    def _undo_attempt(self, reason: str) -> str:
        """Undo to the end, also in work that was cancelled."""
        with shielded():
            return self._undo_all(reason)

    def _undo_all(self, reason: str) -> str:
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
        """Return what a person does about a failure after the commit; an action that is not done again is not repaired
        by a
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
            "A retry alone does not repair a drift: look at what is named above and put it right. Then: {retry}{back}",
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
        """Return all actions of this attempt that were begun, in this run or an earlier one, the last first."""
        keys = {action.key for action in self._done} | self._begun_here | self.past.touched
        return [
            action for action in reversed(self.recipe) if action.effect is not Effect.READ_ONLY and action.key in keys
        ]

    def _undo(self, actions: list[Action]) -> list[str]:
        for position, action in enumerate(actions):
            try:
                self._undo_one(action)
            except (LockLostError, ChainConflictError):
                raise
            except Exception as error:
                raise ManualInterventionError(_left_to_undo(error, actions[position:])) from error
        return [action.key for action in actions]

    def _undo_one(self, action: Action) -> None:
        """Undo one action, again for a while where there is no answer; what was to be undone on a dead host is not
        waited
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


def _left_to_undo(error: Exception, actions: list[Action]) -> str:
    """Return what a person should know of an undo that did not end: what was seen, and what is left."""
    told = (
        str(error)
        if isinstance(error, LongshoreError)
        else say("the tool itself failed ({name}): {error}", name=type(error).__name__, error=error)
    )
    return say(
        "{key}: {told}{stop} {left}: {actions}.",
        key=actions[0].key,
        told=told,
        stop="" if told.endswith(".") else ".",
        left=LEFT,
        actions=", ".join(action.key for action in actions),
    )
