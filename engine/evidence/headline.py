"""The verdict of a run, as one word and as one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.contracts.phase import TABLE
from engine.i18n.language import ENGLISH, Language, term, terms
from engine.verdict import Severity, Verdict

WORDS: Final = {phase.name: phase.headline for phase in TABLE}
OTHER: Final = terms("{command} of {number} service", "{command} of {number} services")
COUNTED: Final = {
    Verdict.FAILED: terms("{number} failed", "{number} failed"),
    Verdict.UNKNOWN: terms("{number} unknown", "{number} unknown"),
    Verdict.PENDING: terms("{number} waiting", "{number} waiting"),
    Verdict.NOT_RUN: terms("{number} not run", "{number} not run"),
    Verdict.WAIVED: terms("{number} waived", "{number} waived"),
    Verdict.PLANNED: terms("{number} planned", "{number} planned"),
}
"""What a sentence says of the steps that did not pass, in this order."""

BADGES: Final = {
    "PASSED": term("PASSED"),
    "FAILED": term("FAILED"),
    "UNKNOWN": term("UNKNOWN"),
    "WAIVED": term("WAIVED"),
    "PENDING": term("PENDING"),
    "NOT_RUN": term("NOT RUN"),
    "PLANNED": term("PLANNED"),
}
"""Each verdict as one word."""

FINE: Final = frozenset({Verdict.PASSED.value, Verdict.WAIVED.value, Verdict.PLANNED.value})
"""What needs no decision."""


def verdict_of(rows: Sequence[Mapping[str, Any]], *, finished: bool) -> str:
    """Return the worst verdict that counts; a run that was killed is UNKNOWN at best."""
    blocking = Counter(str(row["verdict"]) for row in rows if row["severity"] == Severity.BLOCKER.value)
    for worst in (Verdict.FAILED, Verdict.UNKNOWN, Verdict.PENDING, Verdict.NOT_RUN):
        if blocking[worst.value]:
            return str(worst.value)
    if not finished or not rows:
        return Verdict.UNKNOWN.value
    return Verdict.PLANNED.value if blocking[Verdict.PLANNED.value] else Verdict.PASSED.value


def sentence_of(
    command: str,
    rows: Sequence[Mapping[str, Any]],
    scope: Mapping[str, Any],
    *,
    finished: bool,
    dry_run: bool = False,
    language: Language = ENGLISH,
) -> str:
    """Return the verdict as one sentence in words, with the number of each kind of step that did not pass."""
    sentence = _sentence(_what(command, scope, language), rows, finished=finished, language=language)
    return language.say("Dry run. {sentence}", sentence=sentence) if dry_run else sentence


def _sentence(what: str, rows: Sequence[Mapping[str, Any]], *, finished: bool, language: Language) -> str:
    count = {"what": what, "all": language.number(len(rows))}
    passed = sum(row["verdict"] == Verdict.PASSED.value for row in rows)
    if not finished:
        share = {**count, "passed": language.number(passed), "rest": _rest(rows, language)}
        return language.say(
            "{what} did not finish: {passed} of {all} steps passed{rest} before the run was cut off", **share
        )
    verdict = verdict_of(rows, finished=True)
    if verdict == Verdict.PLANNED.value:
        return language.say("{what} was only described: no host was changed", what=what)
    if verdict == Verdict.FAILED.value:
        failed, rest = _blocking(rows)[verdict], _rest(rows, language, Verdict.FAILED)
        return language.say(
            "{what} failed: {failed} of {all} steps failed{rest}", **count, failed=language.number(failed), rest=rest
        )
    share = {**count, "passed": language.number(passed), "rest": _rest(rows, language)}
    if verdict == Verdict.PASSED.value:
        return language.say("{what} passed: {passed} of {all} steps passed{rest}", **share)
    return language.say("{what} is incomplete: {passed} of {all} steps passed{rest}", **share)


def altered_sentence(command: str, scope: Mapping[str, Any], language: Language = ENGLISH) -> str:
    """Return the sentence of a run whose records are not those that were written."""
    return language.say(
        "{what}: the record was altered after it was written, so it proves nothing",
        what=_what(command, scope, language),
    )


def _what(command: str, scope: Mapping[str, Any], language: Language) -> str:
    return language.several(*WORDS.get(command, OTHER), len(scope.get("moves") or ()), command=command.capitalize())


def _blocking(rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Return how many steps have each verdict; of those that only warn, the ones that are fine."""
    return Counter(str(row["verdict"]) for row in rows if not warns(row))


def _rest(rows: Sequence[Mapping[str, Any]], language: Language, without: Verdict | None = None) -> str:
    count, warnings = _blocking(rows), sum(map(warns, rows))
    words = [
        language.several(*text, count[verdict.value])
        for verdict, text in COUNTED.items()
        if count[verdict.value] and verdict is not without
    ]
    words += [language.several("{number} with a warning", "{number} with a warning", warnings)] * bool(warnings)
    return "".join(f", {text}" for text in words)


def warns(row: Mapping[str, Any]) -> bool:
    """Return whether a step did not pass and only warns."""
    return row["severity"] == Severity.WARNING.value and row["verdict"] not in FINE
