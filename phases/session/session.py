"""A run in progress: what its steps are given, and which of them do not apply to a service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engine.config.scope import Scope
from engine.contracts.move_state import MoveState
from engine.run.options import Options
from engine.run.recorder import RunRecorder
from engine.run.xdist_worker import WorkerRecorder
from engine.signoff.waiver import Waivers
from phases.context.attempt import read_return
from phases.context.link_state import REPOINT_STEPS, links_of
from phases.context.link_state import UNDO_STEP as UNDO_REFERENCES
from phases.context.run_context import RunContext
from phases.gates.gates import Gates
from phases.migrate.data_strategy import copies_live
from phases.migrate.recipe import AFTER_COMMIT, BEFORE_HOLD
from phases.prepare.backup_drill import steps_left_out
from phases.rollback.recipe import DATA_STEPS, DEAD_STEPS, RETURN_STEPS, SOURCE_STEP, UNDO_STEP
from phases.session.moves import Moves
from phases.session.parallel import HostQueues
from phases.session.work_split import WorkShare
from phases.signoff.manual_steps import steps_not_asked

DEPENDANTS: Final = ("dependants-work", "dependants-returned")
"""Steps that ask the services that depend on one."""
LINKS_STEP: Final = "relay-dependencies"


@dataclass
class Session:
    """A run in progress."""

    options: Options
    context: RunContext
    book: RunRecorder | WorkerRecorder
    moves: Moves
    beside: HostQueues
    gates: Gates
    waivers: Waivers
    share: WorkShare

    @property
    def scope(self) -> Scope:
        """Return what this run is about."""
        return self.context.scope

    def only_for_some(self, service: str) -> dict[str, str]:
        """Return the steps that do not apply to a service, with the reason; "" for what nobody expects, such as a hook
        that is not there.
        """
        environment = self.scope.environment.environment
        reasons = (
            {}
            if self.scope.dependants_of(service)
            else dict.fromkeys(DEPENDANTS, f"nothing in environment {environment} depends on it")
        )
        if not self.scope.providers_of(service):
            reasons |= {LINKS_STEP: f"it needs nothing by name in environment {environment}"}
        reasons |= steps_not_asked(self.scope, service)
        reasons |= (
            {}
            if copies_live(self.context.move_of(service))
            else {"precopy": "strategy stop_copy: all is copied once it is stopped"}
        )
        if self.book.command == "prepare":
            reasons |= steps_left_out(self.moves.move_of(service))
        if self.book.command == "rollback":
            reasons |= self._rollback_reasons(service)
        if self.book.command == "repoint":
            reasons |= self._repoint_reasons(service)
        hooks = self.context.entry(service).hooks
        given = {BEFORE_HOLD: hooks.before_hold, AFTER_COMMIT: hooks.after_commit}
        return reasons | dict.fromkeys((key for key, hook in given.items() if hook is None), "")

    def _repoint_reasons(self, service: str) -> dict[str, str]:
        if not links_of(self.scope, self.context.journal, service):
            return dict.fromkeys(
                (UNDO_REFERENCES, *REPOINT_STEPS), "no link of it that crosses hosts says how it is re-pointed"
            )
        if self.options.revert:
            return dict.fromkeys(REPOINT_STEPS, "its references are put back (--revert)")
        return {UNDO_REFERENCES: "its references are rewritten, not put back"}

    def _rollback_reasons(self, service: str) -> dict[str, str]:
        state = read_return(self.context.journal, service).settled
        undone = state is MoveState.IN_PROGRESS and not self.moves.found_committed(service)
        if undone:
            return dict.fromkeys(RETURN_STEPS, "its move is not committed: what it did is undone")
        undo = {UNDO_STEP: "its move is committed: it is brought back"}
        undo |= (
            dict.fromkeys(DEAD_STEPS, "its new host is declared lost")
            if self.options.target_lost
            else {SOURCE_STEP: "its new host is there: both sides are left clean in one step"}
        )
        return undo | (
            dict.fromkeys(
                DATA_STEPS, f"the source's data is used as it was (--discard-target-writes: {self.options.discard})"
            )
            if self.options.discard
            else {}
        )
