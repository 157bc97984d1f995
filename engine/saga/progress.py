"""How far a move is: its state, the notes of its actions, and their records in the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine.cancellation import shielded
from engine.contracts.action import Action, Note
from engine.contracts.move_state import MoveState
from engine.errors import (
    ChainConflictError,
    JournalError,
)
from engine.finding import say
from engine.journal.kinds import RecordKind
from engine.saga.patience import Patience
from engine.saga.state import FORWARD, AttemptState, Stages
from engine.verdict import Effect, Judgement


class Recorder(Protocol):
    """The part of a journal's run that the saga writes to."""

    def record(self, kind: str, *, service: str | None = None, key: str | None = None, body: dict[str, Any]) -> Any:
        """Append one record durably."""


@dataclass
class MoveProgress:
    """How far a move is, and what of it is on record; `RunningMove` says what each field is for."""

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
        """Continue where the journal says that the move is."""
        self._state = self.past.state
        self._notes = {key: dict(note) for key, note in self.past.notes.items()}

    @property
    def state(self) -> MoveState:
        """Return the state of the move."""
        return self._state

    @property
    def committed(self) -> bool:
        """Return True once the target serves: nothing is undone automatically any more."""
        return self._switched or self._state in {self.stages.committed, self.stages.done}

    @property
    def retry(self) -> str:
        """Return the command that continues the move."""
        return self.stages.retry(self.service, self.where)

    @property
    def go_back(self) -> str:
        """Return the command that takes the move back, or continues that."""
        return self.stages.go_back(self.service, self.where)

    def note(self, key: str) -> Note:
        """Return what the action `key` noted, empty when it did not run."""
        return self._notes.get(key, {})

    def _changed(self, action: Action) -> None:
        if action.effect is not Effect.READ_ONLY:
            self.on_change()

    def _set_state(self, state: MoveState) -> None:
        if self.tracks_state and state is not self._state:
            self._state = state
            with shielded():
                self.journal.record(RecordKind.MOVE_STATE, service=self.service, body={"state": state.value})

    def _set_state_down(self, state: MoveState) -> None:
        """Note a state that the move is in whether it can be recorded or not."""
        if self.tracks_state and state is not self._state:
            self._state = state
            self._note_down(RecordKind.MOVE_STATE, None, {"state": state.value})

    def _record(self, kind: str, action: Action, body: dict[str, Any]) -> None:
        with shielded():
            self.journal.record(kind, service=self.service, key=action.key, body=body)

    def _note_down(self, kind: str, action: Action | None, body: dict[str, Any]) -> None:
        """Record what is put back; a journal that takes nothing more does not stand in the way of it: the hosts' audit
        logs have it.
        """
        key = {"key": action.key} if action else {}
        try:
            with shielded():
                self.journal.record(kind, service=self.service, body=body, **key)
        except ChainConflictError:
            raise
        except JournalError as error:
            self.unwritten = str(error)

    def _unwritten_note(self) -> str:
        if not self.unwritten:
            return ""
        compare = f"nox -s adopt -- --compare {self.where}".rstrip()
        return say(
            " (the journal did not take all of this: {unwritten}. The audit logs of the hosts have it: {compare})",
            unwritten=self.unwritten,
            compare=compare,
        )
