"""A whole run is called `context`, one move `ServiceMove`: nothing hands both around, and no layer only passes on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = tuple(sorted({path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}))
"""All code but the tests: their simulation models a world of hosts, and calls it that."""


def _texts(*rooms: str) -> Iterator[tuple[Path, str]]:
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield path.relative_to(ROOT), path.read_text(encoding="utf-8")


@cache
def _modules(*rooms: str) -> tuple[tuple[Path, ast.Module], ...]:
    return tuple((path, ast.parse(text)) for path, text in _texts(*rooms))


def _names(tree: ast.AST) -> Iterator[str]:
    """Yield every name that code gives or uses."""
    for node in ast.walk(tree):
        for attribute in ("id", "arg", "attr", "name", "asname"):
            name = getattr(node, attribute, None)
            if isinstance(name, str):
                yield name


def _parameters(node: ast.FunctionDef) -> dict[str, str]:
    given = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    return {one.arg: ast.unparse(one.annotation) if one.annotation else "" for one in given}


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _says_world(name: str) -> bool:
    return "world" in name.lower().split("_")


def test_no_name_says_world() -> None:
    """What a whole run shares is its context; no variable, parameter, field or function is called a world."""
    assert _says_world("serving_world")
    trees = [(path, ast.parse(text)) for path, text in _texts(*ROOMS) if "world" in text.lower()]
    assert [f"{path}: {name}" for path, tree in trees for name in _names(tree) if _says_world(name)] == []


def test_nobody_takes_a_run_and_a_plan_entry() -> None:
    """A function that needs the run and one planned move takes the move's ServiceMove, which has both."""
    both = {"RunContext", "PlannedMove"}
    functions = [(path, one) for path, tree in _modules("phases", "runbooks") for one in _functions(tree)]
    assert len(functions) > len(ROOMS)
    assert [f"{path}: {one.name}" for path, one in functions if both <= set(_parameters(one).values())] == []


def test_no_judgement_has_a_second_layer() -> None:
    """Phases have no judge_x that only gathers facts for the judge_x of checks: the step calls the check itself."""
    judged = {
        room: {one.name for _, tree in _modules(room) for one in tree.body if isinstance(one, ast.FunctionDef)}
        for room in ("checks", "phases")
    }
    assert "judge_guards" in judged["checks"]
    assert {name for name in judged["checks"] & judged["phases"] if name.startswith("judge_")} == set()
