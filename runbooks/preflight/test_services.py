"""Can each service be moved tonight? Every question is asked, so that all problems show at once."""

from __future__ import annotations

import pytest

from actions.relays.planning import judge_links_relayable, judge_relays_encrypted
from checks.capacity.disk_space import judge_disk_after, judge_space
from checks.containers.declared import judge_container_as_declared
from checks.containers.images import judge_image_on_target
from checks.containers.name_conflicts import judge_names_free
from checks.containers.restart_guards import judge_guards, judge_movable
from checks.dependencies.graph import DependencyGraph, judge_links_declared
from checks.hosts.system import judge_inodes, judge_kernel, judge_owners, judge_writable
from checks.ports.free_ports import judge_ports_free
from checks.ports.verdicts import judge_ports_after_moves
from engine.contracts.step import Judge
from phases.assess.readiness import judge_backup, names_needed, paths_on, port_needs
from phases.context.relay_hosts import judge_relay_hosts
from phases.context.service_move import ServiceMove
from phases.preflight.port_scan import PortScan
from phases.preflight.target_fitness import data_paths, kernel_needs_of
from phases.session.prefetch import Prefetch

pytestmark = [pytest.mark.preflight, pytest.mark.read_only]


@pytest.mark.step("source-healthy")
def test_service_works_on_its_old_host(service_move: ServiceMove, ahead: Prefetch, judge: Judge) -> None:
    """The service works on its old host before the move."""
    judge(ahead.serves(service_move.service))


@pytest.mark.step("inventory-matches")
def test_inventory_is_true(service_move: ServiceMove, judge: Judge) -> None:
    """The container matches the inventory: image, mounts, ports and networks."""
    judge(judge_container_as_declared(service_move.entry, service_move.container()))


@pytest.mark.step("state-on-mounts")
def test_state_is_on_mounts(service_move: ServiceMove, ahead: Prefetch, judge: Judge) -> None:
    """All its state is on mounts that have a rule; nothing would be left behind in the container."""
    judge(*ahead.state(service_move.service))


@pytest.mark.step("restart-guards")
def test_nothing_else_starts_it(service_move: ServiceMove, judge: Judge) -> None:
    """Only Docker's restart policy could start the old container again."""
    container, facts = service_move.container(), service_move.source_facts()
    mentions = facts.around.mentioning(container.name)
    judge(judge_movable(container), judge_guards(facts, container, mentions, service_move.entry.restart_guards))


@pytest.mark.step("image-available")
def test_image_is_available(service_move: ServiceMove, judge: Judge) -> None:
    """The same image is on the new host."""
    container, environment = service_move.container(), service_move.environment
    judge(judge_image_on_target(service_move.source_facts(), service_move.target_facts(), container, environment))


@pytest.mark.step("disk-fits")
def test_data_fits(service_move: ServiceMove, judge: Judge) -> None:
    """Its data fits on the new host's disk, in bytes and inodes, with a reserve."""
    target, needs = service_move.target_facts(), service_move.space_needs()
    limit_percent = service_move.context.scope.thresholds(target.host).disk_percent
    judge(judge_space(target, needs), judge_disk_after(target, needs, limit_percent))


@pytest.mark.step("disk-writable")
def test_disk_can_be_used(service_move: ServiceMove, judge: Judge) -> None:
    """The new host's disks are writable and have free inodes."""
    paths, target = data_paths(service_move), service_move.target_facts()
    judge(judge_writable(target, paths), judge_inodes(target, paths))


@pytest.mark.step("kernel-fits")
@pytest.mark.severity("warning")
def test_kernel_fits(service_move: ServiceMove, judge: Judge) -> None:
    """The new host's kernel settings meet the service's needs and are no lower than on the old host."""
    container, needs = service_move.container(), kernel_needs_of(service_move.product)
    judge(judge_kernel(service_move.source_facts(), service_move.target_facts(), container, needs))


@pytest.mark.step("uids-free")
@pytest.mark.severity("warning")
def test_owners_are_nobody_else(service_move: ServiceMove, judge: Judge) -> None:
    """The user IDs that own its files do not belong to other users on the new host."""
    container, rules = service_move.container(), service_move.mount_rules
    judge(judge_owners(service_move.source_facts(), service_move.target_facts(), container, rules))


@pytest.mark.step("ports-free")
def test_ports_are_free(service_move: ServiceMove, judge: Judge) -> None:
    """Its published ports are free on the new host."""
    needs = port_needs(service_move)
    judge(judge_ports_free(service_move.target_facts(), needs, service_move.label()))


@pytest.mark.step("ports-after-all-moves")
@pytest.mark.together
def test_ports_stay_free(service_move: ServiceMove, port_scan: PortScan, judge: Judge) -> None:
    """After all moves, nothing else needs its ports on the new host, nor the old ports that a relay keeps."""
    planned = port_scan.arrivals[service_move.service]
    judge(judge_ports_after_moves(port_scan.report, planned, service_move.environment))


@pytest.mark.step("names-free")
def test_names_are_free(service_move: ServiceMove, judge: Judge) -> None:
    """No unrelated container, volume, network or directory on the new host has its name or path."""
    needed, target = names_needed(service_move), service_move.target_facts()
    paths = paths_on(service_move.context, target.host, needed.paths)
    judge(judge_names_free(target, needed, paths, service_move.label()))


@pytest.mark.step("links-relayable")
def test_links_can_be_kept(service_move: ServiceMove, judge: Judge) -> None:
    """Every application that depends on it will still reach it under the old name and port."""
    context = service_move.context
    facts = {host: context.facts(host) for host in context.scope.hosts}
    judge(judge_links_relayable(context.scope, service_move.service, facts, context.where()))


@pytest.mark.step("relay-hosts")
@pytest.mark.together
def test_hosts_with_relays_answer(service_move: ServiceMove, judge: Judge) -> None:
    """Every host that will run one end of a relay is known and answers."""
    judge(judge_relay_hosts(service_move))


@pytest.mark.step("relays-encrypted")
@pytest.mark.severity("warning")
def test_relays_are_encrypted(service_move: ServiceMove, judge: Judge) -> None:
    """Its relays use mutual TLS between hosts."""
    judge(judge_relays_encrypted(service_move.context.scope, service_move.service))


@pytest.mark.step("links-declared")
@pytest.mark.together
@pytest.mark.severity("warning")
def test_links_are_declared(service_move: ServiceMove, references: DependencyGraph, judge: Judge) -> None:
    """Every container found in its settings and open connections is declared as a link."""
    service = service_move.service
    judge(judge_links_declared(references, service, service_move.context.where()[service]))


@pytest.mark.step("backup-present")
def test_backup_is_present(service_move: ServiceMove, judge: Judge) -> None:
    """A recent, verified backup of its data is stored away from the old host."""
    judge(judge_backup(service_move))
