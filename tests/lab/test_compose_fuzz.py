"""The reader of compose files against ten thousand pieces of garbage; a few hundred of them are in the unit tests."""

from __future__ import annotations

import pytest

from tests.unit.checks.compose.test_fuzz import assert_answers

pytestmark = [pytest.mark.lab, pytest.mark.full]


@pytest.mark.parametrize("seed", range(10))
def test_garbage_is_answered(seed: int) -> None:
    """Bytes, spliced files and wrong trees give projects and troubles, never an exception: 1,000 cases a seed."""
    assert_answers(seed=seed, count=1_000)
