"""A row of the bench says whether its goal is met, with and without a peer."""

from __future__ import annotations

from typing import Any

import pytest

from bench.row import Row, median_and_spread, seconds


def make_row(**given: Any) -> Row:
    """Return a row of copying."""
    about: dict[str, Any] = {
        "id": "copy",
        "work": "copy 1 GiB",
        "peer": "rsync",
        "ours": 10.0,
        "theirs": 9.0,
        "unit": "s",
        "goal": 1.2,
        "better": "less",
        "runs": 5,
        "spread": 0.4,
    }
    return Row(**{**about, **given})


@pytest.mark.parametrize(
    ("given", "ratio", "met"),
    [
        ({}, 10 / 9, True),
        ({"ours": 11.0}, 11 / 9, False),
        ({"better": "more", "goal": 1.0}, 10 / 9, True),
        ({"better": "more", "goal": 1.2}, 10 / 9, False),
        ({"theirs": None, "goal": 10.0}, None, True),
        ({"theirs": None, "goal": 9.9}, None, False),
        ({"theirs": None, "goal": 10.0, "better": "more"}, None, True),
        ({"absolute": True, "goal": 10.0}, 10 / 9, True),
        ({"absolute": True, "goal": 9.9}, 10 / 9, False),
    ],
)
def test_a_goal_is_a_limit_of_the_ratio_or_of_ours(given: dict[str, Any], ratio: float | None, met: bool) -> None:
    """Less or more is better as the row says; the limit itself is met."""
    row = make_row(**given)

    assert row.ratio == ratio
    assert row.met is met


def test_a_row_is_written_with_its_verdict_and_without_a_name() -> None:
    """The figures can be published: the machine is described, not named."""
    row = make_row().as_json()

    assert (row["id"], row["ratio"], row["met"], row["spread"]) == ("copy", 10 / 9, True, 0.4)
    assert row["machine"].endswith("cores")


def test_the_median_and_the_distance_of_the_extremes() -> None:
    """One slow run moves the spread, not the figure."""
    assert median_and_spread([1.0, 9.0, 2.0]) == (2.0, 8.0)
    assert 0 <= seconds(lambda: None) < 1
