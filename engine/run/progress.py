"""What a person sees during a run: one line at the foot of a terminal; nothing of it in a pipe or a CI log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from engine.evidence.formatting import seconds, visible
from engine.i18n.language import ENGLISH, Language
from engine.redaction.guarded_console import GuardedStream, console_redactor, is_terminal, open_screen


def open_console() -> Console:
    """Return the console of a run: on a terminal one of its own, so that the foot line stays while steps are
    captured; guarded as any.
    """
    if is_terminal():
        terminal = GuardedStream(os.fdopen(os.dup(sys.stdout.fileno()), "w"), console_redactor(), styled=True)
        return open_screen(file=terminal, soft_wrap=True)
    return open_screen(soft_wrap=True)


def _now() -> datetime:
    return datetime.now(UTC).astimezone()


@dataclass
class Progress:
    """Where a run is: which step of how many, for how long, what is done now, and what it waits for and until when."""

    console: Console
    subjects: tuple[str, ...] = ()
    language: Language = ENGLISH
    clock: Callable[[], datetime] = _now
    _live: Live | None = field(default=None, init=False)
    _subject: str = field(default="", init=False)
    _sentence: str = field(default="", init=False)
    _doing: str = field(default="", init=False)
    _how_far: str = field(default="", init=False)
    _place: tuple[int, int] = field(default=(0, 0), init=False)
    _until: datetime | None = field(default=None, init=False)
    _since: datetime = field(init=False)

    def __post_init__(self) -> None:
        """Start the clock."""
        self._since = self.clock()

    def begin(self, subject: str, sentence: str, number: int, total: int) -> None:
        """Show a step that begins; on a terminal the foot line starts with the first."""
        self._subject, self._sentence, self._place = subject, self.language.say(sentence), (number, total)
        self._doing, self._until, self._how_far = "", None, ""
        if self._live is None and self.console.is_terminal:
            self._live = Live(
                console=self.console,
                get_renderable=self.line,
                refresh_per_second=4,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def intend(self, action: str, estimate_s: float | None) -> None:
        """Show what a step does now and until when it should be done."""
        self._doing, self._until = action, self.clock() + timedelta(seconds=estimate_s) if estimate_s else None
        self._how_far = ""

    def report(self, how_far: str) -> None:
        """Show how far a long action is: bytes, rate, time left."""
        self._how_far = how_far

    def wait(self, what: str, deadline_s: float) -> None:
        """Show what is waited for, and until when."""
        self._doing, self._until = (
            self.language.say("waiting for {what}", what=what),
            self.clock() + timedelta(seconds=deadline_s),
        )
        self._how_far = ""

    def end(self) -> None:
        """Take the foot line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def line(self) -> Table:
        """Return the foot line as it is now."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=1)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        grid.add_row(Spinner("dots", speed=1.0).render(time.monotonic()), Text(self.text(), style="bold"))
        return grid

    def text(self) -> str:
        """Return the foot line's words: the place, how long it has taken, whose turn it is, what is done and until
        when.
        """
        say, (number, total) = self.language.say, self._place
        move = self.subjects.index(self._subject) + 1 if self._subject in self.subjects else 0
        words = [say("service {number} of {total}", number=move, total=len(self.subjects))] if move else []
        words += [
            say("step {number} of {total}", number=number, total=total),
            seconds((self.clock() - self._since).total_seconds(), self.language),
        ]
        words += [say("until {moment}", moment=f"{self._until:%H:%M:%S}")] if self._until else []
        words += [visible(self._how_far)] if self._how_far else []
        return f"{' · '.join(words)} · {visible(self._subject)}: {visible(self._doing or self._sentence)}"
