"""A copy continues after its connection breaks, and for how long: patiently while the service runs, briefly while it is
stopped.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from actions.copy import passes
from actions.copy.locations import DataPlace
from actions.copy.passes import PATIENCE_IN_OUTAGE_S, PassRunner, Progress
from actions.copy.rsync import RsyncOptions, RsyncResult
from engine.errors import LockLostError, UnreachableError

CUT = RsyncResult(255, {}, ("Connection timed out",))
DONE = RsyncResult(0, {}, ())


class Clock:
    """A clock that only sleeping and copying move."""

    def __init__(self) -> None:
        """Begin at nought."""
        self.now = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Put a clock of ours under the copy."""
    made = Clock()
    monkeypatch.setattr("time.monotonic", made.monotonic)
    monkeypatch.setattr("time.sleep", made.sleep)
    return made


def _copying(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, attempts: list[tuple[RsyncResult, int]], attempt_s: float
) -> PassRunner:
    """Return a copy whose attempts take so long, end so, and get so many bytes through."""
    left = iter(attempts)

    def run(_self: PassRunner, position: int, progress: Progress, **_: Any) -> RsyncResult:
        clock.sleep(attempt_s)
        said, through = next(left)
        if through:
            progress.seen(position, through, through)
        return said

    monkeypatch.setattr(PassRunner, "_run", run)
    route = SimpleNamespace(source="wf005", target="wf002")
    ends: Any = SimpleNamespace(
        route=route,
        places=(DataPlace("volume", "postgres_data"),),
        linked={},
        with_links=lambda _positions: set(),
        check_lock=lambda _doing: None,
        outlive=lambda _jobs: None,
        is_file=lambda _position: False,
    )
    return PassRunner(ends, RsyncOptions())


def test_a_target_that_is_not_reached_is_given_up_soon_while_the_service_is_stopped(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Nothing gets through: after a minute the copy ends, so that the source serves again, and says for how long it
    knocked.
    """
    one = _copying(monkeypatch, clock, [(CUT, 0)] * 100, 10.0)

    with pytest.raises(
        UnreachableError, match=r"postgres_data, nothing got through for \d+ s .*Run the move again: it goes on"
    ):
        one.copy_place(0, Progress(0, lambda _: None))

    assert PATIENCE_IN_OUTAGE_S < clock.now < 2 * PATIENCE_IN_OUTAGE_S


def test_a_copy_that_gets_on_is_not_given_up(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Ten cuts with data in between, each after half a minute: it comes to its end."""
    one = _copying(monkeypatch, clock, [*[(CUT, 1_000_000)] * 10, (DONE, 1000)], 30.0)

    assert one.copy_place(0, Progress(0, lambda _: None)) == (DONE, 10)


def test_a_live_copy_waits_longer(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """While the service runs nobody misses it: five minutes without a connection are waited for."""
    one = _copying(monkeypatch, clock, [*[(CUT, 0)] * 15, (DONE, 1)], 15.0)

    assert one.copy_place(0, Progress(0, lambda _: None), patience_s=passes.PATIENCE_S) == (DONE, 15)


def _watched(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that gets, of each run, whether it writes files in their place."""
    used: list[bool] = []
    run = PassRunner._run

    def noting_run(self: PassRunner, position: int, progress: Progress, **flags: Any) -> RsyncResult:
        used.append(flags["in_place"])
        return run(self, position, progress, **flags)

    monkeypatch.setattr(PassRunner, "_run", noting_run)
    return used


@pytest.mark.parametrize(
    ("before", "now", "in_place"),
    [({0: False}, True, True), ({0: True}, False, False), ({}, True, False), ({}, False, True)],
)
def test_files_with_further_names_are_not_written_in_their_place(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, before: dict[int, bool], now: bool, in_place: bool
) -> None:
    """A name that left its group would be written over through the others; what was seen after the pass before counts
    once.
    """
    one = _copying(monkeypatch, clock, [(DONE, 1)], 1.0)
    one.ends.linked.update(before)
    monkeypatch.setattr(one.ends, "with_links", lambda positions: set(positions) if now else set())
    used = _watched(monkeypatch)
    one.copy_place(0, Progress(0, lambda _: None))

    assert (used, one.ends.linked) == ([in_place], {})


def test_after_a_cut_and_for_a_repair_nothing_is_taken_for_granted(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """What a cut pass left has names that nobody looked at; a repair writes new files next to whatever is there."""
    one = _copying(monkeypatch, clock, [(CUT, 1), (DONE, 1), (DONE, 1)], 1.0)
    one.ends.linked[0] = False

    def unreachable(_position: int) -> bool:
        raise UnreachableError("wf002: no answer")

    monkeypatch.setattr(one.ends, "with_links", unreachable)
    used = _watched(monkeypatch)
    one.copy_place(0, Progress(0, lambda _: None))

    one.repair(0, [b"dump.rdb"])

    assert used == [True, False, False]


def test_a_copy_that_was_cut_looks_who_holds_the_hosts_before_it_continues(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Somebody else took over while this run was cut off or asleep: its copy writes nothing more, whatever was left of
    it.
    """
    one = _copying(monkeypatch, clock, [(CUT, 1000), (DONE, 1000)], 1.0)
    used = _watched(monkeypatch)

    def taken(_doing: str) -> None:
        raise LockLostError("wf002: the lock of this run is gone")

    monkeypatch.setattr(one.ends, "check_lock", taken)
    with pytest.raises(LockLostError):
        one.copy_place(0, Progress(0, lambda _: None))
    assert len(used) == 1


def test_a_copy_that_can_not_look_who_holds_the_hosts_does_not_continue(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """No answer is no leave: it asks again for a minute, then ends; after an answer in time it continues."""
    one = _copying(monkeypatch, clock, [(CUT, 1000), (DONE, 1000)] * 2, 1.0)
    silent = [True, True, False]

    def slow(_doing: str) -> None:
        if silent.pop(0):
            raise UnreachableError("wf002: no answer")

    monkeypatch.setattr(one.ends, "check_lock", slow)
    assert one.copy_place(0, Progress(0, lambda _: None)) == (DONE, 1)

    silent.extend([True] * 100)
    with pytest.raises(UnreachableError, match="no answer"):
        one.copy_place(0, Progress(0, lambda _: None))


def test_a_single_file_is_always_written_in_its_place(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """The target's end has that file alone, so nothing can be put next to it and renamed; a repair sends it whole."""
    one = _copying(monkeypatch, clock, [(DONE, 1), (DONE, 1)], 1.0)
    one.ends.linked[0] = True
    monkeypatch.setattr(one.ends, "is_file", lambda _position: True)
    used = _watched(monkeypatch)

    one.copy_place(0, Progress(0, lambda _: None))
    one.repair(0, [b"."])

    assert used == [True, True]
