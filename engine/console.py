"""The console's own border: whatever is printed, tracebacks too, passes the run's redactor."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from engine.secret import Redactor


class GuardedStream:
    """A text stream that writes without secrets; everything else is the stream's own."""

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        """Stand before `stream`."""
        self.stream, self.redactor = stream, redactor

    def write(self, text: str) -> int:
        """Write text without secrets; return its length, as asked for."""
        self.stream.write(self.redactor.shown(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines without secrets."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """Return what the stream itself has."""
        return getattr(self.stream, name)


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
    """Return the redactor that guards the console now, so that it learns what a run learns; a new one when there is no guard."""
    return sys.stdout.redactor if isinstance(sys.stdout, GuardedStream) else Redactor()
