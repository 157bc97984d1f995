"""Named things: what is missing or damaged is named, what a person edited since is not held against anybody."""

from __future__ import annotations

import pytest

from engine.contracts.fingerprint import Fingerprint
from services.fingerprints.compare import compare_fingerprints
from services.fingerprints.revisions import Thing, canonical, part_of

BEFORE = {"Orders": Thing({"panels": 4}, "3"), "Stock": Thing({"panels": 2}, "9")}


def _compared(now: dict[str, Thing]) -> str:
    before = Fingerprint("grafana", part_of("dashboards", BEFORE, None))
    seen = compare_fingerprints(before, Fingerprint("grafana", part_of("dashboards", now, before)))
    return "equal" if seen.passed else seen.text


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (BEFORE, "equal"),
        ({**BEFORE, "New one": Thing({"panels": 1}, "1")}, "equal"),
        ({**BEFORE, "Orders": Thing({"panels": 5}, "4")}, "equal"),
        ({**BEFORE, "Stock": Thing({"panels": 5}, "10")}, "equal"),
        ({**BEFORE, "Orders": Thing({"panels": 3}, "3")}, "changed Orders"),
        ({**BEFORE, "Orders": Thing({"panels": 3}, "2")}, "changed Orders"),
        ({"Stock": BEFORE["Stock"]}, "missing Orders"),
    ],
)
def test_only_damage_differs(now: dict[str, Thing], said: str) -> None:
    """A new thing and a later revision are work; other content of the same or an earlier revision, and absence, are
    damage.
    """
    assert said in _compared(now)


def test_json_has_one_form() -> None:
    """The order of keys, and the keys that are to be left out at any depth, don't count."""
    assert canonical({"b": [{"id": 1, "x": 2}], "a": 1}, {"id"}) == canonical(
        {"a": 1, "b": [{"x": 2, "id": 7}]}, {"id"}
    )
