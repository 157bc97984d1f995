"""Metabase's questions: a failed query is answered with 202 and must not pass; what is gone is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checks.containers.state_paths import Change, judge_writable_layer
from phases.assess.readiness import outside_of
from services.fingerprints.compare import compare_fingerprints
from services.metabase.product import Product
from tests.fakes.http_product import Answers, target

SECRETS = {"api_key": "key-of-the-api", "encryption_key": "0123456789abcdef"}
CARD = {
    "id": 4,
    "name": "Orders by state",
    "database_id": 2,
    "dataset_query": {"native": {"query": "SELECT 1"}},
    "updated_at": "2026-11-25T10:00:00Z",
}
DASHBOARD = {"id": 1, "name": "Shop", "dashcards": [{"card_id": 4, "row": 0}], "updated_at": "2026-11-25T10:00:00Z"}
DONE = (202, {"status": "completed", "row_count": 1})


def _table(**more: Any) -> dict[str, Any]:
    return {
        "GET /api/database": (
            200,
            {"data": [{"id": 2, "name": "Shop", "engine": "postgres", "details": {}}], "total": 1},
        ),
        "GET /api/card": (200, [CARD]),
        "POST /api/card": (200, {"id": 9}),
        "POST /api/card/9/query": DONE,
        "POST /api/card/4/query": DONE,
        "DELETE /api/card/9": (204, None),
        "GET /api/dashboard": (200, [{"id": 1}]),
        "GET /api/dashboard/1": (200, DASHBOARD),
        "GET /api/collection": (200, [{"id": "root", "name": "Our analytics"}]),
        "GET /api/user": (200, {"data": [{"email": "a@example.org", "is_superuser": True}]}),
        **more,
    }


def test_questions_of_every_database_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of our own is made, run and deleted, then those that people made."""
    answers = Answers(monkeypatch, _table())
    seen = Product().smoke(target("metabase", {}, SECRETS), "longshore-1")

    assert seen.passed, seen.text
    assert answers.asked.index("DELETE /api/card/9") < answers.asked.index("POST /api/card/4/query")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"POST /api/card/4/query": (202, {"status": "failed", "error": "connection refused"})},
            "database Shop: failed: connection refused",
        ),
        ({"POST /api/card/4/query": (202, {"status": "completed", "row_count": 0})}, "no row"),
        ({"POST /api/card/4/query": (500, {"message": "Cannot decrypt encrypted String"})}, "500"),
        ({"GET /api/card": (200, [])}, "no question to run"),
    ],
)
def test_what_does_not_work_is_named(monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], said: str) -> None:
    """A query that failed although it was accepted, an empty one, a wrong key, and nothing to judge by."""
    Answers(monkeypatch, _table(**change))
    seen = Product().smoke(target("metabase", {}, SECRETS), "longshore-1")

    assert not seen.passed
    assert said in seen.text


def test_a_card_that_left_its_dashboard_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dashboard with other cards and the same time of change is damaged; another key is a difference of its own."""
    at = target("metabase", {}, SECRETS)
    Answers(monkeypatch, _table())
    before = Product().fingerprint(at, None)
    Answers(monkeypatch, _table(**{"GET /api/dashboard/1": (200, {**DASHBOARD, "dashcards": []})}))
    now = Product().fingerprint(target("metabase", {}, {**SECRETS, "encryption_key": "another-key-1234"}), before)
    seen = compare_fingerprints(before, now)

    assert "dashboards: changed Shop (1)" in seen.text
    assert "encryption key: content differs" in seen.text


def test_questions_are_run_past_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cached answers travel with the application database: they say nothing about the data's own."""
    answers = Answers(monkeypatch, _table())
    Product().smoke(target("metabase", {}, SECRETS), "longshore-1")
    run = [request["json"] for request in answers.requests if request["key"].endswith("/query")]

    assert run == [{"ignore_cache": True}, {"ignore_cache": True}]


@pytest.mark.parametrize(
    ("path", "image", "passes"),
    [
        ("/plugins/mongo.metabase-driver.jar", "metabase/metabase:v0.56.4", True),
        ("/app/plugins/sqlserver.metabase-driver.jar", "metabase/metabase:v0.56.4", True),
        ("/plugins/duckdb.metabase-driver.jar", "metabase/metabase:v0.56.4", False),
        ("/plugins/clickhouse.metabase-driver.jar", "metabase/metabase:v0.56.4", True),
        ("/plugins/clickhouse.metabase-driver.jar", "metabase/metabase:v0.50.3", False),
        ("/plugins/clickhouse.metabase-driver.jar", "metabase/metabase:latest", False),
        ("/plugins/ojdbc11.jar", "metabase/metabase:v0.56.4", False),
        ("/metabase.db/metabase.db.mv.db", "metabase/metabase:v0.56.4", False),
    ],
)
def test_a_driver_that_somebody_put_there_is_state(path: str, image: str, passes: bool) -> None:
    """Metabase unpacks its own; another jar in that folder does not travel, and all databases of its kind
    fail with it.
    """
    container = replace(target("metabase").container, image_ref=image)

    assert judge_writable_layer(container, [Change("A", path)], outside_of(Product(), container)).passed is passes


def test_a_database_in_the_container_is_never_ignored() -> None:
    """Whatever reason is written for caches: that file is everything."""
    container = target("metabase").container
    answer = judge_writable_layer(
        container, [Change("A", "/metabase.db/metabase.db.mv.db")], outside_of(Product(), container), "only caches"
    )

    assert "is state of its product" in answer.text
