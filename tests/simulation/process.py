"""A run of longshore as a process: alive, suspended or killed; its calls to hosts and its writes to the journal are
where things befall it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from engine.errors import DeadlineError, UnreachableError
from tests.simulation.story import Story
from tests.simulation.world import World

Answer = TypeVar("Answer")
CALL_S: Final = 0.15
SILENCE_S: Final = 10.0


class Killed(BaseException):
    """The process is gone: nothing that it still would do has an effect."""


@dataclass(eq=False)
class Process:
    """One run."""

    name: str
    machine: str
    run: int
    world: World
    story: Story
    alive: bool = True
    step: str = "open"
    lose_next: bool = False
    unreachable: dict[str, float] = field(default_factory=dict)  # host: until when
    journal_full: str = ""  # "full": there is room in the reserve; "gone": nothing can be written any more
    reserve_released: bool = False
    said: list[str] = field(default_factory=list)
    disturbed: int = 0
    replanned: bool = False  # which plan it has read
    phase: str = "preflight"

    @property
    def journal_takes(self) -> bool:
        """Return whether the journal's disk takes another record."""
        return not self.journal_full or (self.journal_full == "full" and self.reserve_released)

    def must_live(self) -> None:
        """Raise Killed in a process that is gone."""
        if not self.alive:
            raise Killed(self.name)

    def call(
        self,
        host: str,
        what: str,
        do: Callable[[], Answer],
        *,
        needs: Callable[[], bool] = lambda: True,
        seconds: float = CALL_S,
    ) -> Answer:
        """Let a host do something for this process; what befalls it comes before and after."""
        self.must_live()
        self.world.calls += 1
        place = self.story.arrive(self, f"{host}: {what}")
        self.must_live()
        self.world.advance(seconds)
        if self.unreachable.get(host, 0.0) > self.world.now or not self.world.is_up(host):
            self.world.advance(SILENCE_S)
            self.must_live()
            address = self.world.machines[host].address
            raise UnreachableError(
                f"{host}: ssh failed: ssh: connect to host {address} port 22: Connection timed out. "
                f"Try: ssh {host} true"
            )
        if not needs():
            raise EngineAway(host)
        lost = self.lose_next
        self.lose_next = False
        answer = do()
        self.story.leave(place, self, f"{host}: {what}")
        self.must_live()
        if lost or self.lose_next:
            self.lose_next = False
            self.world.advance(SILENCE_S)
            raise DeadlineError(f"{host}: {what} did not end within 30 s. Look: ssh {host} ps aux")
        return answer

    def between(self, what: str) -> None:
        """Let things befall a host while it does something long; the process may be gone afterwards."""
        place = self.story.arrive(self, what)
        self.story.leave(place, self, what)
        self.must_live()


class EngineAway(Exception):
    """A host's engine does not answer."""


def nothing(*_: Any, **__: Any) -> None:
    """Do nothing."""
