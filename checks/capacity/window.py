"""Does the night's work fit into the window, its longest undo included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.finding import say
from engine.verdict import Judgement, failed, passed

GUESS: Final = say(" (its size is not known)")


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
        say(
            "{service}: {doing_s}{guess}",
            service=service,
            doing_s=_minutes(move.doing_s),
            guess=GUESS if move.is_guess else "",
        )
        for service, move in moves.items()
    )
    seen = say(
        "{count} moves need about {doing_s}, and {undo_s} to undo the longest",
        count=len(moves),
        doing_s=_minutes(doing_s),
        undo_s=_minutes(undo_s),
    )
    if free_s <= 0:
        return failed(
            say(
                "the window ended at {ends_at}. Expected: one that is to come. Agree on another one in "
                "migration_plan.json",
                ends_at=f"{ends_at:%Y-%m-%d %H:%M %z}",
            ),
            parts,
        )
    if doing_s + undo_s > free_s:
        return failed(
            say(
                "{seen}; the window has {free_s} free. Expected: time for all. Agree on a longer window, or move "
                "fewer services in it (--service, --wave)",
                seen=seen,
                free_s=_minutes(free_s),
            ),
            parts,
            needed_s=round(doing_s + undo_s),
            free_s=round(free_s),
        )
    return passed(
        say("{seen}; the window has {free_s} free", seen=seen, free_s=_minutes(free_s)),
        parts,
        needed_s=round(doing_s + undo_s),
        free_s=round(free_s),
    )


def _minutes(seconds: float) -> str:
    return say("{seconds:.0f} s", seconds=seconds) if seconds < 120 else say("{seconds:,.0f} min", seconds=seconds / 60)  # noqa: PLR2004 below two minutes seconds read better
