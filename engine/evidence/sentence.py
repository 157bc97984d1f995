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
GOOD: Final = frozenset({Verdict.PASSED.value, Verdict.WAIVED.value})


def verdict_of(rows: Sequence[Mapping[str, Any]], *, finished: bool) -> str:
    """Return the worst verdict that counts; a run that was killed is UNKNOWN at best."""
    blocking = Counter(str(row["verdict"]) for row in rows if row["severity"] == Severity.BLOCKER.value)
    for worst in (Verdict.FAILED, Verdict.UNKNOWN, Verdict.WAITING, Verdict.NOT_RUN):
        if blocking[worst.value]:
            return str(worst.value)
    if not finished or not rows:
        return Verdict.UNKNOWN.value
    return Verdict.PLANNED.value if blocking[Verdict.PLANNED.value] else Verdict.PASSED.value


def sentence_of(command: str, rows: Sequence[Mapping[str, Any]], scope: Mapping[str, Any], *, finished: bool) -> str:
    """Return the verdict as one sentence in words."""
    what = _what(command, scope)
    good = sum(row["verdict"] in GOOD for row in rows)
    share = f"{good} of {len(rows)} steps passed"
    if not finished:
        return f"{what} did not finish: {share} before the run was cut off"
    verdict = verdict_of(rows, finished=True)
    if verdict == Verdict.PLANNED.value:
        return f"Dry run. {what} was only described: no host was changed"
    if verdict == Verdict.PASSED.value:
        warnings = len(rows) - good
        return f"{what} passed: {share}" + (f", {warnings} with a warning" if warnings else "")
    if verdict == Verdict.FAILED.value:
        bad = sum(row["verdict"] == verdict for row in rows)
        return f"{what} failed: {bad} of {len(rows)} steps failed"
    return f"{what} is incomplete: {share}; the others could not be looked at or did not run"


def altered_sentence(command: str, scope: Mapping[str, Any]) -> str:
    """Return the sentence of a run whose records are not those that were written."""
    return f"{_what(command, scope)}: the record was altered after it was written, so it proves nothing"


def _what(command: str, scope: Mapping[str, Any]) -> str:
    services = len(scope.get("moves") or ())
    return f"{WORDS.get(command, command.capitalize())} of {services} service{'' if services == 1 else 's'}"
