"""What befalls a story: events at places of it, each place named by run, step and the number of the call in
that step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.simulation.process import Process

KINDS: Final = (
    "kill",
    "suspend",
    "lose",
    "cut",
    "cut hosts",
    "engine",
    "reboot",
    "power",
    "full",
    "clock",
    "person starts",
    "person stops",
    "journal",
    "gone",
    "journal lost",
)


@dataclass(frozen=True, order=True)
class Place:
    """Where in a story something happens: before or after the `call`-th call of a step of a run."""

    run: int
    step: str
    call: int
    after: bool = False

    def text(self) -> str:
        """Return it in words."""
        return f"run {self.run}, {self.step}, {'after' if self.after else 'before'} call {self.call}"


@dataclass(frozen=True, order=True)
class Event:
    """Something that happens at a place. `host` and `seconds` say more where the kind needs them; `say` a decision of
    the operator's.
    """

    place: Place
    kind: str
    host: str = ""
    seconds: float = 0.0
    say: str = ""

    def text(self) -> str:
        """Return it as a line of a story."""
        more = " ".join(
            part for part in (self.host, f"for {self.seconds:g} s" if self.seconds else "", self.say) if part
        )
        return f"{self.place.text()}: {self.kind} {more}".rstrip()


@dataclass
class Story:
    """The events to come, and what came of them."""

    events: tuple[Event, ...]
    happens: Callable[[Event, Process, str], None] = lambda _event, _process, _what: None
    lines: list[str] = field(default_factory=list)
    counts: dict[tuple[int, str], int] = field(default_factory=dict)
    fired: int = 0
    keep: bool = False  # whether the story lists every call
    _by_place: dict[tuple[int, str, int, bool], list[Event]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Sort the events by place."""
        for event in self.events:
            at = event.place
            self._by_place.setdefault((at.run, at.step, at.call, at.after), []).append(event)

    def arrive(self, process: Process, what: str) -> Place:
        """Count a call of a process, let happen what comes before it, and return its place."""
        key = (process.run, process.step)
        self.counts[key] = self.counts.get(key, 0) + 1
        place = Place(process.run, process.step, self.counts[key])
        if self.keep:
            self.lines.append(f"{process.name} {place.run} {place.step} {place.call}: {what}")
        self.let_happen(place, process, what)
        return place

    def leave(self, place: Place, process: Process, what: str) -> None:
        """Let happen what comes after a call."""
        self.let_happen(place, process, what, after=True)

    def let_happen(self, place: Place, process: Process, what: str, *, after: bool = False) -> None:
        """Let the events before, or after, a call happen."""
        for event in self._by_place.get((place.run, place.step, place.call, after), ()):
            self.fired += 1
            self.add(f"{event.text()} ({what})")
            self.happens(event, process, what)

    def decision(self, run: int) -> str:
        """Return what the operator decides after a run, "" for what the output says."""
        return next((event.say for event in self.events if event.kind == "decide" and event.place.run == run), "")

    def add(self, line: str) -> None:
        """Add a line to the story."""
        self.lines.append(line)


def shortened(events: tuple[Event, ...], still_wrong: Callable[[tuple[Event, ...]], bool]) -> tuple[Event, ...]:
    """Return the fewest events with which it still goes wrong: none of them can be left out (delta debugging)."""
    size = max(1, len(events) // 2)
    while events:
        for start in range(0, len(events), size):
            fewer = events[:start] + events[start + size :]
            if still_wrong(fewer):
                events = fewer
                break
        else:
            if size == 1:
                return events
            size //= 2
            continue
        size = max(1, min(size, len(events) // 2))
    return events


def plain(value: Any) -> str:
    """Return a command's first words."""
    return str(value)[:80]
