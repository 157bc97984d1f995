"""The plan's rules of the time after the moves: what is right loads, what is wrong is named with its path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.config.inventory import load_inventory
from engine.config.plan import load_plan
from engine.errors import InputError
from engine.watch.causes import RESTARTS, WORDS, Cause
from tests.fakes.project_files import INVENTORY, PLAN, make_plan, spoiled, written


def problems(tmp_path: Path, rules: Any) -> str:
    """Return why a plan with these rules is refused."""
    inventory = load_inventory(written(tmp_path / "inventory.yaml", INVENTORY))
    with pytest.raises(InputError) as refused:
        load_plan(written(tmp_path / "migration_plan.json", spoiled(PLAN, ("stability", rules))), inventory)
    return str(refused.value)


def test_a_plan_without_them_asks_72_hours_and_all_causes() -> None:
    """And two weeks as the baseline."""
    rules = make_plan().stability

    assert (rules.hours, rules.restarts, rules.comparison.baseline_days) == (72, RESTARTS, 14)


@pytest.mark.parametrize(
    ("rules", "line"),
    [
        (
            {"hours": 24},
            "stability/less_because: empty, and hours is 24; expected why fewer than 72 hours are enough",
        ),
        ({"hours": 24, "less_because": " "}, "stability/less_because: empty"),
        ({"hours": 0}, "stability/hours: Input should be greater than 0 (seen: '0')"),
        ({"restarts": ["rebot"]}, "stability/restarts/0: Input should be 'move', 'rollback'"),
        ({"restarts": ["reboot", "reboot"]}, "stability/restarts/1: reboot is listed twice; expected once"),
        ({"comparison": {"baseline_days": 1}}, "stability/comparison/baseline_days: Input should be greater than or"),
        ({"comparison": {"points": 0}}, "stability/comparison/points: Input should be greater than 0"),
        ({"comparision": {}}, 'stability/comparision: unknown key; did you mean "comparison"?'),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, rules: dict[str, Any], line: str) -> None:
    """With the path, what was seen and what was expected."""
    assert line in problems(tmp_path, rules)


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Not one after the other."""
    found = problems(tmp_path, {"hours": 24, "restarts": ["gap", "gap"]})

    assert "2 problems" in found


def test_fewer_hours_with_a_reason_load(tmp_path: Path) -> None:
    """And more than 72 without one."""
    inventory = load_inventory(written(tmp_path / "inventory.yaml", INVENTORY))
    for rules in ({"hours": 24, "less_because": "a rehearsal"}, {"hours": 100}):
        path = written(tmp_path / "migration_plan.json", spoiled(PLAN, ("stability", rules)))
        assert load_plan(path, inventory).stability.hours == rules["hours"]


def test_each_cause_has_words() -> None:
    """People read them on the page."""
    assert set(WORDS) == set(Cause)
    assert set(RESTARTS) < set(Cause)
