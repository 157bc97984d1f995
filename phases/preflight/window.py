"""Window."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from checks.capacity.window import Predicted, judge_window_fits
from engine.contracts.action import Action
from engine.verdict import Effect, Judgement
from phases.context.attempt import read_past
from phases.context.run_context import RunContext
from phases.context.service_move import ServiceMove, service_move
from phases.gates.deadline import estimate_s, until_commit
from phases.migrate.recipe import recipe


def judge_window(context: RunContext, now: datetime | None = None) -> Judgement:
    """Judge whether the window has room for all moves that are still to come."""
    where, window = context.where(), context.scope.window
    moves = {
        move.service: _predicted(service_move(context, move.service))
        for move in context.scope.moves
        if where[move.service] != move.target
    }
    return judge_window_fits(moves, window.starts_at, window.ends_at, now or datetime.now(UTC))


def _predicted(move: ServiceMove) -> Predicted:
    actions = recipe(move, read_past(move.context.journal, move.service).attempt)
    return Predicted(estimate_s(actions), estimate_s(_changing(until_commit(actions))), move.bytes_to_copy() is None)


def _changing(actions: Iterable[Action]) -> list[Action]:
    return [action for action in actions if action.effect is not Effect.READ_ONLY]
