"""A load test is refused wherever it could do harm, and its record holds what was seen."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.config.inventory import LoadEntry
from engine.config.scope import Scope, build_scope
from engine.errors import InputError, RefusedError
from hosts.local.load import LoadRequest, LoadResult, Sent
from phases.watch.load_test import HostUse, LoadOrder, body_of, profile_of
from tests.fakes.project_files import make_environment, make_inventory, make_plan


def scope_with(*load: dict[str, Any]) -> Scope:
    """Return the small scope, in which redis has this profile."""
    inventory = make_inventory()
    entry = inventory.services["redis"].model_copy(update={"load": tuple(LoadEntry(**one) for one in load)})
    services = {**inventory.services, "redis": entry}
    return build_scope(inventory.model_copy(update={"services": services}), make_plan(), make_environment())


GET = scope_with({"path": "/ping"})
INSIDE = GET.window.starts_at + timedelta(minutes=1)
ORDER = LoadOrder("redis", 10, 5, i_mean_it=True, outside_window="agreed by phone")


def test_the_profile_of_the_inventory_is_sent() -> None:
    """GET, and 200 expected, unless it says otherwise."""
    assert profile_of(GET, ORDER, INSIDE) == (LoadRequest("GET", "/ping", "", 200),)


@pytest.mark.parametrize(
    ("scope", "order", "error", "message"),
    [
        (GET, LoadOrder("redis", 201, 5, i_mean_it=True), InputError, "at most 200 requests a second"),
        (GET, LoadOrder("redis", 10, 601, i_mean_it=True), InputError, "for at most 600 seconds"),
        (GET, LoadOrder("redis", 0, 5, i_mean_it=True), InputError, "more than 0"),
        (GET, LoadOrder("redis", math.nan, 5, i_mean_it=True), InputError, "more than 0"),
        (GET, LoadOrder("mysql", 10, 5, i_mean_it=True), InputError, "not in the inventory"),
        (scope_with(), ORDER, InputError, "services/redis/load of the inventory: none"),
        (GET, LoadOrder("redis", 10, 5), RefusedError, "Expected: --i-mean-it"),
        (GET, LoadOrder("redis", 10, 5, i_mean_it=True), RefusedError, "outside the window"),
        (scope_with({"path": "/x", "method": "POST", "writes": True}), ORDER, RefusedError, "in the lab only"),
    ],
)
def test_what_could_do_harm_is_refused(scope: Scope, order: LoadOrder, error: type[Exception], message: str) -> None:
    """Before anything is sent."""
    with pytest.raises(error, match=message):
        profile_of(scope, order, datetime(2031, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("entry", [{"path": "/x", "method": "POST"}, {"path": "x"}, {"path": "/x", "expect": 99}])
def test_a_profile_that_may_write_says_so(entry: dict[str, Any]) -> None:
    """And its paths are paths."""
    with pytest.raises(ValueError, match="1 validation error"):
        LoadEntry(**entry)


def test_the_record_has_what_was_seen() -> None:
    """Latencies from each request's moment, and what the host used between both looks."""
    result = LoadResult((Sent(0, 0, 0.010), Sent(1, 1, 1.020), Sent(2, 2.5, 3.0, "timeout")), 4.0)
    use = (HostUse(100.0, 5, {"cpu": 1_000_000}), HostUse(106.0, 7, {"cpu": 1_400_000, "io": 3}))
    body = body_of(ORDER, "wf001", 0.004, result, use)

    assert (body["p50_ms"], body["p95_ms"], body["p99_ms"]) == (20.0, 1000.0, 1000.0)
    assert (body["requests"], body["errors"], body["late"], body["wrong"]) == (3, 1, 1, ["timeout"])
    assert (body["cpu_cores"], body["memory_bytes"], body["pressure_percent"]) == (1.5, 7, {"cpu": 10.0})


def test_what_was_not_read_is_not_zero() -> None:
    """A host that did not answer, and a service that never was idle."""
    body = body_of(ORDER, "wf001", math.nan, LoadResult((), 0.0), (HostUse(None, None, {}), HostUse(1.0, 2, {})))
    assert (body["idle_ms"], body["cpu_cores"], body["pressure_percent"]) == (None, None, {})
    assert "p50_ms" not in body
