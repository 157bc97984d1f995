"""The lab's products: seeds that do not vary, a Caddyfile for what is there, and a stand-in that speaks its part of
LogQL.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from lab.products import caddy, loki, minio, rabbitmq
from lab.settings import SERVICES, STAND_INS

LAB = Path(__file__).parents[4] / "lab"


@pytest.fixture
def logql(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the stand-in's own module, from its image's folder."""
    monkeypatch.syspath_prepend(str(LAB / "images" / "loki"))
    sys.modules.pop("logql", None)
    return __import__("logql")


def test_lines_do_not_vary() -> None:
    """Two labs have the same lines: what differs after a move was changed by the move."""
    assert loki.lines(0) == loki.lines(0)
    assert len(loki.lines(1)) == 14 * 144
    assert all(moment.isdigit() for moment, _ in loki.lines(2))


def test_a_caddyfile_has_sites_for_what_is_there() -> None:
    """A virtual host without its service would answer 502."""
    text = caddy.caddyfile(("minio", "orders"))
    assert "minio.shop.internal" in text
    assert "orders:8080" in text
    assert "grafana" not in text


def test_every_exchange_leads_to_a_queue() -> None:
    """No message of the seed is unroutable: there is an exchange of each type, bound to a queue that is there."""
    assert set(rabbitmq.KINDS.values()) == {"topic", "direct", "fanout", "headers"}
    assert {exchange for exchange, *_ in rabbitmq.BINDINGS} == set(rabbitmq.KINDS) == set(rabbitmq.MESSAGES)
    assert {queue for _, queue, *_ in rabbitmq.BINDINGS} <= set(rabbitmq.QUEUES)


def test_what_the_lab_plays_otherwise_is_in_the_lab() -> None:
    """Each entry that is another here is of a service that is here; keys of applications come as references."""
    overrides = json.loads((LAB / "overrides.json").read_text(encoding="utf-8"))
    assert set(overrides) <= set(SERVICES)
    assert {service for service, _ in STAND_INS.values()} <= set(SERVICES)
    assert all(":" in reference for entry in overrides.values() for reference in entry.get("secrets", {}).values())
    assert overrides["minio"]["options"]["app_bucket"] == minio.APP_BUCKET


@pytest.mark.parametrize(
    ("query", "line", "taken"),
    [
        ('{job="shop"}', "any", True),
        ('{job=~"sh.+", level!="error"} |= "order"', "order 5", True),
        ('{job="shop"} |= "order" != "5"', "order 5", False),
        ('{job="shop"} |~ "o[r]der"', "order", True),
        ('{job="till"}', "any", False),
        ('{job="shop", nothing=""}', "any", True),
    ],
)
def test_the_stand_in_selects_as_documented(logql: ModuleType, query: str, line: str, taken: bool) -> None:
    """Matchers and line filters mean what the documentation says; a label that is not there is empty."""
    selector = logql.parse(query)
    assert (selector.takes_stream({"job": "shop", "level": "info"}) and selector.takes_line(line)) is taken


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('{job=~".*"}', "at least one regexp or equality matcher"),
        ('{job="a"', "unexpected $end"),
        ("job", "unexpected IDENTIFIER"),
        ('{job="a"} nonsense', "unexpected nonsense"),
        ("", "unexpected $end"),
    ],
)
def test_the_stand_in_refuses_what_loki_refuses(logql: ModuleType, query: str, message: str) -> None:
    """A question that is no LogQL is an error, never an empty answer."""
    with pytest.raises(logql.ParseError, match=message.replace("$", "\\$")):
        logql.parse(query)


def test_the_stand_in_counts(logql: ModuleType) -> None:
    """A sum over time knows its range and what it groups by."""
    metric = logql.parse('sum by (job, level) (count_over_time({job=~".+"} |= "x" [1h30m]))')
    assert (metric.function, metric.range_ns, metric.by) == ("count_over_time", 5400 * 10**9, ["job", "level"])
    assert metric.group({"job": "a", "host": "b"}) == {"job": "a"}
