"""A client that asks a service ten times a second while it moves, and notes when it got no good answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests

PERIOD_S = 0.1
ANSWER_S = 2.0


@dataclass
class Polled:
    """When it asked (seconds since the epoch), and when of those it got no good answer."""

    asked: list[float] = field(default_factory=list)
    failed: list[float] = field(default_factory=list)


@contextmanager
def polling(url: str) -> Iterator[Polled]:
    """Ask an address meanwhile."""
    seen, ended = Polled(), threading.Event()

    def ask() -> None:
        while not ended.is_set():
            began = time.time()
            seen.asked.append(began)
            try:
                requests.get(url, timeout=ANSWER_S).raise_for_status()
            except requests.RequestException:
                seen.failed.append(began)
            ended.wait(max(0.0, PERIOD_S - (time.time() - began)))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join(2 * ANSWER_S)
