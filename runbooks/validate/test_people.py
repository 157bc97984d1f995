"""What only the people who use the services can say after the moves; attested and signed by who asked them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.contracts.step import Judge
from engine.verdict import Judgement

pytestmark = [pytest.mark.validate, pytest.mark.read_only]


@pytest.mark.step("integrations-tested")
def test_integrations_are_tried(manual: Callable[..., Judgement], judge: Judge) -> None:
    """Those who use the services tried what their work depends on, and it works."""
    judge(manual())
