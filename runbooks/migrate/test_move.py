"""Move each service to its new host, one step at a time, undone in reverse if anything fails before the commit."""

from __future__ import annotations

import pytest

from engine.contracts.step import Judge
from engine.saga.saga import RunningMove

pytestmark = pytest.mark.migrate


@pytest.mark.step("confirm-source")
@pytest.mark.read_only
def test_source_is_as_preflight_saw_it(move: RunningMove, judge: Judge) -> None:
    """The service still runs on its old host and nothing occupies its place on the new host, as in preflight."""
    judge(move.perform("confirm-source"))


@pytest.mark.step("start-probe")
@pytest.mark.severity("warning", unless_failed=True)
@pytest.mark.changes_state
def test_outage_is_measured_from_outside(move: RunningMove, judge: Judge) -> None:
    """A probe queries the service ten times a second from its clients' network, and keeps running without
    the operator.
    """
    judge(move.perform("start-probe"))


@pytest.mark.step("save-source-spec")
@pytest.mark.changes_state
def test_configuration_is_kept_on_the_source(move: RunningMove, judge: Judge) -> None:
    """The container's full configuration is saved on its old host, readable by root only."""
    judge(move.perform("save-source-spec"))


@pytest.mark.step("precopy")
@pytest.mark.changes_state
def test_volumes_are_copied_while_it_runs(move: RunningMove, judge: Judge) -> None:
    """Its data is copied to the new host while it runs, in repeated passes, until the rest fits the outage budget."""
    judge(move.perform("precopy"))


@pytest.mark.step("fingerprint-source")
@pytest.mark.read_only
def test_fingerprint_is_taken_before(move: RunningMove, judge: Judge) -> None:
    """The fingerprint of the service's data is taken on the old host."""
    judge(move.perform("fingerprint-source"))


@pytest.mark.step("hook-before-hold")
@pytest.mark.changes_state
def test_own_command_before_the_stop(move: RunningMove, judge: Judge) -> None:
    """The site's hook that runs before the stop succeeded on the old host."""
    judge(move.perform("hook-before-hold"))


@pytest.mark.step("disable-restart")
@pytest.mark.changes_state
def test_source_cannot_come_back_by_itself(move: RunningMove, judge: Judge) -> None:
    """The old container will not start again automatically, not even after a reboot."""
    judge(move.perform("disable-restart"))


@pytest.mark.step("stop-source")
@pytest.mark.changes_state
def test_source_is_stopped_cleanly(move: RunningMove, judge: Judge) -> None:
    """The service is stopped on its old host and exits cleanly within its stop timeout."""
    judge(move.perform("stop-source"))


@pytest.mark.step("copy-volumes")
@pytest.mark.changes_state
def test_volumes_are_copied(move: RunningMove, judge: Judge) -> None:
    """After the stop, the remaining data is copied to the new host over an encrypted connection."""
    judge(move.perform("copy-volumes"))


@pytest.mark.step("verify-volumes")
@pytest.mark.changes_state
def test_volumes_are_identical(move: RunningMove, judge: Judge) -> None:
    """Every file is the same on both hosts: name, type, mode, owner, times, attributes, links and content."""
    judge(move.perform("verify-volumes"))


@pytest.mark.step("create-target")
@pytest.mark.changes_state
def test_container_is_created_faithfully(move: RunningMove, judge: Judge) -> None:
    """The container is created on the new host with the same configuration, apart from the documented differences."""
    judge(move.perform("create-target"))


@pytest.mark.step("relay-dependencies")
@pytest.mark.changes_state
def test_what_it_needs_is_reachable(move: RunningMove, judge: Judge) -> None:
    """Every host name the service depends on can be reached from its new host."""
    judge(move.perform("relay-dependencies"))


@pytest.mark.step("start-target")
@pytest.mark.changes_state
def test_container_is_started(move: RunningMove, judge: Judge) -> None:
    """The container is started on its new host and keeps running."""
    judge(move.perform("start-target"))


@pytest.mark.step("ready-target")
@pytest.mark.read_only
def test_service_is_ready(move: RunningMove, judge: Judge) -> None:
    """The service is ready to work on its new host."""
    judge(move.perform("ready-target"))


@pytest.mark.step("fingerprint-target")
@pytest.mark.read_only
def test_fingerprint_is_equal(move: RunningMove, judge: Judge) -> None:
    """The service's data on the new host is the same as it was on the old host."""
    judge(move.perform("fingerprint-target"))


@pytest.mark.step("commit")
@pytest.mark.changes_state
def test_clients_are_switched(move: RunningMove, judge: Judge) -> None:
    """Commit: clients reach the new host under the old names and ports, and the container restarts automatically."""
    judge(move.perform("commit"))


@pytest.mark.step("hook-after-commit")
@pytest.mark.changes_state
def test_own_command_after_the_switch(move: RunningMove, judge: Judge) -> None:
    """The site's hook that runs after the commit succeeded on the new host."""
    judge(move.perform("hook-after-commit"))


@pytest.mark.step("smoke-target")
@pytest.mark.read_only
def test_service_does_its_work(move: RunningMove, judge: Judge) -> None:
    """The service works when used through its published port."""
    judge(move.perform("smoke-target"))


@pytest.mark.step("dependants-work")
@pytest.mark.read_only
def test_dependants_still_work(move: RunningMove, judge: Judge) -> None:
    """The applications that depend on the service work."""
    judge(move.perform("dependants-work"))


@pytest.mark.step("record-baseline")
@pytest.mark.read_only
def test_baseline_is_recorded(move: RunningMove, judge: Judge) -> None:
    """The fingerprint on the new host is recorded as the baseline for every later validation."""
    judge(move.perform("record-baseline"))


@pytest.mark.step("measure-outage")
@pytest.mark.severity("warning", unless_failed=True)
@pytest.mark.changes_state
def test_outage_is_known(move: RunningMove, judge: Judge) -> None:
    """The outage seen by clients is measured, and the probe is removed."""
    judge(move.perform("measure-outage"))


@pytest.mark.step("remove-copy-helpers")
@pytest.mark.changes_state
def test_nothing_of_the_copy_is_left(move: RunningMove, judge: Judge) -> None:
    """The copy's containers and temporary key are removed from both hosts; only the data remains."""
    judge(move.perform("remove-copy-helpers"))


@pytest.mark.step("rename-source")
@pytest.mark.changes_state
def test_source_is_kept_stopped(move: RunningMove, judge: Judge) -> None:
    """The old container is kept, stopped and renamed, with all its data."""
    judge(move.perform("rename-source"))
