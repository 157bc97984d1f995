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
    """The toolbox image is on the host, so that nothing else need be installed there."""
    judge(ship_toolbox(session.world, machine, apply=session.options.apply))


@pytest.mark.step("network-tested")
def test_network_was_tried(machine: str, session: Session, judge: Judge) -> None:
    """The ports that others will need on it were reached from them, with a listener where nothing listens yet."""
    judge(try_with_listeners(session.world, machine, apply=session.options.apply))


@pytest.mark.step("configuration-kept")
@pytest.mark.source_hosts
def test_configuration_is_kept(machine: str, session: Session, judge: Judge) -> None:
    """The configuration of its containers and its compose files are stored encrypted, away from it, and can be read back."""
    judge(keep_host(session.world, machine, apply=session.options.apply))


@pytest.mark.step("image-shipped")
def test_image_is_on_the_target(move: RunningMove, session: Session, judge: Judge) -> None:
    """The service's very image is on its new host."""
    judge(session.beside.perform(move.service, "image-shipped"))


@pytest.mark.step("backup-taken")
def test_backup_is_taken(move: RunningMove, session: Session, judge: Judge) -> None:
    """A logical export and an archive of its volumes are stored encrypted, away from the old host."""
    judge(session.beside.perform(move.service, "backup-taken"))


@pytest.mark.step("restore-drilled")
def test_backup_was_restored_in_a_drill(move: RunningMove, session: Session, judge: Judge) -> None:
    """The backup was restored on the new host, apart from everything, and holds what the service held."""
    judge(session.beside.perform(move.service, "restore-drilled"))


@pytest.mark.step("backup-readable")
def test_backup_can_be_read_to_its_end(move: RunningMove, session: Session, judge: Judge) -> None:
    """Where no drill is possible: every snapshot of the backup was read to its end."""
    judge(session.beside.perform(move.service, "backup-readable"))
