"""Progress of a long deed on the operator's screen: one line that changes on a terminal, plain lines now and then without."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Final, TextIO

PLAIN_EVERY_S: Final = 10.0
CHANGES_EVERY_S: Final = 0.5
WIDTH: Final = 110


def show_progress(subject: str, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> Callable[[str], None]:
    """Return what takes a line of progress and shows it, not more often than a person reads."""
    screen = stream or sys.__stdout__
    changes = bool(screen and screen.isatty() and os.environ.get("TERM", "dumb") != "dumb")
    every_s, lock, last = CHANGES_EVERY_S if changes else PLAIN_EVERY_S, Lock(), [clock()]

    def show(line: str) -> None:
        with lock:
            if screen is None or clock() - last[0] < every_s:
                return
            last[0] = clock()
            text = f"           {subject}: {line}"[:WIDTH]
            with suppress(OSError, ValueError):
                print(f"\r{text:<{WIDTH}}\r" if changes else text, end="" if changes else "\n", file=screen, flush=True)

    return show
