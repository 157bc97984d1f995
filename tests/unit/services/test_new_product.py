"""What docs/new-product.md shows works as it stands there."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import services
from engine.config.inventory import load_inventory
from engine.config.plan import load_plan
from phases.discover.draft_inventory import product_of
from services import registry
from services.fingerprints.compare import compare_fingerprints
from tests.fakes.http_product import Answers, target

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "new-product.md"
REPOSITORY = {"full_name": "ops/tools", "updated_at": "2026-11-25T10:00:00Z"}


def _block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"no {language} block in {PAGE.name}"
    return found[1]


@pytest.fixture
def product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Add the page's folder to those of services/, and make the product that the registry finds there."""
    folder = tmp_path / "gitea"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Gitea."""\n')
    (folder / "product.py").write_text(_block("python"))
    monkeypatch.setattr(services, "__path__", [*services.__path__, str(tmp_path)])
    for name in ("services.gitea", "services.gitea.product"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(registry, "PRODUCTS", {**registry.PRODUCTS, **registry.products_in(tmp_path)})
    return registry.product("gitea")


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


def test_one_folder_and_two_files_are_all(product: Any, tmp_path: Path) -> None:
    """The page's lines fit this migration's inventory and plan, whose every problem is reported when they are read; and
    discover knows its image.
    """
    shown = YAML(typ="safe").load(_block("yaml"))
    inventory = YAML(typ="safe").load((ROOT / "inventory.yaml").read_text(encoding="utf-8"))
    plan = json.loads((ROOT / "migration_plan.json").read_text(encoding="utf-8"))
    inventory["services"] |= shown["services"]
    inventory["links"] += shown["links"]
    plan["moves"].append(json.loads(_block("json")))

    for name, content in (("inventory.yaml", inventory), ("migration_plan.json", plan)):
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")

    loaded = load_inventory(tmp_path / "inventory.yaml")
    entry = loaded.services["gitea"]
    assert registry.product(entry.product).name == "gitea"
    assert [move.service for move in load_plan(tmp_path / "migration_plan.json", loaded).moves][-1] == "gitea"
    assert product_of(entry.image) == "gitea"
    assert (product.settings_role, product.probe_question, product.manual_checks) == ("", None, ())
