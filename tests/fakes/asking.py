"""Runbook steps called by hand: what a step gives to `judge` is what it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.verdict import Judgement


def answers_of(step: Callable[..., None], **given: Any) -> tuple[Judgement, ...]:
    """Call a step with these fixtures and return its judgements."""
    found: list[Judgement] = []
    step(**given, judge=lambda *answers: found.extend(answers))
    return tuple(found)
