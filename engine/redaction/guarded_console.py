"""The console's own border: whatever is printed, tracebacks too, passes the run's redactor, and no host's text moves
the cursor.

Text of a host may hold what a terminal obeys: colours that turn FAILED into PASSED, the clipboard, the title, lines
that are erased. It is shown as escapes, everywhere. Only rich's own styles pass, through `open_screen`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook
from rich.segment import Segment

from engine.redaction.redactor import Redactor
from engine.redaction.visible_text import visible


class GuardedStream:
    """A text stream that writes without secrets and without control characters; everything else is the stream's own.

    `styled`: rich writes here, whose text was made visible before it was styled. Any other writer learns that this is
    no terminal.
    """

    def __init__(self, stream: TextIO, redactor: Redactor, *, styled: bool = False) -> None:
        """Guard `stream`."""
        self.stream, self.redactor, self.is_styled = stream, redactor, styled

    def write(self, text: str) -> int:
        """Write text without secrets; return its length, as asked for."""
        shown = self.redactor.shown(text)
        self.stream.write(shown if self.is_styled else visible(shown))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines without secrets."""
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        """Return whether a program may style what it writes here."""
        return self.is_styled and self.stream.isatty()

    def styled(self) -> GuardedStream:
        """Return the way to the same stream for what rich has styled."""
        return GuardedStream(self.stream, self.redactor, styled=True)

    def __getattr__(self, name: str) -> Any:
        """Return what the stream itself has."""
        return getattr(self.stream, name)


class _Visible:
    """Something to print, each of its texts made visible; rich's own movements of the cursor stay."""

    def __init__(self, renderable: RenderableType) -> None:
        self.renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self.renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


class _Filter(RenderHook):
    """Comes before everything that a console prints."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Return what is printed, made visible."""
        return [_Visible(one) for one in renderables]


def open_screen(**given: Any) -> Console:
    """Return a console for people: guarded, without markup unless it is asked for, and no host's text styles it."""
    file = {"file": sys.stdout.styled()} if isinstance(sys.stdout, GuardedStream) else {}
    return filtered(Console(**{"highlight": False, "markup": False, **file, **given}))


def filtered(console: Console) -> Console:
    """Return a console that shows what a terminal would obey; its own styles stay."""
    console.push_render_hook(_Filter())
    return console


def is_terminal() -> bool:
    """Return whether standard output is a terminal, behind its guard."""
    return bool(getattr(sys.stdout, "stream", sys.stdout).isatty())


@contextmanager
def guarded_console(redactor: Redactor) -> Iterator[None]:
    """Guard standard output and standard error while a command runs."""
    out, error = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = GuardedStream(out, redactor), GuardedStream(error, redactor)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, error


def console_redactor() -> Redactor:
    """Return the redactor that guards the console now, so that it learns what a run learns; a new one when there is no
    guard.
    """
    return sys.stdout.redactor if isinstance(sys.stdout, GuardedStream) else Redactor()
