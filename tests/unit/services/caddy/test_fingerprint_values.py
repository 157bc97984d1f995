"""What of Caddy is pure: virtual hosts of a configuration, and what an answer is worth."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.caddy.product import _answer_problems
from services.caddy.sites import Answer, sni_of
from services.caddy.storage import Site, domain_of, list_sites
from services.clients.certificates import Certificate

CONFIG = json.loads((Path(__file__).parents[3] / "recorded" / "caddy" / "config.json").read_text(encoding="utf-8"))
SITE = Site("wiki.example.org", ("wiki:80",), {})
LEAF = Certificate("a", "i", datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def test_sites_lead_to_their_upstreams() -> None:
    """Of a running configuration each virtual host is listed with what is behind it, however deep it stands."""
    assert {site.host: site.upstreams for site in list_sites(CONFIG)} == {
        "minio.shop.internal": ("minio:9000",),
        "rabbitmq.shop.internal": ("rabbitmq:15672",),
    }


@pytest.mark.parametrize(
    "config", [None, {}, {"apps": {}}, {"apps": {"http": {"servers": {"s": {"listen": [":443"]}}}}}]
)
def test_without_sites_there_are_none(config: Any) -> None:
    """A server that runs without configuration answers `null`."""
    assert list_sites(config) == ()


def test_sites_without_tls_are_left_out() -> None:
    """A server that listens on 80 only has no certificate to judge."""
    route = {"match": [{"host": ["plain.example.org"]}], "handle": []}
    assert list_sites({"apps": {"http": {"servers": {"s": {"listen": [":80"], "routes": [route]}}}}}) == ()


@pytest.mark.parametrize(
    ("status", "body", "declared", "expected"),
    [
        (200, "hello", {}, None),
        (403, "", {}, None),
        (502, "", {}, "502: its upstream wiki:80 does not answer"),
        (404, "", {"status": 200}, "404, declared 200"),
        (200, "something else", {"contains": "wiki"}, "without 'wiki'"),
        (200, "the wiki", {"contains": "wiki", "status": 200}, None),
    ],
)
def test_an_answer_is_judged_by_what_is_declared(
    status: int, body: str, declared: dict[str, Any], expected: str | None
) -> None:
    """Without a declaration only an upstream that does not answer is wrong."""
    problems = _answer_problems(SITE, Answer(LEAF, status, body), declared)
    assert (problems == []) if expected is None else (expected in problems[0])


def test_wildcards_have_names() -> None:
    """The storage calls a wildcard's file by a word; a handshake needs a name that it covers."""
    assert domain_of("certificates/acme/wildcard_.example.org/wildcard_.example.org.crt") == "*.example.org"
    assert sni_of("*.example.org") == "longshore.example.org"
