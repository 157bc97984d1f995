"""Load test of a moved service: refused where it could do harm, sent at a fixed rate, recorded with what its host used
meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from engine.command_line import LAB
from engine.config.scope import Scope
from engine.contracts.host import Host
from engine.errors import InputError, NotObservedError, RefusedError
from engine.finding import say
from engine.journal.journal import Journal, Run
from engine.journal.kinds import RecordKind
from hosts.facts.usage import read_load
from hosts.local.load import LoadRequest, LoadResult

MOST_RATE: Final = 200.0
LONGEST_S: Final = 600.0
LOOK_S: Final = 30.0
PRESSURE: Final = tuple(f"/proc/pressure/{name}" for name in ("cpu", "memory", "io"))


@dataclass(frozen=True)
class LoadOrder:
    """What a person asks for."""

    service: str
    rate: float
    seconds: float
    i_mean_it: bool = False
    outside_window: str | None = None


def profile_of(scope: Scope, order: LoadOrder, now: datetime) -> tuple[LoadRequest, ...]:
    """Return the requests to send; raises InputError or RefusedError, before anything is sent, for what may not be."""
    entry, lab = scope.services.get(order.service), scope.environment.environment == LAB
    if entry is None:
        raise InputError(
            say(
                "load: --service {service}: not in the inventory. Expected: one of {services}",
                service=order.service,
                services=", ".join(sorted(scope.services)),
            )
        )
    if not 0 < order.rate <= MOST_RATE or not 0 < order.seconds <= LONGEST_S:
        raise InputError(
            say(
                "load: --rate {rate:g} --seconds {seconds:g}. Expected: more than 0 and at most {most:g} requests a "
                "second, for at most {longest:g} seconds",
                rate=order.rate,
                seconds=order.seconds,
                most=MOST_RATE,
                longest=LONGEST_S,
            )
        )
    if not entry.load:
        raise InputError(
            say(
                "load: services/{service}/load of the inventory: none. Expected: at least one request, e.g. "
                "load: [{{path: /healthz}}]",
                service=order.service,
            )
        )
    writing = [one.path for one in entry.load if one.writes]
    if writing and not lab:
        raise RefusedError(
            say(
                "load: {service}: {paths} write. Expected: such requests are sent in the lab only",
                service=order.service,
                paths=", ".join(writing),
            )
        )
    if not lab:
        _need_leave(scope, order, now)
    return tuple(LoadRequest(one.method, one.path, one.body, one.expect) for one in entry.load)


def _need_leave(scope: Scope, order: LoadOrder, now: datetime) -> None:
    if not order.i_mean_it:
        raise RefusedError(
            say(
                "load: {environment} serves people. Expected: --i-mean-it, once its teams know of it",
                environment=scope.environment.environment,
            )
        )
    window = scope.window
    inside = window.status == "agreed" and window.starts_at <= now < window.ends_at
    if not inside and not order.outside_window:
        raise RefusedError(
            say(
                'load: outside the window of {start} to {end}. To send it all the same: --outside-window "reason"',
                start=f"{window.starts_at:%Y-%m-%d %H:%M}",
                end=f"{window.ends_at:%Y-%m-%d %H:%M %z}",
            )
        )


@dataclass(frozen=True)
class HostUse:
    """What the host of a service used: processor-seconds since its start, memory that is not available in bytes, and
    the microseconds in which some task waited for the processor, memory or IO (/proc/pressure; absent: not counted).
    """

    cpu_s: float | None
    memory_bytes: int | None
    pressure_us: Mapping[str, int]


def read_use(host: Host) -> HostUse:
    """Return what a host uses now; what cannot be read is absent."""
    try:
        usage = read_load(host)[""]
        shown = host.run(["grep", "-H", "^some", *PRESSURE], timeout_s=LOOK_S)
    except NotObservedError:
        return HostUse(None, None, {})
    found = {}
    for line in shown.text.splitlines():
        name, _, rest = line.partition(":")
        total = rest.rpartition("total=")[2]
        if total.isdigit():
            found[name.rpartition("/")[2]] = int(total)
    return HostUse(usage.cpu_s, usage.memory_bytes, found)


def body_of(
    order: LoadOrder, host: str, idle_s: float, result: LoadResult, use: tuple[HostUse, HostUse]
) -> dict[str, Any]:
    """Return what the journal keeps of a test; latencies in milliseconds, from each request's own moment."""
    before, after = use
    known = before.cpu_s is not None and after.cpu_s is not None and result.seconds > 0
    return {
        "host": host,
        "rate_asked": order.rate,
        "seconds_asked": order.seconds,
        "outside_window": order.outside_window or "",
        "requests": len(result.sent),
        "rate": round(result.rate, 2),
        "seconds": round(result.seconds, 2),
        "late": result.late,
        "errors": result.errors,
        "wrong": sorted({one.wrong for one in result.sent if one.wrong})[:5],
        "idle_ms": None if math.isnan(idle_s) else round(idle_s * 1000, 1),
        **{f"p{percent}_ms": round(result.percentile_s(percent) * 1000, 1) for percent in (50, 95, 99) if result.sent},
        "stopped": result.stopped,
        "cpu_cores": round(((after.cpu_s or 0) - (before.cpu_s or 0)) / result.seconds, 2) if known else None,
        "memory_bytes": after.memory_bytes,
        "pressure_percent": {
            name: round((after.pressure_us[name] - us) / result.seconds / 10_000, 1)
            for name, us in before.pressure_us.items()
            if name in after.pressure_us and result.seconds > 0
        },
    }


def record_test(run: Run, service: str, body: Mapping[str, Any]) -> None:
    """Write a test into the journal."""
    run.record(RecordKind.LOAD_TEST, service=service, key=str(body["host"]), body=body)


def last_tests(journal: Journal, service: str, until: datetime | None = None) -> dict[str, Mapping[str, Any]]:
    """Return the newest test of a service on each host, by host; `until` leaves out what was recorded later."""
    return {
        str(record.key): {**record.body, "at": record.at}
        for record in journal.records(kind=RecordKind.LOAD_TEST, service=service)
        if until is None or datetime.fromisoformat(record.at) <= until
    }
