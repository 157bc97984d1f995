"""Whether what remains of a move, and its undo, fits before the window ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from engine.config.plan import Window
from engine.contracts.action import Action
from engine.verdict import Effect

UNKNOWN_S: Final = 5.0
"""For an action without an estimate: most questions."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Deadline:
    """The end of a window, as a move's actions meet it."""

    window: Window
    clock: Callable[[], datetime] = _now

    def too_late_for(self, actions: Iterable[Action], begun: Iterable[Action] = ()) -> str:
        """Return why these actions must not start now, empty when they and the undo of all that was begun still fit.

        An undo is taken to last as long as the action that it undoes.
        """
        doing = tuple(actions)
        needed_s = estimate_s(doing)
        undo_s = estimate_s(action for action in (*begun, *doing) if action.effect is not Effect.READ_ONLY)
        left_s = (self.window.ends_at - self.clock()).total_seconds()
        if needed_s + undo_s <= left_s:
            return ""
        end = f"the window ends at {self.window.ends_at:%H:%M}"
        left = f"in {_minutes(left_s)}" if left_s > 0 else f"{_minutes(-left_s)} ago"
        return f"needs about {_minutes(needed_s)}, and {_minutes(undo_s)} to undo; {end}, {left}"


def estimate_s(actions: Iterable[Action]) -> float:
    """Return about how many seconds these actions take."""
    return sum(UNKNOWN_S if (estimate := action.estimate_s()) is None else estimate for action in actions)


def until_commit(recipe: Iterable[Action]) -> tuple[Action, ...]:
    """Return the actions up to and with the one that commits."""
    chosen: list[Action] = []
    for action in recipe:
        chosen.append(action)
        if action.commits:
            break
    return tuple(chosen)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 below two minutes seconds read better
