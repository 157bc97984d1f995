"""Can we reach the hosts, and are they fit to carry the services?"""

from __future__ import annotations

import pytest

from checks.hosts.basics import judge_clock, judge_docker, judge_reached, judge_versions
from checks.hosts.system import judge_engine, judge_synchronised
from checks.ports.verdicts import judge_compose_understood
from engine.contracts.step import Judge
from hosts.facts.model import HostFacts
from phases.context.run_context import RunContext
from phases.preflight.capacity import Capacity
from phases.preflight.port_scan import PortScan
from phases.preflight.target_fitness import answering
from phases.prepare.host_configuration import judge_configuration

pytestmark = [pytest.mark.preflight, pytest.mark.read_only]


@pytest.mark.step("ssh-answers")
def test_ssh_answers(machine: str, context: RunContext, judge: Judge) -> None:
    """The host answers over ssh and its identity is the pinned one."""
    judge(judge_reached(context.facts(machine)))


@pytest.mark.step("docker-answers")
def test_docker_answers(facts: HostFacts, judge: Judge) -> None:
    """Its Docker Engine answers."""
    judge(judge_docker(facts))


@pytest.mark.step("versions")
@pytest.mark.together
def test_versions_are_known_to_work(facts: HostFacts, context: RunContext, judge: Judge) -> None:
    """Docker is recent enough and the CPU architecture is the same on all hosts of the migration."""
    judge(judge_versions(facts, context.architectures()))


@pytest.mark.step("clock")
@pytest.mark.severity("warning")
def test_clock_is_right(facts: HostFacts, judge: Judge) -> None:
    """Its clock is within one second of the operator's."""
    judge(judge_clock(facts))


@pytest.mark.step("clock-synchronised")
@pytest.mark.severity("warning")
def test_clock_is_kept(facts: HostFacts, judge: Judge) -> None:
    """Its clock is synchronized with a time server."""
    judge(judge_synchronised(facts))


@pytest.mark.step("engine-supported")
@pytest.mark.together
def test_engine_is_ordinary(facts: HostFacts, context: RunContext, judge: Judge) -> None:
    """Its Docker Engine runs as root, without user namespace remapping."""
    judge(judge_engine(facts, answering(context, but=facts.host)))


@pytest.mark.step("memory-after")
@pytest.mark.at_once
@pytest.mark.target_hosts
def test_memory_suffices(machine: str, capacity: Capacity, judge: Judge) -> None:
    """Its memory usage stays below the threshold with all services on it."""
    judge(capacity.judge_memory(machine))


@pytest.mark.step("cpu-after")
@pytest.mark.at_once
@pytest.mark.severity("warning")
@pytest.mark.target_hosts
def test_processors_suffice(machine: str, capacity: Capacity, judge: Judge) -> None:
    """Its CPU usage stays below the threshold with all services on it."""
    judge(capacity.judge_processors(machine))


@pytest.mark.step("disk-io-after")
@pytest.mark.at_once
@pytest.mark.severity("warning")
@pytest.mark.target_hosts
def test_disks_have_time(machine: str, capacity: Capacity, judge: Judge) -> None:
    """Its disk utilisation stays below the threshold with all services on it."""
    judge(capacity.judge_disks_busy(machine))


@pytest.mark.step("disk-after")
@pytest.mark.at_once
@pytest.mark.target_hosts
def test_disk_suffices(machine: str, capacity: Capacity, judge: Judge) -> None:
    """Its disk usage stays below the threshold with the data of all services on it."""
    judge(capacity.judge_disk(machine))


@pytest.mark.step("baseline-sufficient")
@pytest.mark.at_once
@pytest.mark.severity("warning")
@pytest.mark.target_hosts
def test_baseline_is_known(machine: str, capacity: Capacity, judge: Judge) -> None:
    """There are enough samples of its load and of the services that move to it."""
    judge(capacity.judge_baseline(machine))


@pytest.mark.step("configuration-kept")
@pytest.mark.at_once
@pytest.mark.source_hosts
@pytest.mark.usefixtures("backups")
def test_configuration_is_kept(machine: str, context: RunContext, judge: Judge) -> None:
    """A recent copy of its container configurations and compose files is stored on another host and was read back."""
    judge(judge_configuration(context, machine))


@pytest.mark.step("compose-parsed")
@pytest.mark.together
@pytest.mark.severity("warning")
@pytest.mark.every_host
def test_compose_files_are_understood(machine: str, port_scan: PortScan, judge: Judge) -> None:
    """Its compose files are found, and all ports they publish are understood."""
    judge(judge_compose_understood(port_scan.hosts[machine]))
