"""Where samples come from, as the messages about them tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engine.command_line import ANY, typed_command

SAMPLE: Final = (
    f"Take samples for some days: {typed_command('sample', environment=ANY)} (docs/sampling.md has the timer)"
)


@dataclass(frozen=True)
class SampleSource:
    """Our own samples (`name` is ""), or those of a named server; `trouble` says why they are not from the one that was
    wanted.
    """

    name: str = ""
    trouble: str = ""

    def told(self, text: str) -> str:
        """Return what something is drawn from, with where that is from."""
        return "".join((text, f" of {self.name}" if self.name else "", f"; {self.trouble}" if self.trouble else ""))

    def advice(self, look: str = "") -> str:
        """Return what to do when there is not enough; `look` is the query that gives too little."""
        return f"Look what {self.name} has: {look or 'up'}" if self.name else SAMPLE


OWN: Final = SampleSource()
