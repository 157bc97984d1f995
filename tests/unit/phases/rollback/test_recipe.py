"""The rollback's one list: the same steps in runbook and recipe, and what was written since, in counts."""

from __future__ import annotations

import re
from pathlib import Path

from engine.contracts.fingerprint import Fingerprint, FingerprintPart
from engine.contracts.move_state import MoveState
from engine.saga.state import AttemptState
from phases.context.attempt import must_be_undone
from phases.rollback.recipe import RETURN_STEPS, UNDO_STEP, describe_writes

RUNBOOK = Path(__file__).parents[4] / "runbooks" / "rollback" / "test_rollback.py"


def test_runbook_and_recipe_have_the_same_steps() -> None:
    """Each step of the recipe has its row, in the recipe's order, after the undo of a move that is not committed."""
    text = RUNBOOK.read_text(encoding="utf-8")
    steps = re.findall(r'mark\.step\("([^"]+)"\)', text)
    assert steps == [UNDO_STEP, *RETURN_STEPS]
    assert re.findall(r'move\.perform\("([^"]+)"\)', text) == steps


def test_what_was_written_is_reported_part_by_part() -> None:
    """More rows, other content, new and vanished parts each have a line with counts; equal parts have none."""
    before = Fingerprint(
        "shop",
        {
            "orders": FingerprintPart(5, "a"),
            "users": FingerprintPart(3, "b"),
            "same": FingerprintPart(1, "c"),
            "old": FingerprintPart(2, "d"),
        },
    )
    now = Fingerprint(
        "shop",
        {
            "orders": FingerprintPart(1_205, "e"),
            "users": FingerprintPart(3, "f"),
            "same": FingerprintPart(1, "c"),
            "new": FingerprintPart(7, "g"),
        },
    )
    assert describe_writes(before, now) == [
        "orders: 5 → 1,205",
        "users: content changed (3)",
        "new: new, 7",
        "old: gone, was 2",
    ]
    assert describe_writes(None, Fingerprint("shop", {"orders": FingerprintPart(5, "a")})) == ["orders: new, 5"]


def test_only_a_move_before_its_commit_is_undone() -> None:
    """One that needs a person is treated as what it was then."""
    assert must_be_undone(AttemptState(state=MoveState.IN_PROGRESS))
    assert must_be_undone(AttemptState(state=MoveState.NEEDS_OPERATOR, before=MoveState.IN_PROGRESS))
    assert not must_be_undone(AttemptState(state=MoveState.NEEDS_OPERATOR, before=MoveState.ROLLING_BACK))
    assert not must_be_undone(AttemptState(state=MoveState.DONE))
