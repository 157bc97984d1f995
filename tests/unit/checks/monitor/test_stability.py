"""The clock: what begins it, what stops it, what restarts it, and what a verdict needs."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from checks.monitor.coverage import HostWatch
from checks.monitor.disturbances import Disturbance
from checks.monitor.stability import (
    REQUIRED,
    Requirement,
    WatchedMove,
    WatchResult,
    WatchState,
    aged,
    find_stability,
    requirement_of,
)
from checks.monitor.stability_verdict import judge_stability
from engine.config.plan import StabilityRules
from engine.verdict import Severity, Verdict
from engine.watch.causes import RESTARTS, Cause
from tests.fakes.soaks import HOUR, START, at_hour, between, good_results, quiet_watch


def happened(cause: Cause, from_h: float, to_h: float | None = None, where: str = "wf001") -> Disturbance:
    """Return a disturbance; without an end of its own it is a moment."""
    return Disturbance(cause, at_hour(from_h), at_hour(from_h if to_h is None else to_h), where)


def still(cause: Cause, from_h: float) -> Disturbance:
    """Return a disturbance without an end."""
    return Disturbance(cause, at_hour(from_h), None, "I1", "orders are lost")


def test_72_quiet_hours_are_stable() -> None:
    """Not a minute before; the record says what the clock began with."""
    before = find_stability(quiet_watch(), at_hour(72) - 60_000)
    found = find_stability(quiet_watch(), at_hour(72))

    assert (before.state, before.earliest_ms) == (WatchState.WATCHING, at_hour(72))
    assert judge_stability(before).verdict is Verdict.PENDING
    assert judge_stability(before).text.startswith("until 2026-12-10 03:00 UTC at the earliest: watched 72.0 of 72 h")
    assert (found.state, found.watched_ms, found.began_ms, found.by) == (
        WatchState.STABLE, 72 * HOUR, START, "the commit of n8n"
    )  # fmt: skip
    assert judge_stability(found).verdict is Verdict.PASSED
    assert judge_stability(found).text == (
        "stable: watched 72.0 of 72 h since 2026-12-07 03:00 UTC, which began with the commit of n8n; 0 gaps"
    )
    assert json.loads(json.dumps(found.record)) == found.record


@pytest.mark.parametrize(
    "moves",
    [
        (),
        (WatchedMove("redis", True, START), WatchedMove("n8n", False, START, "needs operator")),
        (WatchedMove("redis", True, START), WatchedMove("n8n", True, at_hour(73), "done")),
    ],
)
def test_it_has_not_begun_before_all_moves_are_done(moves: tuple[WatchedMove, ...]) -> None:
    """One that needs a person, one that is committed later than the moment, none at all."""
    found = find_stability(quiet_watch(moves=moves), at_hour(72))

    assert (found.state, found.began_ms, found.watched_ms) == (WatchState.NOT_BEGUN, None, 0)
    assert found.missing
    assert judge_stability(found).verdict is Verdict.PENDING


@pytest.mark.parametrize("cause", RESTARTS)
def test_each_cause_of_the_list_begins_the_hours_anew(cause: Cause) -> None:
    """At its end, and not when the plan leaves it out: then it is noted, and the page says so."""
    records = quiet_watch(disturbances=(happened(cause, 60, 61),))
    found = find_stability(records, at_hour(80))
    others = Requirement(restarts=tuple(one for one in RESTARTS if one is not cause))
    without = find_stability(replace(records, requirement=others), at_hour(80))

    assert (found.state, found.began_ms, found.watched_ms) == (WatchState.WATCHING, at_hour(61), 19 * HOUR)
    assert found.earliest_ms == at_hour(61 + 72)
    assert cause.words in found.by
    assert (without.state, without.began_ms, len(without.noted)) == (WatchState.STABLE, START, 1)
    assert f"the plan leaves out as causes: {cause.words}" in judge_stability(without).details


@pytest.mark.parametrize("cause", [Cause.INCIDENT_MINOR, Cause.OTHER_CONTAINER])
def test_the_rest_is_only_noted(cause: Cause) -> None:
    """A minor incident and a container of somebody else."""
    found = find_stability(quiet_watch(disturbances=(happened(cause, 60),)), at_hour(72))

    assert (found.state, len(found.noted), found.causes) == (WatchState.STABLE, 1, ())


def test_a_reboot_at_hour_60_begins_the_72_hours_anew() -> None:
    """Stable at hour 132."""
    records = quiet_watch(disturbances=(happened(Cause.REBOOT, 60),))

    assert find_stability(records, at_hour(59)).began_ms == START
    assert find_stability(records, at_hour(131.9)).state is WatchState.WATCHING
    assert find_stability(records, at_hour(132)).state is WatchState.STABLE


def test_a_gap_of_six_hours_pauses_the_clock() -> None:
    """Stable at hour 78, from the first begin; one host's gap is enough."""
    hosts = (
        HostWatch("wf001", (between(-1, 30), between(36, 200)), 0.0),
        HostWatch("wf002", (between(-1, 200),), 0.0),
    )
    records = quiet_watch(hosts=hosts)
    paused = find_stability(records, at_hour(72))

    assert (paused.state, paused.watched_ms, paused.gaps) == (WatchState.WATCHING, 66 * HOUR, (between(30, 36),))
    assert paused.earliest_ms == at_hour(78)
    assert paused.began_ms == START
    assert find_stability(records, at_hour(78)).state is WatchState.STABLE


