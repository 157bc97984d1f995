"""Every line of the customer's checklist is covered by a step or command that exists, or named as later work."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML

from commands import command_names

ROOT: Final = Path(__file__).parents[3]
LINE: Final = re.compile(r"^\s*- (?:\[[ x]\] )?(?P<text>.*)$")


def _checklist_lines() -> list[str]:
    """Return the text of each checkbox and of each bullet below one."""
    lines = (ROOT / "docs" / "checklist.pt-BR.md").read_text(encoding="utf-8").splitlines()
    found = [(line, LINE.match(line)) for line in lines]
    return [match["text"].strip() for line, match in found if match and ("- [" in line or line.startswith(" "))]


def _entries() -> list[dict[str, str]]:
    entries: list[dict[str, str]] = YAML(typ="safe").load(ROOT / "docs" / "checklist.yaml")
    return entries


def _step_keys() -> set[str]:
    """Return `phase/key` of every step of the runbooks."""
    keys = set()
    for module in (ROOT / "runbooks").glob("*/test_*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.step":
                keys.add(f"{module.parent.name}/{ast.literal_eval(node.args[0])}")
    return keys


def test_every_line_has_an_entry_and_every_entry_a_line() -> None:
    """The map and the checklist hold the same lines in the same order."""
    assert [entry["line"] for entry in _entries()] == _checklist_lines()


def test_every_step_named_exists() -> None:
    """An entry never points at a step that nobody runs."""
    keys = _step_keys()

    assert keys
    assert [entry for entry in _entries() if "step" in entry and entry["step"] not in keys] == []


def test_every_command_named_exists() -> None:
    """An entry never points at a command that nobody can type."""
    assert [entry for entry in _entries() if "command" in entry and entry["command"] not in command_names()] == []


def test_every_entry_says_exactly_one_thing() -> None:
    """A line is covered by a step, by a command, or is later work with its subject."""
    assert [e for e in _entries() if len({"step", "command", "later"} & set(e)) != 1 or not all(e.values())] == []
