"""What docs/new-product.md shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from engine.config.inventory import Link, ServiceEntry
from services.fingerprints.compare import compare_fingerprints
from tests.unit.answering import Answers, target

PAGE = Path(__file__).parents[3] / "docs" / "new-product.md"
REPOSITORY = {"full_name": "ops/tools", "updated_at": "2026-11-25T10:00:00Z"}


def _block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"no {language} block in {PAGE.name}"
    return found[1]


@pytest.fixture
def product() -> Any:
    """Load the page's code as the file that it is to become."""
    names: dict[str, Any] = {"__name__": "services.gitea"}
    exec(compile(_block("python"), "services/gitea/product.py", "exec"), names)  # noqa: S102 our own page
    return names["Product"]()


def _table(branches: list[dict[str, Any]], repositories: list[dict[str, str]] | None = None) -> dict[str, Any]:
    found = [REPOSITORY] if repositories is None else repositories
    return {
        "GET /api/healthz": (200, {"status": "pass"}),
        "GET /api/v1/user": (200, {"login": "ops"}),
        "POST /api/v1/user/repos": (201, {}),
        "GET /api/v1/repos/ops/longshore-1/commits": (200, [{"sha": "1"}]),
        "DELETE /api/v1/repos/ops/longshore-1": (204, None),
        "GET /api/v1/repos/search": [(200, {"data": found}), (200, {"data": []})],
        "GET /api/v1/repos/ops/tools/branches": (200, branches),
    }


def test_the_shown_product_works(product: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ready, does its work and removes what it made."""
    answers = Answers(monkeypatch, _table([]))
    at = target("gitea", {}, {"token": "token-of-gitea"})

    assert product.ready(at).passed
    assert product.smoke(at, "longshore-1").passed
    assert answers.asked[-1] == "DELETE /api/v1/repos/ops/longshore-1"


def test_the_shown_fingerprint_names_a_lost_push(product: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch that points elsewhere although nobody pushed is named with its repository; so is a repository that is
    gone.
    """
    at = target("gitea", {}, {"token": "token-of-gitea"})
    Answers(monkeypatch, _table([{"name": "main", "commit": {"id": "new"}}]))
    before = product.fingerprint(at, None)
    Answers(monkeypatch, _table([{"name": "main", "commit": {"id": "old"}}]))
    damaged = compare_fingerprints(before, product.fingerprint(at, before))
    Answers(monkeypatch, _table([], []))
    gone = compare_fingerprints(before, product.fingerprint(at, before))

    assert "repositories: changed ops/tools" in damaged.text
    assert "repositories: missing ops/tools" in gone.text


def test_the_shown_inventory_is_valid() -> None:
    """The page's lines fit the inventory's model."""
    shown = YAML(typ="safe").load(_block("yaml"))

    assert ServiceEntry.model_validate(shown["services"]["gitea"]).product == "gitea"
    assert Link.model_validate(shown["links"][0]).from_ == "gitea"
