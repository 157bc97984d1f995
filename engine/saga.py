"""The saga: perform a move's actions in order, each once, and undo them in reverse when one fails before commit.

Every deed is recorded before and after it happens (intent, outcome, undo intent, undo outcome), so that a second start
can tell what was done. The saga runs Protocol objects: it knows no host and no product.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from engine.errors import BuriedError, CouldNotLookError, LockLostError, LongshoreError, NeedsPersonError
from engine.model import Action, DurableNote, Note, Observing
from engine.states import FORWARD, MoveState, Past, Stages
from engine.verdict import Effect, Judgement, Verdict, failed, passed, unknown

SHORT: Final = 160
"""So much of a reason is repeated in the steps that did not run because of it."""


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
    before anything is undone (to collect logs of both sides), `prove_source` after the undo: does the source serve again?
    `prove_done` is asked when the journal says that the move is done: then nothing is done again.
    `may_start` tells why a deed must not start now, given those begun (no time left), else nothing; not asked after commit.
    `repeatable` are deeds that may be done again at any time; another one that was done and is no longer so, while later
    deeds rest on it, is told and not done again: it could write over what happened since. `served_by` names the deed with which
    one has served its purpose: it is not looked at any more then.
    `tracks_state=False` is for deeds before a move (prepare), which have no state of their own.
    """

    service: str
    recipe: tuple[Action, ...]
    journal: Recorder
    apply: bool
    past: Past = field(default_factory=Past)
    stages: Stages = FORWARD
    on_change: Callable[[], None] = lambda: None
    before_undo: Callable[[str], None] = lambda _reason: None
    prove_source: Callable[[], Judgement] | None = None
    prove_done: Callable[[], Judgement] | None = None
    tracks_state: bool = True
    repeatable: frozenset[str] = frozenset()
    served_by: Mapping[str, str] = field(default_factory=dict)
    may_start: Callable[[Action, tuple[Action, ...]], str] = lambda _action, _begun: ""
    stopped_because: str | None = None
    lost_lock: bool = field(default=False, init=False)
    _done: list[Action] = field(default_factory=list, init=False)
    _notes: dict[str, Note] = field(default_factory=dict, init=False)
    _state: MoveState = field(default=MoveState.PLANNED, init=False)

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
        return self._state in {self.stages.committed, self.stages.done}

    def note(self, key: str) -> Note:
        """Return what the action `key` noted, empty when it did not run."""
        return self._notes.get(key, {})

    def perform(self, key: str) -> Judgement:
        """Perform the next action and return its judgement; on failure before commit everything is undone first.

        Raises PlannedOnly in a dry run, NotRun after an earlier failure.
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
            proof = self.prove_done() if self.prove_done else unknown("nothing to ask whether the move still holds")
            if not proof.passed:
                self.stopped_because = f"the journal says done, the hosts say: {_short(proof.text)}"
                return Judgement(proof.verdict, f"drift since the move was done: {proof.text}", details=proof.details)
        self._done.append(action)
        return passed(f"done earlier: {self.past.texts.get(action.key, action.describe())}")

    def _next(self, key: str) -> Action:
        if self.stopped_because:
            raise NotRun(f"not run: {self.stopped_because}")
        position = len(self._done)
        expected = self.recipe[position].key if position < len(self.recipe) else None
        if key != expected:
            raise NotRun(f'not run: "{key}" was asked for, but the next action of this move is "{expected}"')
        return self.recipe[position]

    def _before_first_deed(self) -> tuple[Action, ...]:
        deeds = [position for position, action in enumerate(self.recipe) if action.effect is not Effect.READ_ONLY]
        return self.recipe[: deeds[0]] if deeds else self.recipe

    def _perform(self, action: Action) -> Judgement:
        if self._state not in {self.stages.begun, self.stages.committed}:
            self._set_state(self.stages.begun)
        if self._superseded(action):
            self._done.append(action)
            return passed(f"asked in an earlier run: {self.past.texts[action.key]}")
        if self._has_served(action):
            self._done.append(action)
            return passed(f"done in an earlier run, and it has served its purpose: {self.past.texts[action.key]}")
        with self._stop_on_failure(action):
            judgement = self._resume(action) if self._known(action) else self._do(action)
        if judgement.verdict is Verdict.PASSED:
            self._done.append(action)
            if action.commits:
                self._set_state(self.stages.committed)
            if len(self._done) == len(self.recipe):
                self._set_state(self.stages.done)
            return judgement
        ending = self._fail(action, judgement.text)
        return Judgement(judgement.verdict, f"{judgement.text}. {ending}", judgement.measured, judgement.details)

    def _superseded(self, action: Action) -> bool:
        """Return whether a question was answered in an earlier run and later deeds have changed what it asked about."""
        later = self.recipe[self.recipe.index(action) + 1 :]
        deeds = {one.key for one in later if one.effect is not Effect.READ_ONLY}
        return action.effect is Effect.READ_ONLY and action.key in self.past.done and bool(deeds & (self.past.done | self.past.begun))

    def _has_served(self, action: Action) -> bool:
        return action.key in self.past.done and self.served_by.get(action.key) in self.past.done | self.past.begun

    def _rested_on(self, action: Action) -> bool:
        """Return whether later deeds were begun since this one was done."""
        later = self.recipe[self.recipe.index(action) + 1 :]
        return any(one.key in self.past.done | self.past.begun for one in later if one.effect is not Effect.READ_ONLY)

    def _known(self, action: Action) -> bool:
        return action.effect is not Effect.READ_ONLY and (action.key in self.past.done or action.key in self.past.begun)

    def _resume(self, action: Action) -> Judgement:
        """Look whether a deed of an earlier run is (still) done; do it again when it is not."""
        judgement = self._ask(action)
        if judgement.passed:
            self._record("outcome", action, {"ok": True, "text": f"already done: {judgement.text}", "resumed": True, "note": self.note(action.key)})
            return judgement
        if action.key not in self.past.done:
            return self._do(action)
        if self._rested_on(action) and action.key not in self.repeatable:
            told = f"drift since it was done: {judgement.text}. It is not done again: later deeds rest on it"
            self._record("drift", action, {"text": told})
            return Judgement(judgement.verdict, told, judgement.measured, judgement.details)
        self._record("outcome", action, {"ok": False, "text": f"drift: {judgement.text}", "resumed": True})
        return self._do(action)

    def _do(self, action: Action) -> Judgement:
        late = "" if self.committed or action.effect is Effect.READ_ONLY else self.may_start(action, tuple(self._done))
        if late:
            return failed(f"not started: {late}")
        note = self._observed(action)
        self._record(
            "intent",
            action,
            {
                "describe": action.describe(),
                "effect": action.effect.value,
                "estimate_s": action.estimate_s(),
                "commits": action.commits,
                "note": dict(note),
            },
        )
        started = time.monotonic()
        action.do(note)
        self._changed(action)
        judgement = self._ask(action)
        self._record(
            "outcome",
            action,
            {
                "ok": judgement.passed,
                "verdict": judgement.verdict.value,
                "text": judgement.text,
                "note": note,
                "duration_s": round(time.monotonic() - started, 3),
            },
        )
        return judgement

    def _observed(self, action: Action) -> Note:
        """Return the action's note with all that its undo or a resume will need; what was observed first stays."""
        before = self._notes.get(action.key, {})
        seen = dict(before)
        if isinstance(action, Observing):
            action.observe(seen)
        note = DurableNote({**seen, **before}, lambda note: self._record("note", action, {"note": note}))
        self._notes[action.key] = note
        return note

    def _ask(self, action: Action) -> Judgement:
        try:
            return action.verify(self._notes.setdefault(action.key, {}))
        except CouldNotLookError as error:
            return unknown(str(error))

    @contextmanager
    def _stop_on_failure(self, action: Action) -> Iterator[None]:
        """Undo, whatever ended the deed: an error of a host, a defect of ours or Ctrl-C; then let it go on.

        When somebody else holds the lock now, nothing is undone and nothing recorded: the move is theirs.
        """
        try:
            yield
        except LockLostError as error:
            self.stopped_because, self.lost_lock = str(error), True
            raise
        except BaseException as error:
            self._changed(action)
            reason = str(error) or type(error).__name__
            self._record("outcome", action, {"ok": False, "text": reason, "note": self._notes.get(action.key, {})})
            error.add_note(self._fail(action, reason))
            raise

    def take_back(self, reason: str) -> str:
        """Undo all that this attempt has begun, as after a failure, and return what a person should know now."""
        return self._undo_attempt(None, reason)

    def _fail(self, action: Action, reason: str) -> str:
        """Stop this move; undo what was done unless it is committed; return what a person should know now."""
        self.stopped_because = f'"{action.key}" did not pass ({_short(reason)})'
        return self._undo_attempt(action, reason)

    def _undo_attempt(self, failed: Action | None, reason: str) -> str:
        if self.committed:
            return f"{self.stages.serves}: nothing is undone after commit. Retry: {self.stages.retry(self.service)}"
        self.before_undo(reason)
        try:
            undone = self._undo(self._begun(failed))
        except NeedsPersonError as error:
            self._set_state(MoveState.NEEDS_PERSON)
            return f"The undo could not finish. {error} To go on with it then: {self.stages.go_back(self.service)}"
        proof = self.prove_source() if self.prove_source and undone else None
        if proof is not None:
            self.journal.record("source_proof", service=self.service, body={"ok": proof.passed, "text": proof.text})
        if proof is not None and not proof.passed:
            self._set_state(MoveState.NEEDS_PERSON)
            return f"Undone ({', '.join(undone)}), but it does not serve again: {proof.text}"
        self._set_state(self.stages.undone)
        serving = f"; {proof.text}" if proof else ""
        told = ", ".join(undone) or "nothing had been changed"
        return f"Undone ({told}){serving}. Retry: {self.stages.retry(self.service)}"

    def _begun(self, failed: Action | None) -> list[Action]:
        """Return all actions of this attempt that were begun, in this run or an earlier one, in order."""
        keys = {action.key for action in self._done} | self.past.done | self.past.begun | self.past.failed | ({failed.key} if failed else set())
        return [action for action in self.recipe if action.key in keys]

    def _undo(self, actions: list[Action]) -> list[str]:
        deeds = [action for action in reversed(actions) if action.effect is not Effect.READ_ONLY]
        for action in deeds:
            self._record("undo_intent", action, {})
            try:
                action.undo(self._notes.get(action.key, {}))
            except NeedsPersonError as error:
                self._record("undo_outcome", action, {"ok": False, "text": str(error)})
                raise
            except BuriedError as error:
                self._record("undo_outcome", action, {"ok": True, "text": str(error)})
                continue
            except LongshoreError as error:
                self._record("undo_outcome", action, {"ok": False, "text": str(error)})
                left = ", ".join(later.key for later in deeds[deeds.index(action) :])
                raise NeedsPersonError(f"{action.key}: {error} Left to undo by hand, in this order: {left}") from error
            self._record("undo_outcome", action, {"ok": True, "text": ""})
            self._changed(action)
        return [action.key for action in deeds]

    def _changed(self, action: Action) -> None:
        if action.effect is not Effect.READ_ONLY:
            self.on_change()

    def _set_state(self, state: MoveState) -> None:
        if self.tracks_state and state is not self._state:
            self._state = state
            self.journal.record("move_state", service=self.service, body={"state": state.value})

    def _record(self, kind: str, action: Action, body: dict[str, Any]) -> None:
        self.journal.record(kind, service=self.service, key=action.key, body=body)


def judgement_of_error(error: BaseException) -> Judgement:
    """Return the judgement that an exception stands for: only an AssertionError is FAILED, the rest is UNKNOWN."""
    text = "\n".join([str(error) or type(error).__name__, *getattr(error, "__notes__", [])])
    if isinstance(error, PlannedOnly):
        return Judgement(Verdict.PLANNED, text)
    if isinstance(error, NotRun):
        return Judgement(Verdict.NOT_RUN, text)
    if isinstance(error, AssertionError):
        return failed(text)
    if isinstance(error, LongshoreError):
        return unknown(text)
    return unknown(f"the tool itself failed ({type(error).__name__}): {text}")


def _short(text: str) -> str:
    first = text.splitlines()[0] if text else "no reason given"
    return first if len(first) <= SHORT else first[: SHORT - 3] + "…"


def _with_estimate(action: Action) -> str:
    estimate = action.estimate_s()
    return action.describe() if estimate is None else f"{action.describe()} (about {estimate:.0f} s)"
