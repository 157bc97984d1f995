"""What all actions have in common, said once: a class of actions says only what is its own."""

from __future__ import annotations

from dataclasses import dataclass

from actions.common.route import Route
from engine.contracts.action import Action, Note
from engine.contracts.product import Observing
from engine.verdict import Effect, Judgement


class BaseAction:
    """An action that changes hosts, is not the commit, and leaves nothing to be undone.

    A class of its own gives `key` and `describe`, and `do` and `verify`; what its changes need to be taken back it says
    in `undo`. There is no common `verify`: what was done is asked of the hosts, never assumed.
    """

    key: str
    seconds: float | None = None
    """About how long it takes, where that is always the same; else the class says it in `estimate_s`."""

    @property
    def effect(self) -> Effect:
        """Return what it does to the hosts."""
        return Effect.CHANGES_STATE

    @property
    def commits(self) -> bool:
        """Return whether nothing is undone automatically after it."""
        return False

    def estimate_s(self) -> float | None:
        """Return the expected duration in seconds, None when unknown."""
        return self.seconds

    def do(self, note: Note) -> None:
        """Do nothing."""

    def undo(self, note: Note) -> None:
        """Undo nothing: nothing is left of it."""


@dataclass(frozen=True)
class RouteAction(BaseAction):
    """An action on the way of one attempt of a move."""

    route: Route


@dataclass(frozen=True)
class WrappedAction(BaseAction):
    """An action that does what another one does; its class adds to that, or gives it another key."""

    action: Action

    @property
    def effect(self) -> Effect:
        """Return what the other one does to the hosts."""
        return self.action.effect

    @property
    def commits(self) -> bool:
        """Return whether the other one commits."""
        return self.action.commits

    def describe(self) -> str:
        """Return what would be done."""
        return self.action.describe()

    def estimate_s(self) -> float | None:
        """Return the expected duration in seconds, None when unknown."""
        return self.action.estimate_s()

    def observe(self, note: Note) -> None:
        """Look at what it will need, where it needs anything."""
        if isinstance(self.action, Observing):
            self.action.observe(note)

    def do(self, note: Note) -> None:
        """Do it."""
        self.action.do(note)

    def verify(self, note: Note) -> Judgement:
        """Judge it."""
        return self.action.verify(note)

    def undo(self, note: Note) -> None:
        """Undo it."""
        self.action.undo(note)
