"""Progress of a long action where there is no terminal: a plain line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Final, TextIO

from engine.redaction.visible_text import visible

EVERY_S: Final = 10.0
WIDTH: Final = 110


def plain_progress(
    subject: str, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
) -> Callable[[str], None]:
    """Return what takes a line of progress and prints it, not more often than a person reads."""
    screen = stream or sys.__stdout__
    lock, last = Lock(), [clock()]

    def show(line: str) -> None:
        with lock:
            if screen is None or clock() - last[0] < EVERY_S:
                return
            last[0] = clock()
            with suppress(OSError, ValueError):
                print(visible(f"           {subject}: {line}")[:WIDTH], file=screen, flush=True)

    return show
