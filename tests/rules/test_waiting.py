"""All waiting can be cancelled: who waits polls or pauses through the engine, and nobody throws into threads."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = ("engine", "hosts", "services", "checks", "actions", "phases", "runbooks")
SLEEPS: Final = "engine/cancellation.py"
"""The one place that sleeps: `pause`."""
FORBIDDEN: Final = frozenset({"time.sleep", "time: sleep", "ctypes"})
"""`ctypes` is how an exception is thrown into another thread."""


def _names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.lineno, f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}: {alias.name}") for alias in node.names)


def _found(text: str, place: str) -> list[str]:
    return [f"{place}:{line}: {name}" for line, name in _names(ast.parse(text)) if name in FORBIDDEN]


def test_nothing_sleeps_by_itself() -> None:
    """A sleep of its own would neither end with the run nor be played by a test's clock. Programs that are sent to
    hosts stand alone.
    """
    files = [
        file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py")) if not file.name.endswith("program.py")
    ]
    found = [line for file in files for line in _found(file.read_text("utf-8"), file.relative_to(ROOT).as_posix())]

    assert [line.partition(":")[0] for line in found] == [SLEEPS], found


def test_a_sleep_is_found() -> None:
    """Under each of its names, and so is what throws into a thread."""
    assert len(_found("import time\ntime.sleep(1)\n", "f")) == 1
    assert len(_found("from time import sleep\n", "f")) == 1
    assert len(_found("import ctypes\nctypes.pythonapi.PyThreadState_SetAsyncExc(1, 2)\n", "f")) == 1
