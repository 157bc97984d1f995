"""Can the hosts reach each other on every port that the moves, their copies and their links will need?"""

from __future__ import annotations

import pytest

from checks.hosts.network import Matrix, judge_paths, judge_proven, judge_reachable
from engine.contracts.step import Judge
from phases.context.run_context import RunContext

pytestmark = [pytest.mark.preflight, pytest.mark.read_only]


@pytest.mark.step("network-open")
@pytest.mark.at_once
def test_network_is_open(machine: str, network: Matrix, judge: Judge) -> None:
    """No firewall or missing route blocks the ports it will need on the other hosts."""
    judge(judge_reachable(network, machine))


@pytest.mark.step("network-proven")
@pytest.mark.at_once
@pytest.mark.severity("warning")
def test_network_is_proven(machine: str, network: Matrix, context: RunContext, judge: Judge) -> None:
    """Each of those ports was reached while a test listener was running on it."""
    judge(judge_proven(network, machine, context.scope.environment.environment))


@pytest.mark.step("network-paths")
@pytest.mark.at_once
@pytest.mark.severity("warning")
def test_paths_are_good(machine: str, network: Matrix, judge: Judge) -> None:
    """Full-size packets reach the other hosts, and the latency was measured."""
    judge(judge_paths(network, machine))
