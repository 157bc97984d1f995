"""Where samples come from, as the messages about them say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engine.command_line import ANY, typed_command
from engine.finding import joined, say

SAMPLE: Final = say(
    "Take samples for some days: {command} (docs/sampling.md has the timer)",
    command=typed_command("sample", environment=ANY),
)


@dataclass(frozen=True)
class SampleSource:
    """Our own samples (`name` is ""), or those of a named server; `trouble` says why they are not from the one that was
    wanted.
    """

    name: str = ""
    trouble: str = ""

    def with_source(self, text: str) -> str:
        """Return the text about samples, followed by their source and its trouble."""
        return joined(
            "",
            (
                text,
                say(" of {name}", name=self.name) if self.name else "",
                say("; {trouble}", trouble=self.trouble) if self.trouble else "",
            ),
        )

    def advice(self, look: str = "") -> str:
        """Return what to do when there is not enough; `look` is the query that gives too little."""
        return say("Look what {name} has: {look}", name=self.name, look=look or "up") if self.name else SAMPLE


OWN: Final = SampleSource()
