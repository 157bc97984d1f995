"""What is known of a product is in its folder: no phase, action, check or command decides by a product's name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from services.registry import GENERIC, PRODUCTS

ROOT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = ("phases", "actions", "checks", "commands", "runbooks")
NAMES: Final = re.compile(rf"(?i)\b({'|'.join(sorted(set(PRODUCTS) - {GENERIC}))})\b")
ABOUT_THE_SERVER: Final = (  # the Prometheus of the environment, which is asked about hosts
    "phases/preflight/capacity.py",
    "phases/preflight/sample_source.py",
    "checks/capacity/prometheus_samples.py",
)


def _docstrings(tree: ast.AST) -> set[int]:
    """Return the nodes that only say something: docstrings, and texts under a constant."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def _words(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield every name and text that code is made of, with its line."""
    docstrings = _docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value
        elif isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, str(node.module)


def _found(file: Path) -> list[str]:
    place = file.relative_to(ROOT).as_posix()
    found = []
    for line, word in _words(ast.parse(file.read_text(encoding="utf-8"))):
        names = {name.lower() for name in NAMES.findall(word.replace("_", " "))}
        if place in ABOUT_THE_SERVER:
            names -= {"prometheus"}
        found += [f"{place}:{line}: {name}" for name in sorted(names)]
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_above_the_products_names_one(room: str) -> None:
    """Comments and docstrings may: they give facts and examples. A new product needs no edit here."""
    assert [line for file in sorted((ROOT / room).rglob("*.py")) for line in _found(file)] == []


def test_a_name_in_code_is_found() -> None:
    """A rule that finds nothing in anything would hold nothing."""
    tree = ast.parse('"""Redis."""\nKNOWN = {"redis"}\nif entry.product == "waha":\n    wait_for_n8n()\n')
    assert [word for _, word in _words(tree) if NAMES.search(word.replace("_", " "))] == [
        "redis", "waha", "wait_for_n8n"
    ]  # fmt: skip


def test_every_folder_with_a_product_is_one() -> None:
    """The registry is no list by hand: it is what lies in services/."""
    folders = {file.parent.name for file in (ROOT / "services").glob("*/product.py")}
    assert set(PRODUCTS) == folders
    assert len(folders) > 10
    assert all((ROOT / "services" / name / "__init__.py").is_file() for name in folders)
