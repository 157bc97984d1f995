"""The verdict of a run, as one word and as one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.verdict import Severity, Verdict

WORDS: Final = {
    "prepare": "Preparation",
    "preflight": "Preflight",
    "migrate": "Migration",
    "validate": "Validation",
}
TOLD: Final = {
    Verdict.FAILED: "failed",
    Verdict.UNKNOWN: "unknown",
    Verdict.WAITING: "waiting",
    Verdict.NOT_RUN: "not run",
    Verdict.WAIVED: "waived",
    Verdict.PLANNED: "planned",
}
"""What a sentence says of the steps that did not pass, in this order."""

FINE: Final = frozenset({Verdict.PASSED.value, Verdict.WAIVED.value, Verdict.PLANNED.value})
"""What needs no decision."""


def verdict_of(rows: Sequence[Mapping[str, Any]], *, finished: bool) -> str:
    """Return the worst verdict that counts; a run that was killed is UNKNOWN at best."""
    blocking = Counter(str(row["verdict"]) for row in rows if row["severity"] == Severity.BLOCKER.value)
    for worst in (Verdict.FAILED, Verdict.UNKNOWN, Verdict.WAITING, Verdict.NOT_RUN):
        if blocking[worst.value]:
            return str(worst.value)
    if not finished or not rows:
        return Verdict.UNKNOWN.value
    return Verdict.PLANNED.value if blocking[Verdict.PLANNED.value] else Verdict.PASSED.value


def sentence_of(command: str, rows: Sequence[Mapping[str, Any]], scope: Mapping[str, Any], *, finished: bool, dry_run: bool = False) -> str:
    """Return the verdict as one sentence in words, with the number of each kind of step that did not pass."""
    what = ("Dry run. " if dry_run else "") + _what(command, scope)
    passed = sum(row["verdict"] == Verdict.PASSED.value for row in rows)
    share = f"{passed} of {len(rows)} steps passed{_rest(rows)}"
    if not finished:
        return f"{what} did not finish: {share} before the run was cut off"
    verdict = verdict_of(rows, finished=True)
    if verdict == Verdict.PLANNED.value:
        return f"{what} was only described: no host was changed"
    if verdict == Verdict.PASSED.value:
        return f"{what} passed: {share}"
    if verdict == Verdict.FAILED.value:
        return f"{what} failed: {_blocking(rows)[verdict]} of {len(rows)} steps failed{_rest(rows, Verdict.FAILED)}"
    return f"{what} is incomplete: {share}"


def altered_sentence(command: str, scope: Mapping[str, Any]) -> str:
    """Return the sentence of a run whose records are not those that were written."""
    return f"{_what(command, scope)}: the record was altered after it was written, so it proves nothing"


def _what(command: str, scope: Mapping[str, Any]) -> str:
    services = len(scope.get("moves") or ())
    return f"{WORDS.get(command, command.capitalize())} of {services} service{'' if services == 1 else 's'}"


def _blocking(rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Return how many steps have each verdict; of those that only warn, the ones that are fine."""
    return Counter(str(row["verdict"]) for row in rows if not warns(row))


def _rest(rows: Sequence[Mapping[str, Any]], told: Verdict | None = None) -> str:
    count, warnings = _blocking(rows), sum(map(warns, rows))
    words = [f"{count[verdict.value]} {word}" for verdict, word in TOLD.items() if count[verdict.value] and verdict is not told]
    return "".join(f", {text}" for text in words + [f"{warnings} with a warning"] * bool(warnings))


def warns(row: Mapping[str, Any]) -> bool:
    """Return whether a step did not pass and only warns."""
    return row["severity"] == Severity.WARNING.value and row["verdict"] not in FINE
