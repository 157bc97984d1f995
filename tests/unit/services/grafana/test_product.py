"""Grafana's data sources and dashboards: a panel's own query is asked, a lost panel is named."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from services.fingerprints.compare import compare_fingerprints
from services.grafana.product import Product
from tests.fakes.http_product import Answers, target

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
        "GET /api/org/users": (200, [{"login": "admin", "role": "Admin", "userId": 1}]),
        "GET /api/orgs": (200, [{"id": 1, "name": "Main Org."}]),
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
    """An unhealthy source, an empty or refused answer, and a database that can't be written are each reported."""
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


def test_a_refused_password_is_reported_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """401 is a finding about the credential; the credential is not shown."""
    Answers(monkeypatch, {"GET /api/search": (401, {"message": "Invalid username or password"})})

    with pytest.raises(AssertionError, match="401") as caught:
        Product().fingerprint(target("grafana", {}, SECRETS), None)
    assert "admin-password" not in str(caught.value)


def _contact(uid: str, kind: str) -> dict[str, Any]:
    """Return one integration of contact point ops, as /api/v1/provisioning/contact-points lists each."""
    settings = {"addresses": "ops@example.org"} if kind == "email" else {"url": "[REDACTED]"}
    return {"uid": uid, "name": "ops", "type": kind, "settings": settings, "disableResolveMessage": False}


def _rule(uid: str, folder: str) -> dict[str, Any]:
    return {
        "uid": uid,
        "title": "High CPU",
        "folderUID": folder,
        "ruleGroup": "g",
        "condition": "A",
        "updated": "2026-01-01T00:00:00Z",
    }


EMAIL, SLACK = _contact("u1", "email"), _contact("u2", "slack")
POINTS, RULES = "GET /api/v1/provisioning/contact-points", "GET /api/v1/provisioning/alert-rules"


@pytest.mark.parametrize(
    ("path", "before", "after", "said"),
    [
        (POINTS, [EMAIL, SLACK], [SLACK], "contact points: missing u1"),
        (RULES, [_rule("r1", "a"), _rule("r2", "b")], [_rule("r2", "b")], "alert rules: missing r1"),
        (POINTS, [EMAIL, SLACK], [SLACK, EMAIL], ""),
    ],
)
def test_things_of_one_name_are_distinguished(
    monkeypatch: pytest.MonkeyPatch, path: str, before: list[Any], after: list[Any], said: str
) -> None:
    """Each integration of a contact point is an item of its own with its name; rules are unique per folder; their order
    says nothing.
    """
    at = target("grafana", {}, SECRETS)
    Answers(monkeypatch, _table(**{path: (200, before)}))
    first = Product().fingerprint(at, None)
    Answers(monkeypatch, _table(**{path: (200, after)}))
    seen = compare_fingerprints(first, Product().fingerprint(at, first))

    assert said in seen.text
    assert seen.passed is not bool(said)


def test_what_lies_deeper_is_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child folder, a dashboard's folder, templates, service accounts and another key are each missed."""
    asked_by_parent: list[str] = []

    def folders(request: dict[str, Any]) -> tuple[int, Any]:
        parent = str((request.get("params") or {}).get("parentUid", ""))
        asked_by_parent.append(parent)
        return 200, {
            "": [{"uid": "top", "title": "Top", "id": 1}],
            "top": [{"uid": "child", "title": "Child", "id": 2}],
        }.get(parent, [])

    more = {
        "GET /api/folders": folders,
        "GET /api/dashboards/uid/shop": (200, {"dashboard": DASHBOARD, "meta": {"folderUid": "child"}}),
        "GET /api/v1/provisioning/templates": (200, [{"name": "mail", "template": "x"}]),
        "GET /api/serviceaccounts/search?perpage=1000": (
            200,
            {"totalCount": 1, "serviceAccounts": [{"id": 3, "name": "ci", "role": "Viewer"}]},
        ),
    }
    at = target("grafana", {}, {**SECRETS, "secret_key": "key-one"})
    Answers(monkeypatch, _table(**more))
    before = Product().fingerprint(at, None)
    Answers(monkeypatch, _table())
    seen = compare_fingerprints(
        before, Product().fingerprint(target("grafana", {}, {**SECRETS, "secret_key": "key-two"}), before)
    )

    assert asked_by_parent == ["", "top", "child"]
    text = " ".join(seen.details)
    for lost in (
        "folders: missing",
        "dashboards: changed Shop (shop)",
        "message templates: missing",
        "service accounts: missing",
        "secret key",
    ):
        assert lost in text, lost


def test_every_organisation_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the header that chooses it; one that the administrator is no member of is reported as not read."""
    numbers: list[Any] = []

    def rules(request: dict[str, Any]) -> tuple[int, Any]:
        number = request["headers"].get("X-Grafana-Org-Id")
        numbers.append(number)
        return 200, [_rule(f"of-{number}", "a")]

    def own(request: dict[str, Any]) -> tuple[int, Any]:
        number = int(request["headers"]["X-Grafana-Org-Id"])
        return (200, {"id": 2}) if number == 2 else (403, {"message": "no member"})

    organisations = [{"id": 1, "name": "Main Org."}, {"id": 2, "name": "Shop"}, {"id": 3, "name": "Other"}]
    Answers(monkeypatch, _table(**{"GET /api/orgs": (200, organisations), RULES: rules, "GET /api/org": own}))
    parts = Product().fingerprint(target("grafana", {}, SECRETS), None).parts

    assert numbers == ["1", "2"]
    assert list(parts["organisation 2: alert rules"].names) == ["of-2"]
    assert "organisation 3: not read: the administrator is no member" in parts


def test_users_are_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login is often an address: records have its digest."""
    Answers(
        monkeypatch,
        _table(**{"GET /api/org/users": (200, [{"login": "ana@example.org", "role": "Admin", "userId": 1}])}),
    )

    assert "ana@example.org" not in repr(
        Product().fingerprint(target("grafana", {}, SECRETS), None).parts["users"].names
    )
