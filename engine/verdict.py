"""Verdicts: the closed set of answers that a step can have, and what they mean for the exit status."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum


class Verdict(str, Enum):
    """What is known about one step."""

    PASSED = "PASSED"
    FAILED = "FAILED"  # looked, it is wrong
    UNKNOWN = "UNKNOWN"  # could not look
    WAIVED = "WAIVED"  # failed or unknown, covered by a signed, unexpired waiver
    PENDING = "PENDING"  # a person has not attested yet
    NOT_RUN = "NOT_RUN"  # because of an earlier step
    PLANNED = "PLANNED"  # dry run of a changing step


class Severity(str, Enum):
    """Whether a step that is not PASSED closes the gate of the next phase."""

    BLOCKER = "blocker"
    WARNING = "warning"


class Effect(str, Enum):
    """What a step does to the hosts; every step declares exactly one."""

    READ_ONLY = "read_only"
    CHANGES_STATE = "changes_state"
    IRREVERSIBLE = "irreversible"


class ExitCode(int, Enum):
    """Exit status of a command, worst first when several apply."""

    OK = 0
    FAILED = 1
    INCOMPLETE = 2  # UNKNOWN, PENDING or NOT_RUN
    REFUSED = 3
    INVALID_INPUT = 4
    NEEDS_OPERATOR = 5


@dataclass(frozen=True)
class Judgement:
    """The answer to one question: a verdict, one line of text and the measured values behind it.

    `measured` maps a name with its unit (`free_bytes`, `rows`) to the value; `details` are further lines
    (first differences, log lines). Nothing in it may be a secret: the journal redacts, but don't rely on it.
    """

    verdict: Verdict
    text: str
    measured: dict[str, float | int | str] = field(default_factory=dict)
    details: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Return True only for PASSED."""
        return self.verdict is Verdict.PASSED


def passed(text: str, details: tuple[str, ...] = (), **measured: float | str) -> Judgement:
    """Return a PASSED judgement; `text` states the denominators."""
    return Judgement(Verdict.PASSED, text, dict(measured), details)


def failed(text: str, details: tuple[str, ...] = (), **measured: float | str) -> Judgement:
    """Return a FAILED judgement: we looked and it is wrong."""
    return Judgement(Verdict.FAILED, text, dict(measured), details)


def unknown(text: str, details: tuple[str, ...] = (), **measured: float | str) -> Judgement:
    """Return an UNKNOWN judgement: we could not look."""
    return Judgement(Verdict.UNKNOWN, text, dict(measured), details)


def waiting(text: str, details: tuple[str, ...] = (), **measured: float | str) -> Judgement:
    """Return a PENDING judgement: a person has to do it and attest it."""
    return Judgement(Verdict.PENDING, text, dict(measured), details)


def exit_code_of(verdicts: Iterable[tuple[Verdict, Severity]]) -> ExitCode:
    """Return the exit status of a run with these rows; a run without any row is INCOMPLETE, not OK."""
    rows = list(verdicts)
    blocking = {verdict for verdict, severity in rows if severity is Severity.BLOCKER}
    if Verdict.FAILED in blocking:
        return ExitCode.FAILED
    if not rows or blocking & {Verdict.UNKNOWN, Verdict.PENDING, Verdict.NOT_RUN}:
        return ExitCode.INCOMPLETE
    return ExitCode.OK
