"""The clock of a watch and its verdict: a function over records, which gives the same answer for the same moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from checks.monitor.coverage import LONGEST_GAP_MS, HostWatch, watched_by_all
from checks.monitor.disturbances import Disturbance
from checks.monitor.intervals import gaps, length_ms
from checks.monitor.times import HOUR_MS
from engine.config.plan import HOURS_WATCHED, StabilityRules
from engine.finding import say
from engine.verdict import Severity, Verdict
from engine.watch.causes import RESTARTS, Cause
from engine.watch.model import Interval

GOOD: Final = frozenset({Verdict.PASSED, Verdict.WAIVED})
INCIDENTS: Final = frozenset({Cause.INCIDENT_CRITICAL, Cause.INCIDENT_MAJOR})
REQUIRED: Final = ("watched", "validated", "logs", "incidents", "status-told", "feedback-collected")
"""Results without which nothing is stable; their absence is not a pass."""


class WatchState(StrEnum):
    """What is known of the time after the moves."""

    NOT_BEGUN = "not_begun"
    WATCHING = "watching"
    UNSTABLE = "unstable"
    STABLE = "stable"
    STALE = "stale"
    """It was stable, and that is too long ago to act on."""


@dataclass(frozen=True)
class WatchedMove:
    """A move of the plan: done when its last commit is on record and nothing takes it back.

    `committed_ms` is its last commit, `words` its state as a person reads it.
    """

    service: str
    is_done: bool
    committed_ms: int | None
    words: str = ""


@dataclass(frozen=True)
class WatchResult:
    """The result of one step of the phase, at the moment at which it was judged; `subject` is a host, service or ""."""

    key: str
    subject: str
    verdict: Verdict
    severity: Severity
    at_ms: int
    text: str = ""


@dataclass(frozen=True)
class Requirement:
    """What the plan asks: watched hours, why fewer than 72, and what restarts the clock."""

    hours: float = HOURS_WATCHED
    less_because: str = ""
    restarts: tuple[Cause, ...] = RESTARTS
    required: tuple[str, ...] = REQUIRED


def requirement_of(rules: StabilityRules) -> Requirement:
    """Return what a plan asks."""
    return Requirement(rules.hours, rules.less_because, rules.restarts)


@dataclass(frozen=True)
class WatchRecords:
    """All that the verdict is drawn from. What is younger than the moment judged is left out, not the caller's care."""

    moves: tuple[WatchedMove, ...]
    hosts: tuple[HostWatch, ...]
    disturbances: tuple[Disturbance, ...]
    results: tuple[WatchResult, ...]
    period_s: float
    requirement: Requirement = field(default_factory=Requirement)


@dataclass(frozen=True)
class Stability:
    """The state at a moment, and what it follows from; times in milliseconds of the Unix epoch.

    `began_ms` is None before the moves are done; `by` says what the clock began with. `watched_ms` of `required_ms`.
    `open` has what is not over and will restart the clock when it is. `noted` are disturbances since the last commit
    that restart nothing. `earliest_ms`: when it may be stable if nothing else happens; None when that is not known.
    """

    state: WatchState
    at_ms: int
    required_ms: int
    began_ms: int | None = None
    by: str = ""
    watched_ms: int = 0
    gaps: tuple[Interval, ...] = ()
    causes: tuple[Disturbance, ...] = ()
    open: tuple[Disturbance, ...] = ()
    noted: tuple[Disturbance, ...] = ()
    missing: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    earliest_ms: int | None = None
    requirement: Requirement = field(default_factory=Requirement)

    @property
    def record(self) -> dict[str, Any]:
        """Return the body of its record: numbers and texts that JSON carries exactly."""
        return {
            "state": self.state.value,
            "at_ms": self.at_ms,
            "began_ms": self.began_ms,
            "by": str.__str__(self.by),
            "watched_ms": self.watched_ms,
            "required_ms": self.required_ms,
            "less_because": self.requirement.less_because,
            "restarts": [cause.value for cause in self.requirement.restarts],
            "gaps": [[gap.from_ms, gap.to_ms] for gap in self.gaps],
            "causes": [_entry(one) for one in self.causes],
            "open": [_entry(one) for one in self.open],
            "noted": [_entry(one) for one in self.noted],
            "missing": [str.__str__(one) for one in self.missing],
            "wrong": [str.__str__(one) for one in self.wrong],
            "earliest_ms": self.earliest_ms,
        }


def find_stability(records: WatchRecords, at_ms: int) -> Stability:
    """Return the state of a watch as of a moment; nothing that happened after it counts, and no order of records."""
    need = records.requirement
    required_ms = round(need.hours * HOUR_MS)
    undone = [move for move in records.moves if not _is_done(move, at_ms)]
    if undone or not records.moves:
        return Stability(
            WatchState.NOT_BEGUN,
            at_ms,
            required_ms,
            missing=tuple(
                say("{service}: its move is not done ({words})", service=move.service, words=move.words or "–")
                for move in sorted(undone, key=lambda move: move.service)
            )
            or (say("the plan has no moves here"),),
            requirement=need,
        )
    commit_ms = max(move.committed_ms or 0 for move in records.moves)
    happened = _happened(records, commit_ms, at_ms)
    restarts = [one for one in happened if one.cause in need.restarts]
    began_ms, by = _begin(restarts, records.moves, commit_ms)
    since = Interval(began_ms, at_ms)
    watched = watched_by_all(records.hosts, since, records.period_s)
    watched_ms = length_ms(watched)
    still_open = tuple(one for one in restarts if one.to_ms is None)
    found = Stability(
        WatchState.WATCHING,
        at_ms,
        required_ms,
        began_ms,
        by,
        watched_ms,
        gaps(watched, since),
        tuple(one for one in restarts if one.to_ms is not None),
        still_open,
        tuple(one for one in happened if one.cause not in need.restarts),
        tuple(_missing(records, since, watched_ms)),
        tuple(_wrong(records, happened, since)),
        at_ms + (required_ms if still_open else max(0, required_ms - watched_ms)),
        need,
    )
    return replace(found, state=_state(found))


