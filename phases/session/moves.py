"""The run's moves, each put together when its turn comes: earlier moves change where services are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from actions.references.steps import UndoReferences
from engine.contracts.action import Action
from engine.contracts.move_state import MoveState
from engine.errors import NotObservedError
from engine.finding import recorded
from engine.journal.kinds import RecordKind
from engine.saga.patience import Patience
from engine.saga.saga import RunningMove
from engine.saga.state import PREPARING, REPOINTING, UNDOING, UNDOING_REFERENCES, AttemptState, Stages, backward
from phases.assess.health import (
    POLICY_OF_SOURCE,
    POLICY_OF_TARGET,
    collect_logs,
    judge_done,
    judge_serves_again,
    judge_source_serves,
)
from phases.context.attempt import read_past, read_return
from phases.context.frozen_plan import record_begun
from phases.context.link_state import has_begun, past_of
from phases.context.run_context import RunContext
from phases.context.service_move import ServiceMove, service_move
from phases.gates.deadline import Deadline, until_commit
from phases.migrate.recipe import LATER, MEASURES, PREPARED, REPEATABLE, SUPERSEDED_BY, recipe
from phases.prepare.recipe import prepare_recipe
from phases.repoint import recipe as repoint
from phases.repoint.readonly_steps import works
from phases.repoint.subject import pointing_of
from phases.rollback import recipe as rollback
from phases.rollback.recipe import FinishUndo, begun_commit, found_on_hosts, rollback_recipe

START: Final = "start-target"
"""Once a move is committed, a target that went down (a power cut before it had its restart policy) is started again,
not taken for drift.
"""


@dataclass
class Moves:
    """The run's moves by service.

    `deadline` is None when the operator gave a reason to work outside the window; `discard` is the reason for leaving
    behind what was written on the target when a service is rolled back, `undo` puts references back, `dead` are hosts
    that a person said to be so. `where` are the flags of the commands that people are told; `patience` is how long a
    host without an answer is asked again.
    """

    context: RunContext
    command: str
    apply: bool
    deadline: Deadline | None = None
    again: frozenset[str] = frozenset()
    discard: str | None = None
    undo: bool = False
    dead: frozenset[str] = frozenset()
    where: str = ""
    patience: Patience = field(default_factory=Patience)
    started: dict[str, RunningMove] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)
    resolved: dict[str, ServiceMove] = field(default_factory=dict)

    def __getitem__(self, service: str) -> RunningMove:
        """Return a move, ready to be performed."""
        if service not in self.started:
            self.started[service] = self._start(service)
        return self.started[service]

    def move_of(self, service: str) -> ServiceMove:
        """Return a service's move, resolved once for the whole run."""
        if service not in self.resolved:
            self.resolved[service] = service_move(self.context, service)
        return self.resolved[service]

    def _start(self, service: str) -> RunningMove:
        move = self.move_of(service)
        if self.command == "migrate":
            return self._forward(move)
        if self.command == "rollback":
            return self._backward(move)
        if self.command == "repoint":
            return self._repoint(move)
        return self._untracked(
            move, prepare_recipe(move) if self.command == "prepare" else (), PREPARING, kept=PREPARED
        )

    def standing(self) -> dict[str, MoveState]:
        """Return where each move that this run has begun stands, from memory: the journal need not answer."""
        return {service: move.state for service, move in self.started.items() if move.apply and move.tracks_state}

    def _forward(self, move: ServiceMove) -> RunningMove:
        """Return the move to its target, begun or not."""
        context, service = self.context, move.service
        past = read_past(context.journal, service, again=service in self.again)
        running = RunningMove(
            service=service,
            recipe=recipe(move, past.attempt),
            journal=context.run,
            apply=self.apply,
            past=past,
            repeatable=REPEATABLE
            | ({START} if past.may_have_committed or past.state in {MoveState.COMMITTED, MoveState.DONE} else set()),
            superseded_by=SUPERSEDED_BY,
            measures=MEASURES,
            later=LATER,
            patience=self.patience,
            where=self.where,
            on_change=context.forget_facts,
            before_undo=lambda reason: collect_logs(move, reason),
            prove_source=lambda: judge_serves_again(move, move.source, "source", POLICY_OF_SOURCE),
            prove_done=lambda: judge_done(move),
        )
        running.stopped_because = self._stopped_by_another(service)
        if self.deadline and not past.has_begun:
            self._keep_deadline(running, self.deadline)
        if self.apply and not past.has_begun and not running.stopped_because:
            record_begun(move)
        return running

    def _backward(self, move: ServiceMove) -> RunningMove:
        """Return the move back to its source: the undo of one that is not committed, else a rollback of its own."""
        context, service = self.context, move.service
        past = read_return(context.journal, service)
        found = self.found_committed(service)
        if past.settled is MoveState.IN_PROGRESS and not found:
            forward = self._forward(move)
            finish = FinishUndo(
                move,
                lambda: forward.undo_attempt("a rollback was asked for"),
                lambda: forward.state,
                lambda: forward.proof,
            )
            return self._untracked(move, (finish,), UNDOING)
        if found:
            past = AttemptState(MoveState.COMMITTED, attempt=past.attempt, before=past.settled)
        dead = move.target in self.dead
        running = RunningMove(
            service=service,
            recipe=rollback_recipe(move, past.attempt, discard=self.discard, dead=dead),
            journal=context.run,
            apply=self.apply,
            past=past,
            repeatable=rollback.REPEATABLE | ({rollback.STOPPED} if self.discard else set()),
            superseded_by=rollback.SUPERSEDED_BY,
            measures=rollback.MEASURES,
            patience=self.patience,
            where=self.where,
            stages=backward(
                past.before if past.state.is_returning or past.state is MoveState.ROLLED_BACK else past.state
            ),
            on_change=context.forget_facts,
            before_undo=lambda reason: collect_logs(move, reason),
            prove_source=lambda: judge_serves_again(move, move.target, "return", POLICY_OF_TARGET),
            prove_done=lambda: judge_source_serves(move),
        )
        running.stopped_because = self._stopped_by_another(service)
        if found and dead and not self.discard:
            running.stopped_because = (
                f"{found}, and {move.target} is declared lost: what was written there can't be brought back. To go "
                "back to the data as it was "
                "before the move, add --discard-target-writes REASON"
            )
        return running

    def _look(self, move: ServiceMove) -> str:
        try:
            return begun_commit(move) or found_on_hosts(move)
        except NotObservedError:
            self.context.forget_facts()
            raise

    def found_committed(self, service: str) -> str:
        """Return why a move that is not committed on record goes back as a committed one; looked at once, recorded with
        --apply.

        Raises CouldNotLookError when a host that it rests on goes on giving no answer: which way a move goes back is
        not guessed.
        """
        if service not in self.found:
            context, move = self.context, self.move_of(service)
            is_open = read_return(context.journal, service).settled is MoveState.IN_PROGRESS
            self.found[service] = self.patience.repeat(partial(self._look, move)) if is_open else ""
            if self.found[service] and self.apply:
                context.run.record(RecordKind.FOUND_COMMITTED, service=service, body=recorded(self.found[service]))
                context.run.record(RecordKind.MOVE_STATE, service=service, body={"state": MoveState.COMMITTED.value})
        return self.found[service]

    def _repoint(self, move: ServiceMove) -> RunningMove:
        """Return the re-pointing of a service's dependants, or its undo; it takes the move through no other state: that
        is done.
        """
        context, service = self.context, move.service
        pointing, past = pointing_of(move), past_of(context.journal, service)
        running = RunningMove(
            service=service,
            recipe=repoint.repoint_recipe(pointing),
            journal=context.run,
            apply=self.apply,
            past=past,
            repeatable=repoint.REPEATABLE,
            patience=self.patience,
            where=self.where,
            stages=REPOINTING,
            on_change=context.forget_facts,
            prove_source=lambda: works(pointing),
            tracks_state=False,
        )
        running.stopped_because = self._stopped_by_another(service)
        if self.undo:
            relays = repoint.release_of(pointing)
            putting = UndoReferences(
                pointing.references, relays, lambda: running.undo_attempt("it was asked for"), lambda: works(pointing)
            )
            return self._untracked(move, (putting,), UNDOING_REFERENCES)
        if self.deadline:
            deadline = self.deadline
            running.may_start = lambda action, begun: deadline.too_late_for((action,), begun)
        if self.apply and not has_begun(context.journal, service) and not running.stopped_because:
            links = [link.model_dump(mode="json", by_alias=True) for link, _ in pointing.links]
            context.run.record(RecordKind.REPOINT_STARTED, service=service, body={"links": links})
        return running

    def _untracked(
        self, move: ServiceMove, actions: tuple[Action, ...], stages: Stages, *, kept: frozenset[str] = frozenset()
    ) -> RunningMove:
        """Return actions that belong to a move but take it through no states of their own."""
        return RunningMove(
            service=move.service,
            recipe=actions,
            journal=self.context.run,
            apply=self.apply,
            stages=stages,
            on_change=self.context.forget_facts,
            kept=kept,
            patience=self.patience
            if stages.undoes
            else replace(self.patience, seconds=0.0),  # what was undone has been waited for
            where=self.where,
            tracks_state=False,
        )

    def _keep_deadline(self, running: RunningMove, deadline: Deadline) -> None:
        """Let a move begin only when it fits as a whole up to its commit, and each step only when it still does."""
        running.may_start = lambda action, begun: deadline.too_late_for((action,), begun)
        late = deadline.too_late_for(until_commit(running.recipe)) if self.apply and not running.stopped_because else ""
        if late:
            fitting = ", ".join(self._still_fitting(running.service, deadline)) or "none of the others"
            running.stopped_because = f"{running.service} {late}. Still fits: {fitting}"

    def _still_fitting(self, late: str, deadline: Deadline) -> Iterable[str]:
        for move in self.context.scope.moves:
            waits = move.service != late and move.service not in self.started
            if waits and not deadline.too_late_for(until_commit(recipe(self.move_of(move.service), 1))):
                yield move.service

    def _stopped_by_another(self, service: str) -> str | None:
        """Return why this move must not start after the failure of an earlier one, as the plan's policy says."""
        failed = {name: move.stopped_because for name, move in self.started.items() if move.stopped_because}
        lost = [reason for name, reason in failed.items() if self.started[name].lost_lock]
        if lost:
            return lost[0]
        needs = (
            self._needed_by(service) if self.context.scope.plan.on_failure == "continue_independent" else set(failed)
        )
        return next((f"the move of {name} stopped: {reason}" for name, reason in failed.items() if name in needs), None)

    def _needed_by(self, service: str) -> set[str]:
        """Return all services that this one reaches by links, directly or through others."""
        found: set[str] = set()
        waiting = [service]
        while waiting:
            one = waiting.pop()
            for link in self.context.scope.links:
                if link.from_ == one and link.to not in found:
                    found.add(link.to)
                    waiting.append(link.to)
        return found
