"""Bring a service back to its old host: with what was written since the cutover, or without it and saying so."""

from __future__ import annotations

import pytest

from engine.contracts.step import Judge
from engine.saga.saga import RunningMove

pytestmark = pytest.mark.rollback


@pytest.mark.step("finish-undo")
@pytest.mark.changes_state
def test_an_unfinished_move_is_undone(move: RunningMove, judge: Judge) -> None:
    """What a move did before its commit is undone in reverse, and the service works on its old host."""
    judge(move.perform("finish-undo"))


@pytest.mark.step("confirm-rollback")
@pytest.mark.read_only
def test_both_sides_are_as_expected(move: RunningMove, judge: Judge) -> None:
    """The service stands on its new host and is kept, stopped, on its old one, with room to set its data aside."""
    judge(move.perform("confirm-rollback"))


@pytest.mark.step("target-writes")
@pytest.mark.read_only
def test_what_was_written_since_is_told(move: RunningMove, judge: Judge) -> None:
    """What was written on the new host since the cutover is counted, and it is said what becomes of it."""
    judge(move.perform("target-writes"))


@pytest.mark.step("links-returnable")
@pytest.mark.read_only
def test_dependants_can_follow(move: RunningMove, judge: Judge) -> None:
    """Every application that depends on the service can reach it once it is back."""
    judge(move.perform("links-returnable"))


@pytest.mark.step("start-probe-back")
@pytest.mark.severity("warning", unless_failed=True)
@pytest.mark.changes_state
def test_outage_is_measured_from_outside(move: RunningMove, judge: Judge) -> None:
    """A probe asks the service ten times a second, from where its clients are, and goes on without us."""
    judge(move.perform("start-probe-back"))


@pytest.mark.step("stop-moved")
@pytest.mark.changes_state
def test_moved_service_is_stopped_cleanly(move: RunningMove, judge: Judge) -> None:
    """The service is stopped on its new host, ended cleanly, and can't start by itself."""
    judge(move.perform("stop-moved"))


@pytest.mark.step("safety-copy")
@pytest.mark.changes_state
def test_old_data_is_set_aside(move: RunningMove, judge: Judge) -> None:
    """The old host's data is set aside on the old host, and the copy is proven, before anything is written over it."""
    judge(move.perform("safety-copy"))


@pytest.mark.step("copy-back")
@pytest.mark.changes_state
def test_data_is_brought_back(move: RunningMove, judge: Judge) -> None:
    """What the service holds on its new host is copied back to its old one, encrypted on the way."""
    judge(move.perform("copy-back"))


@pytest.mark.step("verify-copy-back")
@pytest.mark.read_only
def test_data_is_identical(move: RunningMove, judge: Judge) -> None:
    """Every file is the same on both hosts: name, type, mode, owner, times, attributes, links and content."""
    judge(move.perform("verify-copy-back"))


@pytest.mark.step("switch-back")
@pytest.mark.changes_state
def test_clients_are_switched_back(move: RunningMove, judge: Judge) -> None:
    """The relays that led clients to the new host are taken away."""
    judge(move.perform("switch-back"))


@pytest.mark.step("start-returned")
@pytest.mark.changes_state
def test_source_is_started(move: RunningMove, judge: Judge) -> None:
    """The service is started on its old host under its old name, and restarts by itself as before."""
    judge(move.perform("start-returned"))


@pytest.mark.step("ready-returned")
@pytest.mark.read_only
def test_service_is_ready(move: RunningMove, judge: Judge) -> None:
    """The service is ready to work on its old host."""
    judge(move.perform("ready-returned"))


@pytest.mark.step("fingerprint-returned")
@pytest.mark.read_only
def test_fingerprint_is_equal(move: RunningMove, judge: Judge) -> None:
    """What the service holds on its old host equals what it must hold."""
    judge(move.perform("fingerprint-returned"))


@pytest.mark.step("smoke-returned")
@pytest.mark.read_only
def test_service_does_its_work(move: RunningMove, judge: Judge) -> None:
    """The service does its work on its old host when used through its published port."""
    judge(move.perform("smoke-returned"))


@pytest.mark.step("dependants-returned")
@pytest.mark.read_only
def test_dependants_work(move: RunningMove, judge: Judge) -> None:
    """Applications that depend on the service work."""
    judge(move.perform("dependants-returned"))


@pytest.mark.step("return-outage")
@pytest.mark.severity("warning", unless_failed=True)
@pytest.mark.changes_state
def test_outage_is_known(move: RunningMove, judge: Judge) -> None:
    """The outage that clients saw is measured, and the probe is removed."""
    judge(move.perform("return-outage"))


@pytest.mark.step("clean-target")
@pytest.mark.changes_state
def test_new_host_is_left_clean(move: RunningMove, judge: Judge) -> None:
    """Nothing of the service is left on its new host, or only what was not brought back, stopped and under another name."""
    judge(move.perform("clean-target"))
