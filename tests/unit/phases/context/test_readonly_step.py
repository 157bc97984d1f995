"""A question in a move is an action that only asks."""

from __future__ import annotations

from engine.verdict import Effect, passed
from phases.context.readonly_step import ReadOnlyStep


def test_a_question_in_a_move_changes_nothing() -> None:
    """It can be described, performed and undone like a deed, and only asks."""
    asked: list[int] = []
    ask = ReadOnlyStep("ready", "ask redis whether it is ready", lambda: asked.append(1) or passed("yes"), 2.0)

    ask.do({})
    ask.undo({})
    assert asked == []
    assert (ask.describe(), ask.estimate_s(), ask.effect, ask.commits) == (
        "ask redis whether it is ready",
        2.0,
        Effect.READ_ONLY,
        False,
    )
    assert ask.verify({}) == passed("yes")
