"""What each state of a move means, asked of the state itself."""

from __future__ import annotations

from engine.contracts.move_state import MoveState

EACH = {
    MoveState.PLANNED: set(),
    MoveState.IN_PROGRESS: {"is_open", "is_forward"},
    MoveState.UNDONE: {"ends_attempt"},
    MoveState.COMMITTED: {"is_open", "is_forward", "serves_target"},
    MoveState.DONE: {"is_forward", "serves_target"},
    MoveState.ROLLING_BACK: {"is_open", "is_returning"},
    MoveState.RETURNED: {"is_open", "is_returning"},
    MoveState.ROLLED_BACK: {"ends_attempt"},
    MoveState.NEEDS_OPERATOR: {"is_open"},
}
PROPERTIES = ("is_open", "is_forward", "is_returning", "serves_target", "ends_attempt")


def test_each_state_has_its_properties() -> None:
    """Whether hosts stay locked, where the service is served and what may come next follow from the state, and for each
    state.
    """
    assert {state: {name for name in PROPERTIES if getattr(state, name)} for state in MoveState} == EACH
    assert MoveState.NEEDS_OPERATOR.words == "needs operator"
