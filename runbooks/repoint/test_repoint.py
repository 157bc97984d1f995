"""Let the dependants of moved services use the new addresses themselves, so that no relay is needed for them; or put it
all back.
"""

from __future__ import annotations

import pytest

from engine.contracts.step import Judge
from engine.saga.saga import RunningMove

pytestmark = pytest.mark.repoint


@pytest.mark.step("undo-references")
@pytest.mark.changes_state
def test_references_are_put_back(move: RunningMove, judge: Judge) -> None:
    """The relays are running again, each reference has its old value, and the dependants work."""
    judge(move.perform("undo-references"))


@pytest.mark.step("confirm-references")
@pytest.mark.read_only
def test_references_can_be_rewritten(move: RunningMove, judge: Judge) -> None:
    """Both ends of each link are where the plan puts them, the new address answers, and each reference is found exactly
    once.
    """
    judge(move.perform("confirm-references"))


@pytest.mark.step("baseline-unchanged")
@pytest.mark.changes_state
def test_dependants_hold_what_they_held(move: RunningMove, judge: Judge) -> None:
    """Before any reference is rewritten, each moved dependant still has the data of its cutover."""
    judge(move.perform("baseline-unchanged"))


@pytest.mark.step("rewrite-references")
@pytest.mark.changes_state
def test_references_are_rewritten(move: RunningMove, judge: Judge) -> None:
    """Each reference has the new address, its dependant has read it, and the dependant's outage is measured."""
    judge(move.perform("rewrite-references"))


@pytest.mark.step("references-used")
@pytest.mark.read_only
def test_references_are_used(move: RunningMove, judge: Judge) -> None:
    """Each dependant works and is connected to the new address."""
    judge(move.perform("references-used"))


@pytest.mark.step("references-baseline")
@pytest.mark.changes_state
def test_baseline_is_read_again(move: RunningMove, judge: Judge) -> None:
    """The changes to each dependant's own configuration are reported and become its new baseline."""
    judge(move.perform("references-baseline"))


@pytest.mark.step("remove-relays")
@pytest.mark.changes_state
def test_relays_are_let_go(move: RunningMove, judge: Judge) -> None:
    """Relays that no dependant uses are removed; relays of other links and of published ports stay."""
    judge(move.perform("remove-relays"))


@pytest.mark.step("dependants-without-relays")
@pytest.mark.read_only
def test_dependants_work_without_relays(move: RunningMove, judge: Judge) -> None:
    """Each dependant still works and is connected to the new address, without the relays."""
    judge(move.perform("dependants-without-relays"))
