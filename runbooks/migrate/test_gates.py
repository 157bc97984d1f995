"""Before anything is changed: may this plan be carried out, now, from here?"""

from __future__ import annotations

import pytest

from engine.contracts.step import Judge
from phases.gates.gates import Gates

pytestmark = pytest.mark.migrate


@pytest.mark.step("gate-state")
@pytest.mark.read_only
def test_moves_can_start_or_continue(gates: Gates, judge: Judge) -> None:
    """Every move can start or resume from its present state."""
    judge(gates.state())


@pytest.mark.step("gate-preflight")
@pytest.mark.read_only
def test_preflight_passed(gates: Gates, judge: Judge) -> None:
    """Preflight passed for exactly this plan, recently enough."""
    judge(gates.preflight())


@pytest.mark.step("gate-approved")
@pytest.mark.read_only
def test_plan_is_approved(gates: Gates, judge: Judge) -> None:
    """Everyone the plan names has approved it as it is now."""
    judge(gates.approved())


@pytest.mark.step("gate-window")
@pytest.mark.read_only
def test_window_is_open(gates: Gates, judge: Judge) -> None:
    """The maintenance window is open."""
    judge(gates.window())


@pytest.mark.step("gate-checkout")
@pytest.mark.read_only
def test_runbooks_are_those_that_were_reviewed(gates: Gates, judge: Judge) -> None:
    """The checkout has no uncommitted changes."""
    judge(gates.tree())
