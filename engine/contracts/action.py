"""Action."""

from __future__ import annotations

from typing import Any, Protocol

from engine.verdict import Effect, Judgement

Note = dict[str, Any]
"""Facts that undo, verify or a resume will need; written to the journal: JSON-able, no secrets."""


class Action(Protocol):
    """An action that changes a host. All three methods are idempotent."""

    @property
    def key(self) -> str:
        """Return its name, "stop-source": stable and unique within a move."""

    @property
    def effect(self) -> Effect:
        """Return what it does to the hosts."""

    @property
    def commits(self) -> bool:
        """Return whether nothing is undone automatically after it."""

    def describe(self) -> str:
        """Return the dry run's line: what would be done, where, without secrets."""

    def estimate_s(self) -> float | None:
        """Return the expected duration in seconds, None when unknown."""

    def do(self, note: Note) -> None:
        """Do it; put into `note` what undo and verify will need, before the action where possible."""

    def verify(self, note: Note) -> Judgement:
        """Ask the hosts whether it is done; never changes anything."""

    def undo(self, note: Note) -> None:
        """Put back what `do` changed, by what the hosts show now; raise NeedsPersonError with the commands left when
        that can't be done.

        The note of a run that was killed may be empty: the hosts decide, never the note alone.
        """
