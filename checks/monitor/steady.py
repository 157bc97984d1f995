"""Did a container keep running: health, restarts, OOM kills, exit codes, and whether it is the one that was moved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from checks.monitor.disturbances import DIED, Ours, exit_code_of
from checks.monitor.intervals import length_ms, merged, within
from checks.monitor.times import DAY_MS, HOUR_MS, MINUTE_MS, moment
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed, unknown
from engine.watch.model import Interval, Series, WatchEvent

LOOP: Final = 3
"""So many restarts in 24 hours are a loop, also when each of them restarted the clock."""
LONGEST_UNHEALTHY_MS: Final = HOUR_MS
OLDEST_STATE_MS: Final = 15 * MINUTE_MS
SHOWN: Final = 20
NEAR_MS: Final = 2 * MINUTE_MS
"""A counter is read at most once a minute: its increase and the event of it are that far apart."""
UNHEALTHY: Final = "unhealthy"
ENDS: Final = frozenset({DIED, "destroy", "start"})
NO_HEALTH_CHECK: Final = frozenset({"", "none"})


@dataclass(frozen=True)
class ContainerState:
    """A container as it was last read. `health` is Docker's word; "" or "none" without a health check."""

    at_ms: int
    id: str
    image_id: str
    state: str
    health: str
    exit_code: int


@dataclass(frozen=True)
class Committed:
    """The container that a move left on its target: host, name, its id and its image's id at the commit."""

    service: str
    host: str
    container: str
    id: str
    image_id: str


@dataclass(frozen=True)
class Counters:
    """The series of a container's RESTARTS and OOM_KILLS."""

    restarts: Series = field(default_factory=Series)
    oom_kills: Series = field(default_factory=Series)


@dataclass(frozen=True)
class Steadiness:
    """What a container did, as moments of its stops without an action of ours and of its OOM kills, the exit codes of
    those stops, and the times in which it was unhealthy.
    """

    stops_ms: tuple[int, ...] = ()
    oom_ms: tuple[int, ...] = ()
    exit_codes: tuple[tuple[int, int], ...] = ()
    """Each with its moment before it."""
    unhealthy: tuple[Interval, ...] = ()


def watch_container(
    committed: Committed, events: Iterable[WatchEvent], counters: Counters, ours: Ours, at_ms: int
) -> Steadiness:
    """Return what events and the engine's counters say of a container up to a moment; nothing after it counts.

    Events can be lost: an increase of a counter that no event explains counts as well. Health that no event mentions
    is none.
    """
    mine = sorted(
        (
            event
            for event in events
            if (event.host, event.container) == (committed.host, committed.container) and event.at_ms <= at_ms
        ),
        key=lambda event: (event.at_ms, event.kind),
    )
    died = [
        event for event in mine if event.kind == DIED and not ours.did(committed.host, committed.container, event.at_ms)
    ]
    restarts = [
        at for at in _increases(counters.restarts, at_ms) if not ours.did(committed.host, committed.container, at)
    ]
    kills = [event.at_ms for event in mine if event.kind == "oom"]
    return Steadiness(
        _with_unexplained([event.at_ms for event in died], restarts),
        _with_unexplained(kills, _increases(counters.oom_kills, at_ms)),
        tuple((event.at_ms, code) for event in died if (code := exit_code_of(event)) is not None),
        merged(_unhealthy(mine, at_ms)),
    )


def _with_unexplained(events: list[int], counted: list[int]) -> tuple[int, ...]:
    """Return moments of events, and those of a counter's increases that have no event of their own near them."""
    left = list(events)
    found = list(events)
    for at in counted:
        near = next((one for one in left if abs(one - at) <= NEAR_MS), None)
        if near is None:
            found.append(at)
        else:
            left.remove(near)
    return tuple(sorted(found))


def _increases(series: Series, at_ms: int) -> list[int]:
    """Return a moment for each restart that a counter shows; one that begins again counts from 0."""
    found: list[int] = []
    last: float | None = None
    for at, value in sorted(zip(series.at_ms, series.values, strict=True)):
        if at > at_ms:
            break
        if last is not None and value != last:
            found += [at] * int(value - last if value > last else value)
        last = value
    return found


def _unhealthy(events: list[WatchEvent], at_ms: int) -> Iterable[Interval]:
    """Yield the times from "unhealthy" to the next other word, or to the container's end."""
    since: int | None = None
    for event in events:
        is_health = event.kind.startswith("health_status")
        if is_health and _word(event) == UNHEALTHY:
            since = event.at_ms if since is None else since
        elif since is not None and (is_health or event.kind in ENDS):
            yield Interval(since, event.at_ms)
            since = None
    if since is not None:
        yield Interval(since, at_ms)