@pytest.mark.parametrize(("hours", "began_h"), [(12.0, 0), (12.1, 42.1)])
def test_a_gap_of_more_than_twelve_hours_restarts_it(hours: float, began_h: float) -> None:
    """At its end; while it lasts nothing is stable."""
    hosts = (HostWatch("wf001", (between(-1, 30), between(30 + hours, 200)), 0.0),)
    found = find_stability(quiet_watch(hosts=hosts), at_hour(100))
    during = find_stability(quiet_watch(hosts=(HostWatch("wf001", (between(-1, 80),), 0.0),)), at_hour(93))

    assert found.began_ms == at_hour(began_h)
    assert during.state is WatchState.WATCHING
    assert [one.cause for one in during.open] == [Cause.GAP]


@pytest.mark.parametrize("offset_s", [10.0, -3.0, None])
def test_a_clock_that_is_off_is_missing(offset_s: float | None) -> None:
    """Whatever the results say."""
    hosts = (HostWatch("wf001", (between(-1, 200),), offset_s), HostWatch("wf002", (between(-1, 200),), 0.0))
    found = find_stability(quiet_watch(hosts=hosts), at_hour(72))

    assert found.state is WatchState.WATCHING
    assert len(found.missing) == 1
    assert "wf001" in found.missing[0]


def test_a_critical_incident_is_unstable_and_restarts_the_clock_when_it_closes() -> None:
    """UNSTABLE while open, then 72 hours from its close; as of a moment before its close it is open."""
    closed = happened(Cause.INCIDENT_CRITICAL, 40, 50, "I1")
    open_ = find_stability(quiet_watch(disturbances=(still(Cause.INCIDENT_CRITICAL, 40),)), at_hour(72))

    assert open_.state is WatchState.UNSTABLE
    assert judge_stability(open_).verdict is Verdict.FAILED
    assert "a critical incident is open: I1 orders are lost" in judge_stability(open_).text
    assert find_stability(quiet_watch(disturbances=(closed,)), at_hour(45)).state is WatchState.UNSTABLE
    assert find_stability(quiet_watch(disturbances=(closed,)), at_hour(121)).state is WatchState.WATCHING
    assert find_stability(quiet_watch(disturbances=(closed,)), at_hour(122)).state is WatchState.STABLE


def test_an_open_incident_is_unstable_also_where_incidents_do_not_restart_the_clock() -> None:
    """The plan may spare the hours, not the incident."""
    records = quiet_watch(
        disturbances=(still(Cause.INCIDENT_MAJOR, 40),), requirement=Requirement(restarts=(Cause.REBOOT,))
    )

    assert find_stability(records, at_hour(100)).state is WatchState.UNSTABLE


