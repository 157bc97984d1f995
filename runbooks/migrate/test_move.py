"""Move each service to its new host, one step at a time, undone in reverse if anything fails before the commit."""

from __future__ import annotations

import pytest

from engine.contracts.step import Judge
from engine.saga.saga import RunningMove

pytestmark = pytest.mark.migrate


@pytest.mark.step("confirm-source")
@pytest.mark.read_only
def test_source_is_as_preflight_saw_it(move: RunningMove, judge: Judge) -> None:
    """The service runs on its old host, and its new host is free for it, as preflight saw it."""
    judge(move.perform("confirm-source"))


@pytest.mark.step("start-probe")
@pytest.mark.severity("warning", unless_failed=True)
@pytest.mark.changes_state
def test_outage_is_measured_from_outside(move: RunningMove, judge: Judge) -> None:
    """A probe asks the service ten times a second, from where its clients are, and goes on without us."""
    judge(move.perform("start-probe"))


@pytest.mark.step("save-source-spec")
@pytest.mark.changes_state
def test_configuration_is_kept_on_the_source(move: RunningMove, judge: Judge) -> None:
    """The container's full configuration is saved on its old host, readable by root only."""
    judge(move.perform("save-source-spec"))


@pytest.mark.step("precopy")
@pytest.mark.changes_state
def test_volumes_are_copied_while_it_runs(move: RunningMove, judge: Judge) -> None:
    """Its data is copied to its new host while it runs, again and again, until little is left for the outage."""
    judge(move.perform("precopy"))


@pytest.mark.step("fingerprint-source")
@pytest.mark.read_only
def test_fingerprint_is_taken_before(move: RunningMove, judge: Judge) -> None:
    """What must be the same afterwards is counted and digested on the old host."""
    judge(move.perform("fingerprint-source"))


@pytest.mark.step("hook-before-hold")
@pytest.mark.changes_state
def test_own_command_before_the_stop(move: RunningMove, judge: Judge) -> None:
    """The operator's own command before the service is held was run on the old host and ended well."""
    judge(move.perform("hook-before-hold"))


@pytest.mark.step("disable-restart")
@pytest.mark.changes_state
def test_source_cannot_come_back_by_itself(move: RunningMove, judge: Judge) -> None:
    """The old container will not start again by itself, not even after a reboot."""
    judge(move.perform("disable-restart"))


@pytest.mark.step("stop-source")
@pytest.mark.changes_state
def test_source_is_stopped_cleanly(move: RunningMove, judge: Judge) -> None:
    """The service is stopped on its old host and ended cleanly, within its grace."""
    judge(move.perform("stop-source"))


@pytest.mark.step("copy-volumes")
@pytest.mark.changes_state
def test_volumes_are_copied(move: RunningMove, judge: Judge) -> None:
    """Once it is stopped, all that is missing on its new host is copied there, encrypted on the way."""
    judge(move.perform("copy-volumes"))


@pytest.mark.step("verify-volumes")
@pytest.mark.changes_state
def test_volumes_are_identical(move: RunningMove, judge: Judge) -> None:
    """Every file is the same on both hosts: name, type, mode, owner, times, attributes, links and content."""
    judge(move.perform("verify-volumes"))


@pytest.mark.step("create-target")
@pytest.mark.changes_state
def test_container_is_created_faithfully(move: RunningMove, judge: Judge) -> None:
    """The container is created on the new host with the same configuration, apart from the written list."""
    judge(move.perform("create-target"))


@pytest.mark.step("relay-dependencies")
@pytest.mark.changes_state
def test_what_it_needs_is_reachable(move: RunningMove, judge: Judge) -> None:
    """The names that the service uses lead, on its new host, to where they are served."""
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
    """What the service holds on its new host equals what it held on the old one."""
    judge(move.perform("fingerprint-target"))


@pytest.mark.step("commit")
@pytest.mark.changes_state
def test_clients_are_switched(move: RunningMove, judge: Judge) -> None:
    """Commit: clients reach the new host under the old names and ports, and the container restarts by itself."""
    judge(move.perform("commit"))


@pytest.mark.step("hook-after-commit")
@pytest.mark.changes_state
def test_own_command_after_the_switch(move: RunningMove, judge: Judge) -> None:
    """The operator's own command once the new host serves was run there and ended well."""
    judge(move.perform("hook-after-commit"))


@pytest.mark.step("smoke-target")
@pytest.mark.read_only
def test_service_does_its_work(move: RunningMove, judge: Judge) -> None:
    """The service does its work when used through its published port."""
    judge(move.perform("smoke-target"))


@pytest.mark.step("dependants-work")
@pytest.mark.read_only
def test_dependants_still_work(move: RunningMove, judge: Judge) -> None:
    """Applications that depend on the service work."""
    judge(move.perform("dependants-work"))


@pytest.mark.step("record-baseline")
@pytest.mark.read_only
def test_baseline_is_recorded(move: RunningMove, judge: Judge) -> None:
    """What the service holds from now on is recorded: every later night is compared with it."""
    judge(move.perform("record-baseline"))


@pytest.mark.step("measure-outage")
@pytest.mark.severity("warning", unless_failed=True)
@pytest.mark.changes_state
def test_outage_is_known(move: RunningMove, judge: Judge) -> None:
    """The outage that clients saw is measured, and the probe is removed."""
    judge(move.perform("measure-outage"))


@pytest.mark.step("remove-copy-helpers")
@pytest.mark.changes_state
def test_nothing_of_the_copy_is_left(move: RunningMove, judge: Judge) -> None:
    """The containers and the key that the copy needed are removed from both hosts; only the data stays."""
    judge(move.perform("remove-copy-helpers"))


@pytest.mark.step("rename-source")
@pytest.mark.changes_state
def test_source_is_kept_stopped(move: RunningMove, judge: Judge) -> None:
    """The old container is kept, stopped and renamed, with all its data."""
    judge(move.perform("rename-source"))