def _word(event: WatchEvent) -> str:
    """Return the health of an event: Docker writes "health_status: unhealthy" as its action."""
    _, _, word = event.kind.partition(":")
    return word.strip() or str(event.body.get("health_status") or event.body.get("status") or "")


def judge_steady(committed: Committed, now: ContainerState | None, seen: Steadiness, since: Interval) -> Judgement:
    """Judge whether a service's container kept running since the clock began, `since.from_ms` to `since.to_ms`.

    It is FAILED for what is so now (not running, unhealthy, another container), for a restart, an OOM kill or an exit
    code since the clock began, for three restarts or an hour unhealthy in the last 24 h. Without a health check there
    is no health to judge.
    """
    if now is None or since.to_ms - now.at_ms > OLDEST_STATE_MS:
        return unknown(
            say(
                "{service}: {container} on {host} was not read in the last 15 minutes. Expected: its state. "
                "Try: ssh {host} docker inspect {container}",
                service=committed.service,
                container=committed.container,
                host=committed.host,
            )
        )
    problems = [*_problems_now(committed, now), *_problems_since(seen, since)]
    lines = tuple(say("stopped or restarted at {at}", at=moment(at)) for at in seen.stops_ms[-SHOWN:])
    stops, kills = _since(seen.stops_ms, since), _since(seen.oom_ms, since)
    figures = {
        "stops_since": len(stops),
        "stops_24h": len(_since(seen.stops_ms, _last_day(since))),
        "oom_kills_since": len(kills),
        "unhealthy_minutes": round(length_ms(seen.unhealthy) / MINUTE_MS, 1),
    }
    if problems:
        return failed(
            say(
                "{service}: {problems}. Expected: the container of the commit, running without a restart. "
                "Try: ssh {host} docker logs --tail 100 {container}",
                service=committed.service,
                problems=joined("; ", problems),
                host=committed.host,
                container=committed.container,
            ),
            lines,
            **figures,
        )
    return passed(
        say(
            "{service}: {container} on {host} is the container of the commit and runs, {health}; {stops} stops "
            "and {kills} OOM kills in {hours:.1f} h",
            service=committed.service,
            container=committed.container,
            host=committed.host,
            health=say("without a health check") if now.health in NO_HEALTH_CHECK else now.health,
            stops=len(stops),
            kills=len(kills),
            hours=since.length_ms / HOUR_MS,
        ),
        lines,
        **figures,
    )


def _problems_now(committed: Committed, now: ContainerState) -> Iterable[str]:
    if now.state != "running":
        yield say("it is {state}, exit code {code}", state=now.state, code=now.exit_code)
    if now.health == UNHEALTHY:
        yield say("it is unhealthy")
    if now.id != committed.id:
        yield say("it is container {id}, at the commit it was {old}", id=now.id[:12], old=committed.id[:12])
    if now.image_id != committed.image_id:
        yield say(
            "its image is {id}, at the commit it was {old}", id=_short(now.image_id), old=_short(committed.image_id)
        )


def _problems_since(seen: Steadiness, since: Interval) -> Iterable[str]:
    day = _last_day(since)
    stops, stops_of_day, kills = _since(seen.stops_ms, since), _since(seen.stops_ms, day), _since(seen.oom_ms, since)
    is_loop = len(stops_of_day) >= LOOP
    if stops:
        yield say("it stopped {count} times since the clock began", count=len(stops))
    if is_loop:
        yield say("it stopped {count} times in the last 24 h", count=len(stops_of_day))
    counted = {*stops, *(stops_of_day if is_loop else ())}
    codes = sorted({code for at, code in seen.exit_codes if at in counted})
    if codes:
        yield say("exit codes {codes}", codes=", ".join(map(str, codes)))
    if kills:
        yield say("{count} OOM kills since the clock began", count=len(kills))
    unhealthy = length_ms(within(seen.unhealthy, day))
    if unhealthy >= LONGEST_UNHEALTHY_MS:
        yield say("it was unhealthy for {minutes:.0f} min of the last 24 h", minutes=unhealthy / MINUTE_MS)


def _since(moments: Iterable[int], since: Interval) -> list[int]:
    """Return the moments after the begin of a time; one that restarted the clock is its begin."""
    return [at for at in moments if since.from_ms < at <= since.to_ms]


def _last_day(since: Interval) -> Interval:
    return Interval(since.to_ms - DAY_MS, since.to_ms)


def _short(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:12]
