"""Steps that no program can do, each with what a person is asked: the runbooks show it, `attest` signs that it was done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from engine.errors import InputError
from engine.plan import Role
from engine.scope import Scope
from moves.messages import draft_for, moves_here, teams, window_words


@dataclass(frozen=True)
class ManualStep:
    """One step: phase/key, what is asked (of one service where `per_service`), and who may attest it (None: any approver)."""

    step: str
    asks: Callable[[Scope, str | None], str]
    per_service: bool = False
    role: Role | None = None


@dataclass(frozen=True)
class Asked:
    """A manual step as it is asked: of one service, or once for all."""

    step: ManualStep
    service: str | None = None

    @property
    def name(self) -> str:
        """Return what names its files."""
        return self.step.step.replace("/", "-") + (f"-{self.service}" if self.service else "")

    def text(self, scope: Scope) -> str:
        """Return what a person is asked to do."""
        return self.step.asks(scope, self.service)


def _tell_teams(scope: Scope, _service: str | None) -> str:
    drafts = "\n".join(draft_for(scope, team) for team in teams(scope))
    return f"Send each team its message, and attest once all have it.\n\n{drafts}"


def _put_into_calendar(scope: Scope, _service: str | None) -> str:
    moved = ", ".join(f"{move.service} ({move.source} to {move.target})" for move in moves_here(scope))
    how = "nox -s window -- ics writes the invitation"
    return f"Put the window into the shared calendar ({how}), and attest once it stands there.\n\n{window_words(scope)}: {moved}\n"


STEPS: Final = (ManualStep("prepare/teams-told", _tell_teams), ManualStep("prepare/calendar-entry", _put_into_calendar))
"""A step about one service (a message to a test number, a DNS change) is one more line, with `per_service`."""


def asked(step: str, service: str | None = None) -> Asked:
    """Return a manual step by "phase/key", or by its key alone; raises InputError naming those that there are."""
    found = [one for one in STEPS if step in {one.step, one.step.partition("/")[2]}]
    if not found:
        raise InputError(f"attest: step {step}: not one that a person attests. Known: {', '.join(one.step for one in STEPS)}")
    if found[0].per_service != (service is not None):
        expected = "--service NAME: it is done for each" if found[0].per_service else "no --service: it is done once for all"
        raise InputError(f"attest: step {found[0].step}: expected {expected}")
    return Asked(found[0], service)


def all_asked(scope: Scope) -> Iterator[Asked]:
    """Yield every manual step of an environment, of each service where it is about one."""
    for one in STEPS:
        yield from (Asked(one, move.service) for move in moves_here(scope)) if one.per_service else (Asked(one),)