def aged(found: Stability, now_ms: int, evidence_max_age_h: float) -> Stability:
    """Return a verdict as it counts now: STABLE becomes STALE when it is older than the plan's evidence may be."""
    is_old = now_ms - found.at_ms > evidence_max_age_h * HOUR_MS
    return replace(found, state=WatchState.STALE) if found.state is WatchState.STABLE and is_old else found


def _state(found: Stability) -> WatchState:
    if found.wrong:
        return WatchState.UNSTABLE
    if found.missing or found.open:
        return WatchState.WATCHING
    return WatchState.STABLE


def _is_done(move: WatchedMove, at_ms: int) -> bool:
    return move.is_done and move.committed_ms is not None and move.committed_ms <= at_ms


def _happened(records: WatchRecords, commit_ms: int, at_ms: int) -> list[Disturbance]:
    """Return the disturbances that were known at a moment and had not ended before the last commit, long gaps among
    them.
    """
    known = [seen for one in records.disturbances if (seen := one.as_of(at_ms)) is not None]
    known += _long_gaps(records, Interval(commit_ms, at_ms))
    lasting = [one for one in known if one.to_ms is None or one.to_ms > commit_ms]
    return sorted(set(lasting), key=lambda one: (one.from_ms, one.to_ms or at_ms, one.cause.value, one.where, one.text))


def _long_gaps(records: WatchRecords, between: Interval) -> Iterator[Disturbance]:
    """Yield the gaps of more than 12 hours; one that reaches the moment has not ended."""
    if between.length_ms <= 0 or not records.hosts:
        return
    for gap in gaps(watched_by_all(records.hosts, between, records.period_s), between):
        if gap.length_ms > LONGEST_GAP_MS:
            ended = gap.to_ms if gap.to_ms < between.to_ms else None
            yield Disturbance(Cause.GAP, gap.from_ms, ended, ", ".join(sorted(one.host for one in records.hosts)))


def _begin(restarts: Iterable[Disturbance], moves: Iterable[WatchedMove], commit_ms: int) -> tuple[int, str]:
    """Return when the clock began and with what: the last commit, or the end of the last disturbance that restarts."""
    last = max((one for one in restarts if one.to_ms is not None), key=lambda one: one.to_ms or 0, default=None)
    if last is None or last.to_ms is None:
        services = sorted(move.service for move in moves if move.committed_ms == commit_ms)
        return commit_ms, say("the commit of {service}", service=", ".join(services))
    return last.to_ms, say("{cause} ({where})", cause=last.cause.words, where=last.where)


def _wrong(records: WatchRecords, happened: Iterable[Disturbance], since: Interval) -> Iterator[str]:
    """Yield what makes it unstable: an open critical or major incident, a blocker that failed."""
    for one in happened:
        if one.to_ms is None and one.cause in INCIDENTS:
            yield say("{cause} is open: {where} {text}", cause=one.cause.words, where=one.where, text=one.text)
    for row in _newest(records.results, since.to_ms):
        if row.severity is Severity.BLOCKER and row.verdict is Verdict.FAILED:
            yield say("{key} {subject} is FAILED: {text}", key=row.key, subject=row.subject, text=row.text)


def _missing(records: WatchRecords, since: Interval, watched_ms: int) -> Iterator[str]:
    need = records.requirement
    if watched_ms < round(need.hours * HOUR_MS):
        yield say("watched {hours:.1f} of {needed:g} h", hours=watched_ms / HOUR_MS, needed=need.hours)
    for host in sorted(records.hosts, key=lambda one: one.host):
        if not host.has_good_clock:
            yield _clock_text(host)
    if not records.hosts:
        yield say("no host is watched")
    rows = _newest(records.results, since.to_ms)
    for row in rows:
        if row.severity is Severity.BLOCKER and row.verdict not in {*GOOD, Verdict.FAILED}:
            yield say(
                "{key} {subject} is {verdict}: {text}",
                key=row.key,
                subject=row.subject,
                verdict=row.verdict.value,
                text=row.text,
            )
    seen = {row.key for row in rows}
    for key in need.required:
        if key not in seen:
            yield say("{key} has no result", key=key)


def _clock_text(host: HostWatch) -> str:
    if host.offset_s is None:
        return say("{host}: the offset of its clock is not known", host=host.host)
    return say("{host}: its clock is {offset:.1f} s off", host=host.host, offset=host.offset_s)


def _newest(results: Iterable[WatchResult], at_ms: int) -> list[WatchResult]:
    """Return the newest result of each step and subject as of a moment; of two at one moment the worse."""
    newest: dict[tuple[str, str], WatchResult] = {}
    for row in sorted(results, key=lambda row: (row.at_ms, row.verdict not in GOOD, row.verdict is Verdict.FAILED)):
        if row.at_ms <= at_ms:
            newest[row.key, row.subject] = row
    return [newest[key] for key in sorted(newest)]


def _entry(one: Disturbance) -> dict[str, Any]:
    return {
        "cause": one.cause.value,
        "from_ms": one.from_ms,
        "to_ms": one.to_ms,
        "where": one.where,
        "text": str.__str__(one.text),
    }
