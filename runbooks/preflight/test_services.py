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
    """The service works on its old host before the move."""
    judge(ahead.serves(move.service))


@pytest.mark.step("inventory-matches")
def test_inventory_tells_the_truth(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """The container matches the inventory: image, mounts, ports and networks."""
    judge(readiness.judge_inventory(context, move.service))


@pytest.mark.step("state-on-mounts")
def test_state_is_on_mounts(move: RunningMove, ahead: Prefetch, judge: Judge) -> None:
    """All its state is on mounts that have a rule; nothing would be left behind in the container."""
    judge(*ahead.state(move.service))


@pytest.mark.step("restart-guards")
def test_nothing_else_starts_it(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """Only Docker's restart policy could start the old container again."""
    judge(*readiness.judge_guards(context, move.service))


@pytest.mark.step("image-available")
def test_image_is_available(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """The same image is on the new host."""
    judge(readiness.judge_image(context, move.service))


@pytest.mark.step("disk-fits")
def test_data_fits(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """Its data fits on the new host's disk, in bytes and inodes, with a reserve."""
    judge(*readiness.judge_disk(context, move.service))


@pytest.mark.step("disk-writable")
def test_disk_can_be_used(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """The new host's disks are writable and have free inodes."""
    judge(*target_fitness.judge_place(context, move.service))


@pytest.mark.step("kernel-fits")
@pytest.mark.severity("warning")
def test_kernel_fits(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """The new host's kernel settings meet the service's needs and are no lower than on the old host."""
    judge(target_fitness.judge_kernel(context, move.service))


@pytest.mark.step("uids-free")
@pytest.mark.severity("warning")
def test_owners_are_nobody_else(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """The user IDs that own its files do not belong to other users on the new host."""
    judge(target_fitness.judge_owners(context, move.service))


@pytest.mark.step("ports-free")
def test_ports_are_free(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """Its published ports are free on the new host."""
    judge(readiness.judge_ports(context, move.service))


@pytest.mark.step("ports-after-all-moves")
@pytest.mark.together
def test_ports_stay_free(move: RunningMove, port_scan: PortScan, context: RunContext, judge: Judge) -> None:
    """After all moves, nothing else needs its ports on the new host, nor the old ports that a relay keeps."""
    judge(
        judge_ports_after_moves(
            port_scan.report, port_scan.arrivals[move.service], context.scope.environment.environment
        )
    )


@pytest.mark.step("names-free")
def test_names_are_free(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """No unrelated container, volume, network or directory on the new host has its name or path."""
    judge(readiness.judge_names(context, move.service))


@pytest.mark.step("links-relayable")
def test_links_can_be_kept(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """Every application that depends on it will still reach it under the old name and port."""
    judge(readiness.judge_links(context, move.service))


@pytest.mark.step("relay-hosts")
@pytest.mark.together
def test_hosts_with_relays_answer(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """Every host that will run one end of a relay is known and answers."""
    judge(judge_relay_hosts(context, move.service))


@pytest.mark.step("relays-encrypted")
@pytest.mark.severity("warning")
def test_relays_are_encrypted(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """Its relays use mutual TLS between hosts."""
    judge(judge_relays_encrypted(context.scope, move.service))


@pytest.mark.step("links-declared")
@pytest.mark.together
@pytest.mark.severity("warning")
def test_links_are_declared(move: RunningMove, context: RunContext, references: DependencyGraph, judge: Judge) -> None:
    """Every container found in its settings and open connections is declared as a link."""
    judge(judge_links_declared(references, move.service, context.where()[move.service]))


@pytest.mark.step("backup-present")
def test_backup_is_present(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """A recent, verified backup of its data is stored away from the old host."""
    judge(readiness.judge_backup(context, move.service))
