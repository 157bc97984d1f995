"""What the state of a watch says to people: the last result of the phase."""

from __future__ import annotations

from collections.abc import Iterator

from checks.monitor.coverage import gap_text
from checks.monitor.disturbances import Disturbance
from checks.monitor.stability import Requirement, Stability, WatchState
from checks.monitor.times import HOUR_MS, moment
from engine.config.plan import HOURS_WATCHED
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed, waiting
from engine.watch.causes import RESTARTS


def judge_stability(found: Stability) -> Judgement:
    """Return PASSED when stable, FAILED when unstable, else PENDING with what is missing and the earliest moment."""
    figures: dict[str, float | str] = {
        "state": found.state.value,
        "watched_hours": round(found.watched_ms / HOUR_MS, 3),
        "required_hours": found.required_ms / HOUR_MS,
    }
    lines = tuple(_lines(found))
    if found.state is WatchState.NOT_BEGUN:
        return waiting(say("the clock has not begun: {missing}", missing=joined("; ", found.missing)), lines, **figures)
    seen = _seen(found)
    if found.state is WatchState.STABLE:
        return passed(say("stable: {seen}", seen=seen), lines, **figures)
    if found.state is WatchState.STALE:
        return waiting(
            say("was stable at {at}, which is too long ago. Judge it again: {seen}", at=moment(found.at_ms), seen=seen),
            lines,
            **figures,
        )
    if found.state is WatchState.UNSTABLE:
        return failed(
            say("unstable: {wrong}; {seen}. Expected: none of these", wrong=joined("; ", found.wrong), seen=seen),
            lines,
            **figures,
        )
    return waiting(
        say(
            "until {earliest} at the earliest: {missing}; {seen}",
            earliest=moment(found.earliest_ms or found.at_ms),
            missing=joined("; ", (*found.missing, *(_open(one) for one in found.open))),
            seen=seen,
        ),
        lines,
        **figures,
    )


def _seen(found: Stability) -> str:
    return say(
        "watched {watched:.1f} of {required:g} h{less} since {began}, which began with {by}; {gaps} gaps",
        watched=found.watched_ms / HOUR_MS,
        required=found.required_ms / HOUR_MS,
        less=_less(found.requirement),
        began=moment(found.began_ms or 0),
        by=found.by,
        gaps=len(found.gaps),
    )


def _less(need: Requirement) -> str:
    if need.hours >= HOURS_WATCHED:
        return ""
    return say(" (fewer than 72 because: {reason})", reason=need.less_because or "–")


def _open(one: Disturbance) -> str:
    return say("{cause} is not over ({where})", cause=one.cause.words, where=one.where)


def _lines(found: Stability) -> Iterator[str]:
    for one in found.causes:
        yield say(
            "restarted the clock at {at}: {cause} ({where}) {text}",
            at=moment(one.to_ms or one.from_ms),
            cause=one.cause.words,
            where=one.where,
            text=one.text,
        )
    for one in found.noted:
        yield say(
            "noted at {at}: {cause} ({where}) {text}",
            at=moment(one.from_ms),
            cause=one.cause.words,
            where=one.where,
            text=one.text,
        )
    yield from map(gap_text, found.gaps)
    left_out = [cause.words for cause in RESTARTS if cause not in found.requirement.restarts]
    if left_out:
        yield say("the plan leaves out as causes: {causes}", causes=joined(", ", left_out))
