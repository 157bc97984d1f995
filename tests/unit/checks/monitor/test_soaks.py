"""Soaks from samples to the verdict: each fault ends in the right state, the same soak without it is stable."""

from __future__ import annotations

from array import array
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.monitor.comparison import compare_hours
from checks.monitor.coverage import HostWatch
from checks.monitor.disturbances import Ours, disturbances_of_breaches, disturbances_of_events
from checks.monitor.episodes import LASTING, find_exceedances, judge_threshold
from checks.monitor.growth import find_growth, judge_growth
from checks.monitor.hours import Of, hourly_values
from checks.monitor.intervals import watched_from
from checks.monitor.stability import Stability, WatchResult, WatchState, find_stability
from checks.monitor.steady import Committed, ContainerState, Counters, judge_steady, watch_container
from engine.verdict import Severity
from engine.watch.causes import Cause
from engine.watch.model import Interval, Metric, Series, WatchEvent
from tests.fakes.soaks import (
    DAY,
    HOUR,
    START,
    ZONE,
    at_hour,
    between,
    good_results,
    hourly,
    plateau,
    quiet_watch,
    series_of,
)

OURS = Ours(frozenset({("wf001", "redis")}))
REDIS = Committed("redis", "wf001", "redis", "a", "i")
CALM = series_of(lambda h: 30 + 5 * np.sin(h), 72)


def soaked(cpu: Series, *events: WatchEvent, memory: Series = CALM, at_h: float = 72) -> Stability:
    """Return the state of a watch whose only target had these samples and events."""
    at_ms = at_hour(at_h)
    host = HostWatch("wf001", watched_from(cpu.at_ms, 15), 0.0)
    found = find_exceedances(cpu, Interval(START, at_ms), limit=70, rule=LASTING, period_s=15)
    happened = (
        *disturbances_of_breaches("wf001", found.breaches, at_ms),
        *disturbances_of_events(events, OURS),
    )
    records = quiet_watch(hosts=(host,), disturbances=happened, results=())
    clock = find_stability(records, at_ms)
    since = Interval(clock.began_ms or START, at_ms)
    state = ContainerState(at_ms, "a", "i", "running", "none", 0)
    answers = {
        "cpu": judge_threshold("wf001", "CPU use", find_exceedances(cpu, since, limit=70, rule=LASTING, period_s=15)),
        "container-steady": judge_steady(REDIS, state, watch_container(REDIS, events, Counters(), OURS, at_ms), since),
        "growth": judge_growth(
            "wf001",
            "memory",
            Metric.MEMORY_PERCENT,
            find_growth(hourly_values(memory, Interval(START, at_ms), 15, Of.LEAST), 80, ZONE, Of.LEAST),
            limit=80,
            within_days=14,
        ),
    }
    rows = tuple(
        WatchResult(key, "wf001", one.verdict, Severity.BLOCKER, at_ms, one.text) for key, one in answers.items()
    )
    return find_stability(replace(records, results=(*good_results(START), *rows)), at_ms)


def test_the_soak_without_a_fault_is_stable() -> None:
    """What all others are compared with."""
    assert soaked(CALM).state is WatchState.STABLE


def test_a_plateau_of_65_minutes_begins_the_hours_anew_at_its_end() -> None:
    """And one of 45 does not."""
    long, short = soaked(plateau(65)), soaked(plateau(45))

    assert (long.state, long.began_ms, long.causes[0].cause) == (WatchState.WATCHING, at_hour(11), Cause.THRESHOLD)
    assert short.state is WatchState.STABLE


def test_a_plateau_that_lasts_is_unstable() -> None:
    """Its figure is in the verdict."""
    found = soaked(plateau(90, 70.5))

    assert found.state is WatchState.UNSTABLE
    assert "360 of 17,280 samples above 70 %" in found.wrong[0]


def test_a_leak_of_two_and_a_half_points_a_day_is_unstable() -> None:
    """With the days until the limit, from 3 days of data; a warm cache is none."""
    noise = np.random.default_rng(7).normal(0, 0.3, 72 * 240)
    leak = soaked(CALM, memory=series_of(lambda h: 62 + 2.5 * h / 24 + noise, 72))
    warm = soaked(CALM, memory=series_of(lambda h: 60 - 20 * np.exp(-h / 6) + noise, 72))

    assert leak.state is WatchState.UNSTABLE
    assert "(from 3.0 days of data)" in leak.wrong[0]
    assert warm.state is WatchState.STABLE


def test_a_gap_of_six_hours_is_not_watched() -> None:
    """The clock pauses."""
    whole = series_of(lambda h: 0 * h + 30.0, 78)
    kept = [at for at in whole.at_ms if not at_hour(20) <= at < at_hour(26)]
    gap = Series(array("q", kept), array("d", [30.0] * len(kept)))

    assert soaked(gap, at_h=72).watched_ms == pytest.approx(66 * HOUR, abs=15_000)
    assert soaked(gap, at_h=72).state is WatchState.WATCHING
    assert soaked(gap, at_h=78).state is WatchState.STABLE
    assert soaked(gap, at_h=78).began_ms == START


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (WatchEvent("wf001", at_hour(60), "reboot"), Cause.REBOOT),
        (WatchEvent("wf001", at_hour(60), "oom", "redis"), Cause.OOM_KILL),
        (WatchEvent("wf001", at_hour(60), "die", "redis"), Cause.CONTAINER_DIED),
    ],
)
def test_what_happens_at_hour_60_begins_the_72_hours_anew(event: WatchEvent, cause: Cause) -> None:
    """A reboot, an OOM kill, a container that died."""
    found = soaked(CALM, event)

    assert (found.state, found.began_ms, found.causes[0].cause) == (WatchState.WATCHING, at_hour(60), cause)


def test_a_restart_loop_is_unstable() -> None:
    """Each restart begins the hours anew, and the loop is named with its figure."""
    loop = [WatchEvent("wf001", at_hour(71) + step * 60_000, "die", "redis", {"exitCode": "1"}) for step in range(6)]
    found = soaked(CALM, *loop)

    assert found.state is WatchState.UNSTABLE
    assert "it stopped 6 times in the last 24 h; exit codes 1" in found.wrong[0]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(30, 70))
def test_judging_depends_on_no_order_and_no_future(seed: int, hours: int) -> None:
    """Samples in any order, twice, and samples after the moment: the same answers from each judge."""
    random = np.random.default_rng(seed)
    values = 60 + 15 * random.random() * np.sin(np.arange(72 * 12) / 40) + random.normal(0, 5, 72 * 12)
    at = START + 300_000 * np.arange(72 * 12)
    before = hourly(random.normal(60, 5, 240), START - 12 * DAY)
    known = at < at_hour(hours)
    mixed = random.permutation(np.concatenate((np.arange(at.size), np.flatnonzero(random.random(at.size) < 0.1))))
    straight = Series(array("q", at[known].tolist()), array("d", values[known].tolist()))
    shuffled = Series(array("q", at[mixed].tolist()), array("d", values[mixed].tolist()))

    def judged(series: Series) -> tuple[object, ...]:
        until = between(0, hours)
        medians = hourly_values(series, until, 300, Of.MEDIAN)
        found = find_exceedances(series, until, limit=70, rule=LASTING, period_s=300)
        return (
            found,
            judge_threshold("wf001", "CPU use", found),
            repr(compare_hours(before, medians, zone=ZONE, floor=5.0)),
            repr(find_growth(hourly_values(series, until, 300, Of.LEAST), 80, ZONE, Of.LEAST)),
        )

    assert judged(shuffled) == judged(straight)
