"""Does the night as a whole work out?"""

from __future__ import annotations

import pytest

from engine.contracts.step import Judge
from phases.context.run_context import RunContext
from phases.preflight.window import judge_window

pytestmark = [pytest.mark.preflight, pytest.mark.read_only]


@pytest.mark.step("window-fits")
@pytest.mark.together
def test_window_is_long_enough(context: RunContext, judge: Judge) -> None:
    """All moves, plus undoing the longest one, are predicted to fit in the window."""
    judge(judge_window(context))
