"""Grafana's data sources and dashboards: a panel's own query is asked, a lost panel is named."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from services.comparison import compare_fingerprints
from services.grafana import Product
from tests.unit.answering import Answers, target

SECRETS = {"admin_password": "admin-password"}
NONCE = "longshore-1"
SOURCE = {"uid": "prom", "name": "Prometheus", "type": "prometheus", "url": "http://prometheus:9090", "id": 1}
PANELS = [
    {
        "id": 1,
        "title": "Row",
        "type": "row",
        "panels": [{"id": 2, "title": "Up", "datasource": {"uid": "prom"}, "targets": [{"expr": "up{job=~'a'}"}]}],
    },
    {"id": 3, "title": "Templated", "datasource": {"uid": "prom"}, "targets": [{"expr": "up{job='$job'}"}]},
]
DASHBOARD = {"id": 7, "uid": "shop", "title": "Shop", "version": 3, "panels": PANELS}


def _frames(*values: list[Any]) -> dict[str, Any]:
    return {"results": {"A": {"status": 200, "frames": [{"schema": {}, "data": {"values": list(values)}}]}}}


def _table(dashboard: dict[str, Any] = DASHBOARD, **more: Any) -> dict[str, Any]:
    lists = ("folders", "v1/provisioning/alert-rules", "v1/provisioning/contact-points", "v1/provisioning/mute-timings")
    return {
        "POST /api/dashboards/db": (200, {}),
        f"GET /api/dashboards/uid/{NONCE}": (200, {"dashboard": {"title": NONCE}}),
        f"DELETE /api/dashboards/uid/{NONCE}": (200, {}),
        "GET /api/datasources": (200, [SOURCE]),
        "GET /api/datasources/uid/prom/health": (200, {"status": "OK"}),
        "GET /api/search": (200, [{"uid": "shop", "title": "Shop"}]),
        "GET /api/dashboards/uid/shop": (200, {"dashboard": dashboard}),
        "POST /api/ds/query": (200, _frames([1], [1.0])),
        "GET /api/v1/provisioning/policies": (200, {"receiver": "r"}),
        "GET /api/org/users": (200, [{"login": "admin", "role": "Admin"}]),
        **{f"GET /api/{name}": (200, []) for name in lists},
        **more,
    }


def test_a_panels_own_query_is_asked_of_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first query without a variable, also inside a row, is what the data source must answer."""
    answers = Answers(monkeypatch, _table())
    seen = Product().smoke(target("grafana", {}, SECRETS), NONCE)
    asked = next(request for request in answers.requests if request["key"] == "POST /api/ds/query")

    assert seen.passed, seen.text
    assert asked["json"]["queries"][0]["expr"] == "up{job=~'a'}"
    assert f"DELETE /api/dashboards/uid/{NONCE}" in answers.asked


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"GET /api/datasources/uid/prom/health": (400, {"message": "connection refused"})},
            "data source Prometheus (http://prometheus:9090): health 400",
        ),
        ({"POST /api/ds/query": (200, _frames([], []))}, "panel Up of Shop: no value"),
        ({"GET /api/datasources": (200, [])}, "panel Up of Shop asks data source prom, which is not there"),
        ({"POST /api/ds/query": (502, {"results": {}})}, "panel Up of Shop: 502"),
        ({"POST /api/dashboards/db": (500, {"message": "attempt to write a readonly database"})}, "readonly database"),
    ],
)
def test_what_does_not_work_is_named(monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], said: str) -> None:
    """An unhealthy source, an empty or refused answer, and a database that can't be written are each told."""
    Answers(monkeypatch, _table(**change))
    seen = Product().smoke(target("grafana", {}, SECRETS), NONCE)

    assert not seen.passed
    assert said in seen.text


def test_a_lost_panel_names_its_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same version with other panels is damage; a later version is somebody's work."""
    at = target("grafana", {}, SECRETS)
    Answers(monkeypatch, _table())
    before = Product().fingerprint(at, None)
    damaged = {**copy.deepcopy(DASHBOARD), "panels": PANELS[:1]}
    Answers(monkeypatch, _table(damaged))
    lost = compare_fingerprints(before, Product().fingerprint(at, before))
    Answers(monkeypatch, _table({**damaged, "version": 4}))
    edited = compare_fingerprints(before, Product().fingerprint(at, before))

    assert "dashboards: changed Shop (shop)" in lost.text
    assert edited.passed


def test_a_refused_password_is_told_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """401 is a finding about the credential; the credential is not shown."""
    Answers(monkeypatch, {"GET /api/search": (401, {"message": "Invalid username or password"})})

    with pytest.raises(AssertionError, match="401") as caught:
        Product().fingerprint(target("grafana", {}, SECRETS), None)
    assert "admin-password" not in str(caught.value)
