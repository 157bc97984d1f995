"""What only people can do before the window; each is attested and signed by who did it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.contracts.step import Judge
from engine.saga.saga import RunningMove
from engine.verdict import Judgement

pytestmark = [pytest.mark.prepare, pytest.mark.read_only]


@pytest.mark.step("teams-notified")
def test_teams_are_notified(manual: Callable[..., Judgement], judge: Judge) -> None:
    """The teams that own or use the moved services know what will happen and when."""
    judge(manual())


@pytest.mark.step("calendar-entry")
def test_window_stands_in_the_calendar(manual: Callable[..., Judgement], judge: Judge) -> None:
    """The window is in the shared calendar."""
    judge(manual())


@pytest.mark.step("dns-ttl-lowered")
def test_names_are_short_lived(move: RunningMove, manual: Callable[..., Judgement], judge: Judge) -> None:
    """The TTL of its public DNS names is 5 minutes or less."""
    judge(manual(move.service))
