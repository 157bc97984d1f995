"""What only the people who use the services can say after the moves; attested and signed by who asked them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.contracts.step import Judge
from engine.verdict import Judgement

pytestmark = [pytest.mark.validate, pytest.mark.read_only]


@pytest.mark.step("integrations-tested")
def test_integrations_are_tried(manual: Callable[..., Judgement], judge: Judge) -> None:
    """Users of the services tested the functions their work depends on, and they work."""
    judge(manual())
