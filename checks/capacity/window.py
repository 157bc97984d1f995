"""Does the night's work fit into the window, its longest undo included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.verdict import Judgement, failed, passed

GUESS: Final = " (its size is not known)"


@dataclass(frozen=True)
class Predicted:
    """How long one move is predicted to take, and how long its undo; `is_guess`: the size of its data is not known."""

    doing_s: float
    undoing_s: float
    is_guess: bool = False


def judge_window_fits(
    moves: Mapping[str, Predicted], starts_at: datetime, ends_at: datetime, now: datetime
) -> Judgement:
    """Judge whether all moves, and the undo of the longest one, fit between now (or the window's start) and its end."""
    free_s = (ends_at - max(now, starts_at)).total_seconds()
    doing_s = sum(move.doing_s for move in moves.values())
    undo_s = max((move.undoing_s for move in moves.values()), default=0.0)
    parts = tuple(
        f"{service}: {_minutes(move.doing_s)}{GUESS if move.is_guess else ''}" for service, move in moves.items()
    )
    seen = f"{len(moves)} moves need about {_minutes(doing_s)}, and {_minutes(undo_s)} to undo the longest"
    if free_s <= 0:
        return failed(
            (
                f"the window ended at {ends_at:%Y-%m-%d %H:%M %z}. Expected: one that is to come. Agree on "
                "another one in migration_plan.json"
            ),
            parts,
        )
    if doing_s + undo_s > free_s:
        return failed(
            f"{seen}; the window has {_minutes(free_s)} free. Expected: time for all. Agree on a longer window, or "
            "move fewer services in it "
            "(--service, --wave)",
            parts,
            needed_s=round(doing_s + undo_s),
            free_s=round(free_s),
        )
    return passed(
        f"{seen}; the window has {_minutes(free_s)} free", parts, needed_s=round(doing_s + undo_s), free_s=round(free_s)
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"  # noqa: PLR2004 below two minutes seconds read better
