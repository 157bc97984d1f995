"""Bring a service back to its old host: with what was written since the cutover, or without it and saying so."""

from __future__ import annotations

import pytest

from engine.contracts.step import Judge
from engine.saga.saga import RunningMove

pytestmark = pytest.mark.rollback


@pytest.mark.step("finish-undo")
@pytest.mark.changes_state
def test_an_unfinished_move_is_undone(move: RunningMove, judge: Judge) -> None:
    """The steps of the uncommitted move are undone in reverse order, and the service works on its old host."""
    judge(move.perform("finish-undo"))


@pytest.mark.step("confirm-rollback")
@pytest.mark.read_only
def test_both_sides_are_as_expected(move: RunningMove, judge: Judge) -> None:
    """The service is on its new host, its stopped source is on the old one, and there is room for a safety copy."""
    judge(move.perform("confirm-rollback"))


@pytest.mark.step("target-writes")
@pytest.mark.read_only
def test_what_was_written_since_is_reported(move: RunningMove, judge: Judge) -> None:
    """Data written on the new host since the cutover is counted, and the report says whether it is kept."""
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
    """A probe queries the service ten times a second from its clients' network, and keeps running without
    the operator.
    """
    judge(move.perform("start-probe-back"))


@pytest.mark.step("stop-moved")
@pytest.mark.changes_state
def test_moved_service_is_stopped_cleanly(move: RunningMove, judge: Judge) -> None:
    """The service is stopped on its new host, exits cleanly, and cannot start again automatically."""
    judge(move.perform("stop-moved"))


@pytest.mark.step("safety-copy")
@pytest.mark.changes_state
def test_old_data_is_set_aside(move: RunningMove, judge: Judge) -> None:
    """A verified safety copy of the old host's data exists before anything overwrites it."""
    judge(move.perform("safety-copy"))


@pytest.mark.step("copy-back")
@pytest.mark.changes_state
def test_data_is_brought_back(move: RunningMove, judge: Judge) -> None:
    """The service's data is copied back from the new host to the old one over an encrypted connection."""
    judge(move.perform("copy-back"))


@pytest.mark.step("verify-copy-back")
@pytest.mark.read_only
def test_data_is_identical(move: RunningMove, judge: Judge) -> None:
    """Every file is the same on both hosts: name, type, mode, owner, times, attributes, links and content."""
    judge(move.perform("verify-copy-back"))


@pytest.mark.step("switch-back")
@pytest.mark.changes_state
def test_clients_are_switched_back(move: RunningMove, judge: Judge) -> None:
    """The relays to the new host are removed."""
    judge(move.perform("switch-back"))


@pytest.mark.step("start-returned")
@pytest.mark.changes_state
def test_source_is_started(move: RunningMove, judge: Judge) -> None:
    """The service is started on its old host under its old name, with its old restart policy."""
    judge(move.perform("start-returned"))


@pytest.mark.step("ready-returned")
@pytest.mark.read_only
def test_service_is_ready(move: RunningMove, judge: Judge) -> None:
    """The service is ready to work on its old host."""
    judge(move.perform("ready-returned"))


@pytest.mark.step("fingerprint-returned")
@pytest.mark.read_only
def test_fingerprint_is_equal(move: RunningMove, judge: Judge) -> None:
    """The service's data on its old host is what this rollback expects."""
    judge(move.perform("fingerprint-returned"))


@pytest.mark.step("smoke-returned")
@pytest.mark.read_only
def test_service_does_its_work(move: RunningMove, judge: Judge) -> None:
    """The service works on its old host when used through its published port."""
    judge(move.perform("smoke-returned"))


@pytest.mark.step("dependants-returned")
@pytest.mark.read_only
def test_dependants_work(move: RunningMove, judge: Judge) -> None:
    """The applications that depend on the service work."""
    judge(move.perform("dependants-returned"))


@pytest.mark.step("return-outage")
@pytest.mark.severity("warning", unless_failed=True)
@pytest.mark.changes_state
def test_outage_is_known(move: RunningMove, judge: Judge) -> None:
    """The outage seen by clients is measured, and the probe is removed."""
    judge(move.perform("return-outage"))


@pytest.mark.step("clean-source")
@pytest.mark.changes_state
def test_old_host_is_left_clean(move: RunningMove, judge: Judge) -> None:
    """Helpers, probe and temporary keys of the move are removed from the old host; the lost host is not asked."""
    judge(move.perform("clean-source"))


@pytest.mark.step("clean-target")
@pytest.mark.changes_state
def test_new_host_is_left_clean(move: RunningMove, judge: Judge) -> None:
    """The service is removed from its new host; only data that was not brought back is kept, in a stopped, renamed
    container.
    """
    judge(move.perform("clean-target"))
