"""Cancelled work ends where it waits, hears so once, and what is shielded keeps running."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.cancellation import (
    Cancellation,
    CancelledError,
    cancellable,
    check_cancelled,
    ending_when_cancelled,
    inherited,
    pause,
    shielded,
)

LONG_S = 600.0


def _in_a_thread(work: Callable[[], None]) -> tuple[threading.Thread, list[BaseException]]:
    """Start work in a thread; return it, and what it will have raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 the test looks at it
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, raised


def test_a_pause_of_another_thread_ends() -> None:
    """Promptly, with the exception of an interruption; nothing is thrown into the thread from outside."""
    cancellation, waits = Cancellation(), threading.Event()

    def work() -> None:
        with cancellable(cancellation):
            waits.set()
            pause(LONG_S)

    thread, raised = _in_a_thread(work)
    assert waits.wait(10)
    cancellation.cancel()
    thread.join(10)

    assert not thread.is_alive()
    assert [type(error) for error in raised] == [CancelledError]
    assert isinstance(raised[0], KeyboardInterrupt)


@pytest.mark.parametrize("before", [True, False])
def test_a_command_that_is_waited_for_is_ended(before: bool) -> None:
    """Also one that began between the last look and the cancellation."""
    cancellation, ended, begun = Cancellation(), threading.Event(), threading.Event()

    def work() -> None:
        with cancellable(cancellation):
            if before:
                cancellation.cancel()
            with ending_when_cancelled(ended.set):
                begun.set()
                assert ended.wait(10)

    thread, raised = _in_a_thread(work)
    assert begun.wait(10)
    cancellation.cancel()
    thread.join(10)

    assert ended.is_set()
    assert [type(error) for error in raised] == [CancelledError]


def test_what_an_ended_command_says_is_no_answer() -> None:
    """A connection that broke because we ended it is no host that does not answer."""
    cancellation = Cancellation()

    def work() -> None:
        with cancellable(cancellation), ending_when_cancelled(lambda: None):
            cancellation.cancel()
            raise ValueError("cut off")

    with pytest.raises(CancelledError):
        work()


def test_it_is_heard_once() -> None:
    """As Ctrl-C is: what is put away on the way out is put away, with its own waits and commands."""
    cancellation, ended = Cancellation(), []
    cancellation.cancel()
    with cancellable(cancellation):
        with pytest.raises(CancelledError):
            check_cancelled()
        check_cancelled()
        pause(0.001)
        with ending_when_cancelled(lambda: ended.append(1)):
            pass
    assert ended == []


def test_what_is_shielded_keeps_running() -> None:
    """An undo that was under way, or a record that is written, ends; what comes after it hears of the cancellation."""
    cancellation = Cancellation()
    cancellation.cancel()
    with cancellable(cancellation):
        with shielded():
            check_cancelled()
            pause(0.001)
        with pytest.raises(CancelledError):
            check_cancelled()


def test_a_pools_thread_is_cancelled_with_the_work_that_gave_it() -> None:
    """Each job hears of it for itself; without a cancellation a job has none."""
    cancellation = Cancellation()
    with ThreadPoolExecutor(max_workers=1) as pool:
        with cancellable(cancellation):
            jobs = [pool.submit(inherited(pause), LONG_S) for _ in range(2)]
        free = pool.submit(inherited(pause), 0.001)
        cancellation.cancel()
        assert [type(job.exception(10)) for job in jobs] == [CancelledError, CancelledError]
        assert free.result(10) is None


def test_work_without_a_cancellation_is_not_disturbed() -> None:
    """The main thread has Ctrl-C itself."""
    Cancellation().cancel()
    check_cancelled()
    pause(0.001)
