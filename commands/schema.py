"""Write the JSON Schemas of inventory, plan, environment and waivers, and docs/journal.md; --check only compares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from engine.config.environment import Environment
from engine.config.inventory import Inventory
from engine.config.plan import Plan
from engine.config.validation import Strict
from engine.errors import InputError
from engine.journal.kinds import journal_page
from engine.signoff.waiver import WaiverFile

FOLDER: Final = Path("schemas")
JOURNAL_PAGE: Final = Path("docs") / "journal.md"
MODELS: Final[dict[str, type[Strict]]] = {
    "inventory": Inventory,
    "migration_plan": Plan,
    "environment": Environment,
    "waivers": WaiverFile,
}


def schema_text(model: type[Strict]) -> str:
    """Return a model's JSON Schema as it is in its file."""
    return json.dumps(model.model_json_schema(by_alias=True), indent=1, ensure_ascii=False) + "\n"


def main(argv: list[str]) -> int:
    """Write the schemas, or with --check raise InputError when one is stale."""
    if argv not in ([], ["--check"]):
        raise InputError(f"schema {' '.join(argv)}: expected nothing or --check")
    texts = {FOLDER / f"{name}.schema.json": schema_text(model) for name, model in MODELS.items()}
    for file, text in {**texts, JOURNAL_PAGE: journal_page()}.items():
        if argv and (not file.exists() or file.read_text(encoding="utf-8") != text):
            raise InputError(f"{file}: is not what the models say. Try: nox -s schema")
        if not argv:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
            print(f"written: {file}")
    return 0
