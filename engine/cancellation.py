"""Cancelling work in other threads: one event that waits, polls and commands look at.

Nothing is thrown into a thread. Work that was cancelled ends itself where it waits: its pause ends, its command is
ended, its next question is not asked. It hears so once, as from Ctrl-C: what it puts away on its way out is put away.
An undo is shielded: it runs to its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Final, ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


class CancelledError(KeyboardInterrupt):
    """Cancelled work ends here, with what Ctrl-C raises in the main thread: nobody takes it for an answer of a host."""

    def __init__(self) -> None:
        """Say why."""
        super().__init__("the run was interrupted")


class Cancellation:
    """Whether work is to end. It is cancelled once, from any thread, and stays so."""

    def __init__(self) -> None:
        """Let the work continue."""
        self._event = Event()
        self._lock = Lock()
        self._endings: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Return whether the work is to end."""
        return self._event.is_set()

    def cancel(self) -> None:
        """End all pauses and all commands that the work waits for; it begins no other."""
        with self._lock:
            self._event.set()
            endings = tuple(self._endings)
        for end in endings:
            end()

    def wait(self, seconds: float) -> None:
        """Return after some seconds, or when it is cancelled."""
        self._event.wait(seconds)

    @contextmanager
    def ending(self, end: Callable[[], None]) -> Iterator[None]:
        """Call `end` when it is cancelled before the end of the block."""
        with self._lock:
            self._endings.append(end)
        try:
            if self.cancelled:  # it may have been since the last look
                end()
            yield
        finally:
            with self._lock:
                self._endings.remove(end)


@dataclass
class _Work:
    """What one thread does under a cancellation, and whether it has heard of it."""

    cancellation: Cancellation
    heard: bool = field(default=False, init=False)

    def check(self) -> None:
        """Raise CancelledError, once."""
        if self.cancellation.cancelled and not self.heard:
            self.heard = True
            raise CancelledError


_WORK: Final[ContextVar[_Work | None]] = ContextVar("work", default=None)


@contextmanager
def _working(work: _Work | None) -> Iterator[None]:
    before = _WORK.set(work)
    try:
        yield
    finally:
        _WORK.reset(before)


def cancellable(cancellation: Cancellation) -> AbstractContextManager[None]:
    """Let a cancellation end what this thread waits for in the block."""
    return _working(_Work(cancellation))


def shielded() -> AbstractContextManager[None]:
    """Let nothing end the block: records are written and undos end, whatever was cancelled."""
    return _working(None)


def inherited(work: Callable[Given, Result]) -> Callable[Given, Result]:
    """Return work for a pool's thread that is cancelled with the work of this one: threads inherit nothing by
    themselves.
    """
    current = _WORK.get()

    def do(*given: Given.args, **named: Given.kwargs) -> Result:
        with _working(_Work(current.cancellation) if current else None):
            return work(*given, **named)

    return do


def check_cancelled() -> None:
    """Raise CancelledError when this thread's work was cancelled and has not heard so."""
    if work := _WORK.get():
        work.check()


def pause(seconds: float) -> None:
    """Pause; raises CancelledError as soon as this thread's work is cancelled."""
    work = _WORK.get()
    if work is None or work.heard:
        time.sleep(seconds)
        return
    work.cancellation.wait(seconds)
    work.check()


@contextmanager
def ending_when_cancelled(end: Callable[[], None]) -> Iterator[None]:
    """Call `end` (of a command that this thread waits for) when its work is cancelled in the block; raises
    CancelledError then: what a command says that was ended is no answer.
    """
    work = _WORK.get()
    if work is None or work.heard:
        yield
        return
    try:
        with work.cancellation.ending(end):
            yield
    except Exception:
        work.check()
        raise
    work.check()
