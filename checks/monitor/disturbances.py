"""What happened on the hosts while they were watched, as causes that may restart the clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from checks.monitor.times import MINUTE_MS, milliseconds
from engine.finding import say
from engine.watch.causes import Cause
from engine.watch.incidents import Incident, IncidentSeverity
from engine.watch.model import Interval, WatchEvent

OWN_SLACK_MS: Final = 2 * MINUTE_MS
"""An event this close to an action of ours on the same container belongs to it: hosts' clocks are up to 2 s off, and
Docker takes its time to stop a container.
"""
LASTS_MS: Final = 15 * MINUTE_MS
"""An episode that ended less than one bin ago may still last."""
DIED: Final = "die"
KINDS: Final = {
    DIED: Cause.CONTAINER_DIED,
    "restart": Cause.CONTAINER_RESTARTED,
    "oom": Cause.OOM_KILL,
    "destroy": Cause.CONTAINER_CHANGED,
}


@dataclass(frozen=True)
class Disturbance:
    """Something that may restart the clock, when it ends; times in milliseconds of the Unix epoch.

    `to_ms` is None while it lasts. `where` is a host, "host/container", or the id of an incident.
    """

    cause: Cause
    from_ms: int
    to_ms: int | None
    where: str
    text: str = ""

    def as_of(self, at_ms: int) -> Disturbance | None:
        """Return what was known of it at a moment: nothing before it began, no end before it ended."""
        if self.from_ms > at_ms:
            return None
        if self.to_ms is None or self.to_ms <= at_ms:
            return self
        return Disturbance(self.cause, self.from_ms, None, self.where, self.text)


class BootId(NamedTuple):
    """The boot id of a host (/proc/sys/kernel/random/boot_id), as it was read at a moment."""

    host: str
    at_ms: int
    boot_id: str


class ContainerId(NamedTuple):
    """Which container had a name on a host at a moment: its id, and the id of its image."""

    host: str
    container: str
    at_ms: int
    id: str
    image_id: str


@dataclass(frozen=True)
class Ours:
    """What the plan is about: its containers, as (host, name), and when longshore itself changed each of them."""

    containers: frozenset[tuple[str, str]]
    actions: Mapping[tuple[str, str], tuple[Interval, ...]] = field(default_factory=dict)

    def did(self, host: str, container: str, at_ms: int) -> bool:
        """Return whether an event on a container is of an action on record."""
        return any(
            one.from_ms - OWN_SLACK_MS <= at_ms <= one.to_ms + OWN_SLACK_MS
            for one in self.actions.get((host, container), ())
        )


def disturbances_of_events(events: Iterable[WatchEvent], ours: Ours) -> tuple[Disturbance, ...]:
    """Return what the events of engines and hosts say, in the order of time.

    A container of ours that stopped, was restarted or removed by an action on record is no disturbance; a process that
    the kernel killed for its memory always is. Of a container outside the plan only its stops are noted.
    """
    return tuple(sorted(_of_events(events, ours), key=_order))


def _of_events(events: Iterable[WatchEvent], ours: Ours) -> Iterator[Disturbance]:
    for event in events:
        if event.kind == "reboot":
            yield Disturbance(Cause.REBOOT, event.at_ms, event.at_ms, event.host)
        elif event.kind == "engine_restart":
            yield Disturbance(Cause.ENGINE_RESTART, event.at_ms, event.at_ms, event.host)
        elif event.kind in KINDS:
            yield from _of_container(event, ours)


def _of_container(event: WatchEvent, ours: Ours) -> Iterator[Disturbance]:
    where = f"{event.host}/{event.container}"
    if (event.host, event.container) not in ours.containers:
        if event.kind in {DIED, "oom"}:
            yield Disturbance(Cause.OTHER_CONTAINER, event.at_ms, event.at_ms, where)
        return
    if event.kind == "oom" or not ours.did(event.host, event.container, event.at_ms):
        yield Disturbance(KINDS[event.kind], event.at_ms, event.at_ms, where, _exit_text(event))


def _exit_text(event: WatchEvent) -> str:
    code = exit_code_of(event)
    return "" if code is None else say("exit code {code}", code=code)


def exit_code_of(event: WatchEvent) -> int | None:
    """Return the exit code that Docker gives with `die`, None where it gives none."""
    code = str(event.body.get("exitCode", event.body.get("exit_code", "")))
    return int(code) if code.isdecimal() else None


def disturbances_of_boots(boots: Iterable[BootId]) -> tuple[Disturbance, ...]:
    """Return the reboots that another boot id shows, each at the moment at which it was first read."""
    found = []
    for one, other in pairwise(sorted(boots)):
        if one.host == other.host and one.boot_id != other.boot_id:
            found.append(Disturbance(Cause.REBOOT, other.at_ms, other.at_ms, other.host, say("another boot id")))
    return tuple(sorted(found, key=_order))


def disturbances_of_containers(ids: Iterable[ContainerId], ours: Ours) -> tuple[Disturbance, ...]:
    """Return the containers of ours that became others, each at the moment at which that was first seen.

    An action on record between the two moments explains it.
    """
    found = []
    for one, other in pairwise(sorted(ids)):
        key = (other.host, other.container)
        if (one.host, one.container) != key or key not in ours.containers:
            continue
        if (one.id, one.image_id) == (other.id, other.image_id):
            continue
        actions = ours.actions.get(key, ())
        if any(one.at_ms - OWN_SLACK_MS <= action.to_ms and action.from_ms <= other.at_ms for action in actions):
            continue
        what = say("another image") if one.image_id != other.image_id else say("another container of the same image")
        found.append(Disturbance(Cause.CONTAINER_CHANGED, other.at_ms, other.at_ms, "/".join(key), what))
    return tuple(sorted(found, key=_order))


def disturbances_of_breaches(host: str, breaches: Iterable[Interval], at_ms: int) -> tuple[Disturbance, ...]:
    """Return the episodes that made a check of a host's limits fail (Exceedances.breaches), as of a moment.

    One that reaches the moment has not ended.
    """
    return tuple(
        Disturbance(Cause.THRESHOLD, one.from_ms, one.to_ms if one.to_ms <= at_ms - LASTS_MS else None, host)
        for one in breaches
        if one.from_ms <= at_ms
    )


def _order(one: Disturbance) -> tuple[int, str, str]:
    return one.from_ms, one.where, one.cause.value


def disturbances_of_incidents(incidents: Iterable[Incident]) -> tuple[Disturbance, ...]:
    """Return incidents as disturbances, from their begin to their close."""
    causes = {
        IncidentSeverity.CRITICAL: Cause.INCIDENT_CRITICAL,
        IncidentSeverity.MAJOR: Cause.INCIDENT_MAJOR,
        IncidentSeverity.MINOR: Cause.INCIDENT_MINOR,
    }
    found = [
        Disturbance(
            causes[one.severity],
            milliseconds(one.at),
            milliseconds(one.closed.at) if one.closed else None,
            one.id,
            one.text,
        )
        for one in incidents
    ]
    return tuple(sorted(found, key=_order))