def test_a_limit_that_is_exceeded_is_not_over() -> None:
    """An open episode keeps it from being stable; the earliest moment is 72 hours from now."""
    found = find_stability(quiet_watch(disturbances=(still(Cause.THRESHOLD, 71),)), at_hour(73))

    assert found.state is WatchState.WATCHING
    assert found.earliest_ms == at_hour(73 + 72)
    assert "a limit exceeded for too long is not over" in judge_stability(found).text


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (Verdict.FAILED, WatchState.UNSTABLE),
        (Verdict.UNKNOWN, WatchState.WATCHING),
        (Verdict.PENDING, WatchState.WATCHING),
        (Verdict.NOT_RUN, WatchState.WATCHING),
        (Verdict.WAIVED, WatchState.STABLE),
        (Verdict.PASSED, WatchState.STABLE),
    ],
)
def test_what_the_results_of_blockers_mean(verdict: Verdict, state: WatchState) -> None:
    """A warning never counts; a newer result counts instead of an older one."""
    row = WatchResult("cpu", "wf001", verdict, Severity.BLOCKER, at_hour(71), "why")
    good = good_results(at_hour(1))

    assert find_stability(quiet_watch(results=(*good, row)), at_hour(72)).state is state
    assert (
        find_stability(quiet_watch(results=(*good, replace(row, severity=Severity.WARNING))), at_hour(72)).state
        is WatchState.STABLE
    )
    newer = replace(row, verdict=Verdict.PASSED, at_ms=at_hour(71.5))
    assert find_stability(quiet_watch(results=(newer, *good, row)), at_hour(72)).state is WatchState.STABLE


@pytest.mark.parametrize("key", REQUIRED)
def test_a_required_result_that_is_absent_is_missing(key: str) -> None:
    """Its absence is no pass."""
    rest = tuple(row for row in good_results(at_hour(1)) if row.key != key)
    found = find_stability(quiet_watch(results=rest), at_hour(72))

    assert (found.state, found.missing) == (WatchState.WATCHING, (f"{key} has no result",))


def test_nothing_watched_is_never_stable() -> None:
    """No host, or a host without a sample."""
    assert find_stability(quiet_watch(hosts=()), at_hour(500)).state is WatchState.WATCHING
    assert find_stability(quiet_watch(hosts=(HostWatch("wf001", (), 0.0),)), at_hour(500)).watched_ms == 0


def test_fewer_hours_are_printed_with_their_reason() -> None:
    """As the plan says."""
    need = requirement_of(StabilityRules(hours=24, less_because="a rehearsal"))
    found = find_stability(quiet_watch(requirement=need), at_hour(24))

    assert found.state is WatchState.STABLE
    assert "24.0 of 24 h (fewer than 72 because: a rehearsal)" in judge_stability(found).text
    assert found.record["less_because"] == "a rehearsal"


def test_stable_becomes_stale() -> None:
    """Older than evidence may be; everything else does not age."""
    stable, watching = (find_stability(quiet_watch(), at_hour(hours)) for hours in (72, 71))

    assert aged(stable, at_hour(96), 24).state is WatchState.STABLE
    assert aged(stable, at_hour(96) + 1, 24).state is WatchState.STALE
    assert judge_stability(aged(stable, at_hour(97), 24)).verdict is Verdict.PENDING
    assert aged(watching, at_hour(997), 24).state is WatchState.WATCHING


@pytest.mark.parametrize("seed", range(20))
def test_no_order_and_no_future_changes_the_verdict(seed: int) -> None:
    """As of a moment, the same records in any order, and with anything after it, give the same record."""
    dice = random.Random(seed)
    past = [
        happened(dice.choice(list(Cause)), begin, begin + dice.random() * 5)
        for begin in (dice.random() * 80 for _ in range(6))
    ]
    rows = [
        *good_results(at_hour(1)),
        *(
            WatchResult("cpu", "wf001", dice.choice(list(Verdict)), Severity.BLOCKER, at_hour(hours))
            for hours in (3, 9, 70)
        ),
    ]
    hosts = [HostWatch("wf001", (between(-1, 20), between(22, 100)), 0.0), HostWatch("wf002", (between(-1, 100),), 0.0)]
    records = quiet_watch(disturbances=tuple(past), results=tuple(rows), hosts=tuple(hosts))
    expected = find_stability(records, at_hour(100)).record

    later = happened(Cause.REBOOT, 101)
    future = WatchResult("cpu", "wf001", Verdict.FAILED, Severity.BLOCKER, at_hour(100) + 1)
    longer = [
        replace(one, watched=(*one.watched[:-1], between(22 if one.host == "wf001" else -1, 300))) for one in hosts
    ]
    for each in (past, rows, longer):
        dice.shuffle(each)
    changed = replace(
        records, disturbances=(later, *past), results=(future, *rows), hosts=tuple(longer), moves=records.moves[::-1]
    )

    assert find_stability(changed, at_hour(100)).record == expected
