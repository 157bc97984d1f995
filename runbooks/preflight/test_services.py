"""Can each service be moved tonight? Every question is asked, so that all problems show at once."""

from __future__ import annotations

import pytest

from actions.relays.planning import judge_relays_encrypted
from checks.dependencies.graph import DependencyGraph, judge_links_declared
from checks.ports.verdicts import judge_ports_after_moves
from engine.contracts.step import Judge
from engine.saga.saga import RunningMove
from phases.assess import readiness
from phases.context.relay_hosts import judge_relay_hosts
from phases.context.run_context import RunContext
from phases.preflight import target_fitness
from phases.preflight.port_scan import PortScan
from phases.session.prefetch import Prefetch

pytestmark = [pytest.mark.preflight, pytest.mark.read_only]


@pytest.mark.step("source-healthy")
def test_service_works_on_its_old_host(move: RunningMove, ahead: Prefetch, judge: Judge) -> None:
    """The service works on its old host before anything starts."""
    judge(ahead.serves(move.service))


@pytest.mark.step("inventory-matches")
def test_inventory_tells_the_truth(move: RunningMove, world: RunContext, judge: Judge) -> None:
    """The container is what the inventory says: image, mounts, ports and networks."""
    judge(readiness.judge_inventory(world, move.service))


@pytest.mark.step("state-on-mounts")
def test_state_is_on_mounts(move: RunningMove, ahead: Prefetch, judge: Judge) -> None:
    """All its state lies on mounts that have a rule; nothing would stay behind in the container."""
    judge(*ahead.state(move.service))


@pytest.mark.step("restart-guards")
def test_nothing_else_starts_it(move: RunningMove, world: RunContext, judge: Judge) -> None:
    """Nothing but Docker's restart policy could start the old container again."""
    judge(*readiness.judge_guards(world, move.service))


@pytest.mark.step("image-available")
def test_image_is_available(move: RunningMove, world: RunContext, judge: Judge) -> None:
    """The service's very image is on its new host."""
    judge(readiness.judge_image(world, move.service))


@pytest.mark.step("disk-fits")
def test_data_fits(move: RunningMove, world: RunContext, judge: Judge) -> None:
    """Its data fits on the new host's disk, bytes and inodes, with room to spare."""
    judge(*readiness.judge_disk(world, move.service))


@pytest.mark.step("disk-writable")
def test_disk_can_be_used(move: RunningMove, world: RunContext, judge: Judge) -> None:
    """The new host's disks can be written and have inodes left."""
    judge(*target_fitness.judge_place(world, move.service))


@pytest.mark.step("kernel-fits")
@pytest.mark.severity("warning")
def test_kernel_fits(move: RunningMove, world: RunContext, judge: Judge) -> None:
    """The new host's kernel is set as the service needs it, and gives no less than the old one's."""
    judge(target_fitness.judge_kernel(world, move.service))


@pytest.mark.step("uids-free")
@pytest.mark.severity("warning")
def test_owners_are_nobody_else(move: RunningMove, world: RunContext, judge: Judge) -> None:
    """The users that own its files are nobody else on the new host."""
    judge(target_fitness.judge_owners(world, move.service))


@pytest.mark.step("ports-free")
def test_ports_are_free(move: RunningMove, world: RunContext, judge: Judge) -> None:
    """Its published ports are free on the new host."""
    judge(readiness.judge_ports(world, move.service))


@pytest.mark.step("ports-after-all-moves")
@pytest.mark.together
def test_ports_stay_free(move: RunningMove, port_scan: PortScan, world: RunContext, judge: Judge) -> None:
    """Nobody else will want its ports there once all moves are done, nor its old port where a relay keeps it."""
    judge(judge_ports_after_moves(port_scan.report, port_scan.arrivals[move.service], world.scope.environment.environment))


@pytest.mark.step("names-free")
def test_names_are_free(move: RunningMove, world: RunContext, judge: Judge) -> None:
    """No container, volume, network or directory of somebody else stands in its place on the new host."""
    judge(readiness.judge_names(world, move.service))


@pytest.mark.step("links-relayable")
def test_links_can_be_kept(move: RunningMove, world: RunContext, judge: Judge) -> None:
    """Every application that depends on it can go on reaching it under the old name and port."""
    judge(readiness.judge_links(world, move.service))


@pytest.mark.step("relay-hosts")
@pytest.mark.together
def test_hosts_with_relays_answer(move: RunningMove, world: RunContext, judge: Judge) -> None:
    """Every host on which a relay will stand or come out is known here and answers."""
    judge(judge_relay_hosts(world, move.service))


@pytest.mark.step("relays-encrypted")
@pytest.mark.severity("warning")
def test_relays_are_encrypted(move: RunningMove, world: RunContext, judge: Judge) -> None:
    """What its relays carry crosses between hosts encrypted, and each end proves who it is."""
    judge(judge_relays_encrypted(world.scope, move.service))


@pytest.mark.step("links-declared")
@pytest.mark.together
@pytest.mark.severity("warning")
def test_links_are_declared(move: RunningMove, world: RunContext, references: DependencyGraph, judge: Judge) -> None:
    """Every container that it talks with is a declared link, by its settings and its open connections."""
    judge(judge_links_declared(references, move.service, world.where()[move.service]))


@pytest.mark.step("backup-present")
def test_backup_is_present(move: RunningMove, world: RunContext, judge: Judge) -> None:
    """A fresh, checked backup of its data lies away from the old host."""
    judge(readiness.judge_backup(world, move.service))
