"""How a step ends that does not run to its own judgement: the errors that say so, and the judgement of each error."""

from __future__ import annotations

from typing import Final

from engine.errors import (
    LongshoreError,
)
from engine.verdict import Judgement, Verdict, failed, unknown

SHORT: Final = 160
"""So much of a reason is repeated in the steps that did not run because of it."""


class PlannedOnly(LongshoreError):
    """A dry run reached an action: the text says what would be done; becomes PLANNED."""


class NotRun(LongshoreError):
    """A step was not run because of another one: the text names it; becomes NOT_RUN."""


def judgement_of_error(error: BaseException) -> Judgement:
    """Return the judgement that an exception stands for: only an AssertionError is FAILED, the rest is UNKNOWN."""
    text = "\n".join([str(error) or type(error).__name__, *getattr(error, "__notes__", [])])
    if isinstance(error, PlannedOnly):
        return Judgement(Verdict.PLANNED, text)
    if isinstance(error, NotRun):
        return Judgement(Verdict.NOT_RUN, text)
    if isinstance(error, AssertionError):
        return failed(text)
    if isinstance(error, LongshoreError):
        return unknown(text)
    return unknown(f"the tool itself failed ({type(error).__name__}): {text}")


def shortened(text: str) -> str:
    """Return the first line of a reason, as it is repeated in the steps that did not run because of it."""
    first = text.splitlines()[0] if text else "no reason given"
    return first if len(first) <= SHORT else first[: SHORT - 3] + "…"
