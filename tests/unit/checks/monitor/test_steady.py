"""A service's container since its commit: health, restarts, OOM kills, exit codes, identity."""

from __future__ import annotations

from array import array
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from checks.monitor.disturbances import (
    BootId,
    ContainerId,
    Ours,
    disturbances_of_boots,
    disturbances_of_breaches,
    disturbances_of_containers,
    disturbances_of_events,
    disturbances_of_incidents,
)
from checks.monitor.steady import (
    Committed,
    ContainerState,
    Counters,
    Steadiness,
    judge_steady,
    watch_container,
)
from engine.verdict import Judgement, Verdict
from engine.watch.causes import Cause
from engine.watch.incidents import Incident, IncidentNote, IncidentSeverity
from engine.watch.model import Interval, Series, WatchEvent
from tests.fakes.soaks import HOUR, MINUTE, at_hour, between

REDIS = Committed("redis", "wf001", "redis", "a" * 64, "sha256:" + "b" * 64)
NOW = ContainerState(at_hour(72) - MINUTE, REDIS.id, REDIS.image_id, "running", "none", 0)
KEY = ("wf001", "redis")
OURS = Ours(frozenset({KEY}))


def event(hours: float, kind: str, container: str = "redis", **body: Any) -> WatchEvent:
    """Return an event of wf001 so many hours after the start."""
    return WatchEvent("wf001", at_hour(hours), kind, container, body)


def judged(
    *events: WatchEvent,
    now: ContainerState | None = NOW,
    counters: Counters | None = None,
    ours: Ours = OURS,
    began_h: float = 0.0,
) -> Judgement:
    """Judge redis after 72 hours."""
    seen = watch_container(REDIS, events, counters or Counters(), ours, at_hour(72))
    return judge_steady(REDIS, now, seen, between(began_h, 72))


def counter(*steps: tuple[float, float]) -> Series:
    """Return a counter's readings, (hours, value)."""
    return Series(array("q", [at_hour(hours) for hours, _ in steps]), array("d", [value for _, value in steps]))


def test_a_container_without_a_health_check_is_not_unhealthy() -> None:
    """Docker says none, or nothing."""
    for health in ("none", ""):
        answer = judged(now=replace(NOW, health=health))
        assert answer.passed
        assert "without a health check; 0 stops and 0 OOM kills in 72.0 h" in answer.text


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"health": "unhealthy"}, "it is unhealthy"),
        ({"state": "exited", "exit_code": 137}, "it is exited, exit code 137"),
        ({"id": "c" * 64}, "it is container cccccccccccc, at the commit it was aaaaaaaaaaaa"),
        ({"image_id": "sha256:" + "d" * 64}, "its image is dddddddddddd, at the commit it was bbbbbbbbbbbb"),
    ],
)
def test_what_is_wrong_now_fails(changed: dict[str, Any], text: str) -> None:
    """With the command that shows more."""
    answer = judged(now=replace(NOW, **changed))

    assert answer.verdict is Verdict.FAILED
    assert text in answer.text
    assert "ssh wf001 docker logs --tail 100 redis" in answer.text


def test_a_stop_since_the_clock_began_fails_with_its_exit_code() -> None:
    """One at the begin itself restarted the clock and is past."""
    stop = event(10, "die", exitCode="1")

    failed = judged(stop)
    assert failed.verdict is Verdict.FAILED
    assert "it stopped 1 times since the clock began; exit codes 1" in failed.text
    assert failed.details == ("stopped or restarted at 2026-12-07 13:00 UTC",)
    assert judged(stop, began_h=10).passed


def test_a_restart_loop_fails_although_each_restart_begins_the_clock_anew() -> None:
    """Three stops in 24 hours."""
    loop = [event(71 + step / 10, "die", exitCode="137") for step in range(3)]

    assert "it stopped 3 times in the last 24 h; exit codes 137" in judged(*loop, began_h=71.2).text
    assert judged(*loop[:2], began_h=71.1).passed


def test_an_oom_kill_fails() -> None:
    """By its event or by the counter; the same one is counted once."""
    by_both = judged(event(10, "oom"), counters=Counters(oom_kills=counter((9, 0), (10.01, 1), (20, 1))))
    by_counter = judged(counters=Counters(oom_kills=counter((9, 0), (10, 2))))

    assert "1 OOM kills since the clock began" in by_both.text
    assert "2 OOM kills" in by_counter.text
    assert by_both.verdict is by_counter.verdict is Verdict.FAILED


def test_restarts_are_counted_when_events_were_lost() -> None:
    """RestartCount went from 2 to 4: two stops, one of which an event names; a new container counts from 0."""
    counters = Counters(counter((1, 2), (10, 4), (11, 4)))

    assert judged(event(10, "die"), counters=counters).measured["stops_since"] == 2
    assert judged(counters=Counters(counter((1, 5), (10, 0), (11, 1)))).measured["stops_since"] == 1


def test_what_longshore_did_is_no_stop() -> None:
    """An action on record on this container, and only then."""
    ours = replace(OURS, actions={KEY: (Interval(at_hour(10) - MINUTE, at_hour(10) + MINUTE),)})
    other = replace(OURS, actions={("wf001", "n8n"): (between(0, 72),)})

    assert judged(event(10, "die"), ours=ours).passed
    assert judged(event(10, "die"), ours=other).verdict is Verdict.FAILED
    assert judged(event(10.2, "die"), ours=ours).verdict is Verdict.FAILED


