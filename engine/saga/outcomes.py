"""How a step ends that does not run to its own judgement: the errors that say so, and the judgement of each error."""

from __future__ import annotations

from typing import Final

from engine.errors import LongshoreError
from engine.finding import first_line, joined, say
from engine.verdict import Judgement, Verdict, failed, unknown

SHORT: Final = 160
"""So much of a reason is repeated in the steps that did not run because of it."""


class PlannedOnly(LongshoreError):
    """A dry run reached an action: the text says what would be done; becomes PLANNED."""


class NotRun(LongshoreError):
    """A step was not run because of another one: the text names it; becomes NOT_RUN."""


def judgement_of_error(error: BaseException) -> Judgement:
    """Return the judgement that an exception stands for: only an AssertionError is FAILED, the rest is UNKNOWN."""
    text = joined("\n", [str(error) or type(error).__name__, *getattr(error, "__notes__", [])])
    if isinstance(error, PlannedOnly):
        return Judgement(Verdict.PLANNED, text)
    if isinstance(error, NotRun):
        return Judgement(Verdict.NOT_RUN, text)
    if isinstance(error, AssertionError):
        return failed(text)
    if isinstance(error, LongshoreError):
        return unknown(text)
    return unknown(say("the tool itself failed ({name}): {text}", name=type(error).__name__, text=text))


def shortened(text: str) -> str:
    """Return the first line of a reason, as it is repeated in the steps that did not run because of it."""
    return first_line(text, SHORT) if text else say("no reason given")
