"""One file for each command that a person types."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

from engine.contracts.phase import TABLE
from engine.i18n.marking import summary_of

NOT_COMMANDS: Final = frozenset({"__init__", "__main__", "phase"})


def own_sentences() -> dict[str, str]:
    """Return each command of this folder with the sentence of its docstring: what is before its usage."""
    return {file.stem: _sentence(file) for file in _own_files()}


def menu() -> dict[str, str]:
    """Return every command with its sentence: the phases in order, then the others by name. Imports none of them."""
    return {phase.name: phase.help for phase in TABLE} | own_sentences()


def command_names() -> list[str]:
    """Return all commands in the order of the menu: the phases, and the modules of this package. Reads no file."""
    return [*(phase.name for phase in TABLE), *(file.stem for file in _own_files())]


def _own_files() -> list[Path]:
    return [file for file in sorted(Path(__file__).parent.glob("*.py")) if file.stem not in NOT_COMMANDS]


def _sentence(file: Path) -> str:
    first = summary_of(ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))))
    return re.split(rf"[:.;] {file.stem} ", first)[0].rstrip(".")
