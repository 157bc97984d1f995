"""What changed since the last run, in lines: for the screen and for a message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from engine.evidence.facts.run_diff import Drift, Since, previous_run, since_of
from engine.evidence.formatting import clock, seconds, visible
from engine.i18n.language import Language
from engine.journal.journal import Journal

LINES: Final = 10
"""So many of each kind: the page has all."""


def since_last(journal: Journal, run_id: str) -> Since | None:
    """Return the differences of a run to the one before it, None for the first."""
    records = journal.records(run_id=run_id)
    earlier = previous_run(journal, records)
    return since_of(journal.records(run_id=earlier), records) if earlier else None


def differences(journal: Journal, run_id: str, language: Language) -> Iterator[str]:
    """Yield the differences in lines, first what they are counted from; nothing for the first run of its kind."""
    since = since_last(journal, run_id)
    if since:
        yield from lines_of(since, language)


def lines_of(since: Since, language: Language) -> Iterator[str]:
    """Yield differences in lines, the first with their numbers."""
    say = language.say
    counted = {
        name: language.number(len(found))
        for name, found in (
            ("new", since.new),
            ("fixed", since.fixed),
            ("still", since.still),
            ("slower", since.slower),
            ("drift", since.drift),
        )
    }
    words = say("{new} new, {fixed} fixed, {still} still there, {slower} slower, {drift} drifted", **counted)
    yield say(
        "since the run of {moment}: {words}",
        moment=clock(since.at, language),
        words=words if since.changed else say("no difference"),
    )
    for row in since.new[:LINES]:
        yield say("new: {step}", step=_step(row, language)) + f" {visible(language.text_of(row))[:200]}"
    for row in since.fixed[:LINES]:
        yield say("fixed: {step}", step=_step(row, language))
    for row, before_s in since.slower[:LINES]:
        times = {"before": seconds(before_s, language), "now": seconds(float(row["duration_s"]), language)}
        yield say("slower: {step} {before} before, {now} now", step=_step(row, language), **times)
    for drift in since.drift[:LINES]:
        yield say("drifted: {what}", what=_drift(drift, language))


def _step(row: Mapping[str, Any], language: Language) -> str:
    return f"{visible(row['subject'])}: {language.say(str(row['sentence']))}"


def _drift(drift: Drift, language: Language) -> str:
    whose = f"{visible(drift.subject)}, " if drift.subject else ""
    return f"{whose}{language.say(drift.what)}: {visible(drift.before)} → {visible(drift.now)}"
