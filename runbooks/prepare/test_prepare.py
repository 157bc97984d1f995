"""Before the window: all that changes nothing in service. Toolbox and images on the targets, backups off the source."""

from __future__ import annotations

import pytest

from engine.contracts.step import Judge
from engine.saga.saga import RunningMove
from phases.preflight.network import try_with_listeners
from phases.prepare.host_configuration import keep_host
from phases.prepare.toolbox import ship_toolbox
from phases.session.session import Session

pytestmark = [pytest.mark.prepare, pytest.mark.changes_state]


@pytest.mark.step("toolbox")
def test_toolbox_is_on_the_host(machine: str, session: Session, judge: Judge) -> None:
    """The toolbox image is on the host; nothing else has to be installed there."""
    judge(ship_toolbox(session.context, machine, apply=session.options.apply))


@pytest.mark.step("network-tested")
def test_network_was_tried(machine: str, session: Session, judge: Judge) -> None:
    """The other hosts reached every port they will need on it, through a test listener where the port is not in use
    yet.
    """
    judge(try_with_listeners(session.context, machine, apply=session.options.apply))


@pytest.mark.step("configuration-kept")
@pytest.mark.source_hosts
def test_configuration_is_kept(machine: str, session: Session, judge: Judge) -> None:
    """Its container configurations and compose files are stored encrypted on another host and can be read back."""
    judge(keep_host(session.context, machine, apply=session.options.apply))


@pytest.mark.step("image-shipped")
def test_image_is_on_the_target(move: RunningMove, session: Session, judge: Judge) -> None:
    """The same image is on the new host."""
    judge(session.queues.perform(move.service, "image-shipped"))


@pytest.mark.step("backup-taken")
def test_backup_is_taken(move: RunningMove, session: Session, judge: Judge) -> None:
    """A logical export and an archive of its volumes are stored encrypted, away from the old host."""
    judge(session.queues.perform(move.service, "backup-taken"))


@pytest.mark.step("restore-drilled")
def test_backup_was_restored_in_a_drill(move: RunningMove, session: Session, judge: Judge) -> None:
    """The backup was restored on the new host, in isolation, and contains the service's data."""
    judge(session.queues.perform(move.service, "restore-drilled"))


@pytest.mark.step("backup-readable")
def test_backup_can_be_read_to_its_end(move: RunningMove, session: Session, judge: Judge) -> None:
    """Where no restore drill is possible: every snapshot of the backup was read completely."""
    judge(session.queues.perform(move.service, "backup-readable"))