def test_an_hour_unhealthy_of_the_last_day_fails() -> None:
    """Docker's words in both forms; yesterday's is past, and half an hour is not an hour."""

    def unhealthy(from_h: float, minutes: float) -> list[WatchEvent]:
        return [
            event(from_h, "health_status: unhealthy"),
            event(from_h + minutes / 60, "health_status", health_status="healthy"),
        ]

    healthy = replace(NOW, health="healthy")
    assert "it was unhealthy for 61 min of the last 24 h" in judged(*unhealthy(60, 61), now=healthy).text
    assert judged(*unhealthy(60, 59), now=healthy).passed
    assert judged(*unhealthy(40, 400), now=healthy).passed


def test_nothing_after_the_moment_counts() -> None:
    """And what was not read lately is unknown."""
    later = [event(72.1, "die", exitCode="1"), event(72.2, "oom"), event(72.3, "health_status: unhealthy")]
    counters = Counters(counter((1, 0), (72.5, 1)), counter((1, 0), (72.5, 1)))
    assert watch_container(REDIS, later, counters, OURS, at_hour(72)) == Steadiness()
    assert judged(*later).passed
    assert judged(now=None).verdict is Verdict.UNKNOWN
    assert judged(now=replace(NOW, at_ms=at_hour(71))).verdict is Verdict.UNKNOWN


def test_events_become_causes() -> None:
    """Of our containers and hosts those that restart the clock; of others a note; ours by our action nothing."""
    ours = replace(OURS, actions={KEY: (Interval(at_hour(5), at_hour(5)),)})
    events = [
        event(1, "reboot", ""),
        event(2, "engine_restart", ""),
        event(3, "oom"),
        event(4, "die", exitCode="137"),
        event(5, "die"),
        event(6, "destroy"),
        event(7, "die", "stranger"),
        event(8, "start"),
    ]

    assert [(one.cause, one.where) for one in disturbances_of_events(reversed(events), ours)] == [
        (Cause.REBOOT, "wf001"),
        (Cause.ENGINE_RESTART, "wf001"),
        (Cause.OOM_KILL, "wf001/redis"),
        (Cause.CONTAINER_DIED, "wf001/redis"),
        (Cause.CONTAINER_CHANGED, "wf001/redis"),
        (Cause.OTHER_CONTAINER, "wf001/stranger"),
    ]


def test_another_boot_id_is_a_reboot() -> None:
    """At the moment at which it was first read, on that host only."""
    boots = [BootId("wf001", at_hour(3), "b"), BootId("wf001", at_hour(1), "a"), BootId("wf002", at_hour(2), "c")]

    assert [(one.cause, one.where, one.to_ms) for one in disturbances_of_boots(boots)] == [
        (Cause.REBOOT, "wf001", at_hour(3))
    ]


def test_another_container_is_a_change_unless_we_made_it() -> None:
    """By id or image; an action between the two looks explains it."""
    ids = [
        ContainerId(*KEY, at_hour(1), "a", "i"),
        ContainerId(*KEY, at_hour(2), "a", "i"),
        ContainerId(*KEY, at_hour(3), "b", "i"),
        ContainerId(*KEY, at_hour(4), "c", "j"),
        ContainerId("wf001", "stranger", at_hour(1), "x", "i"),
        ContainerId("wf001", "stranger", at_hour(2), "y", "i"),
    ]
    found = disturbances_of_containers(ids, OURS)
    explained = replace(OURS, actions={KEY: (Interval(at_hour(2.5), at_hour(2.6)),)})

    assert [(one.from_ms, one.text) for one in found] == [
        (at_hour(3), "another container of the same image"),
        (at_hour(4), "another image"),
    ]
    assert [one.from_ms for one in disturbances_of_containers(ids, explained)] == [at_hour(4)]


def test_a_breach_that_reaches_the_moment_lasts() -> None:
    """It ends once a bin below the limit has followed."""
    one = Interval(at_hour(1), at_hour(2))

    assert [d.to_ms for d in disturbances_of_breaches("wf001", [one], at_hour(2) + 14 * MINUTE)] == [None]
    assert [d.to_ms for d in disturbances_of_breaches("wf001", [one], at_hour(2) + HOUR)] == [at_hour(2)]
    assert disturbances_of_breaches("wf001", [one], at_hour(0.5)) == ()


def test_incidents_disturb_from_their_begin_to_their_close() -> None:
    """By their severity; one that nobody closed lasts."""
    began, ended = (datetime.fromtimestamp(at_hour(hours) / 1000, UTC) for hours in (1, 2))
    note = IncidentNote(ended, "ana@example.org", "fixed")
    incidents = [
        Incident("I1", began, IncidentSeverity.CRITICAL, "redis", "orders are lost", "ana@example.org", closed=note),
        Incident("I2", ended, IncidentSeverity.MINOR, "redis", "slow", "ana@example.org"),
        Incident("I3", ended, IncidentSeverity.MAJOR, "redis", "slower", "ana@example.org"),
    ]

    assert [(one.cause, one.from_ms, one.to_ms, one.where) for one in disturbances_of_incidents(incidents)] == [
        (Cause.INCIDENT_CRITICAL, at_hour(1), at_hour(2), "I1"),
        (Cause.INCIDENT_MINOR, at_hour(2), None, "I2"),
        (Cause.INCIDENT_MAJOR, at_hour(2), None, "I3"),
    ]
