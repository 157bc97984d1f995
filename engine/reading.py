"""Reading a YAML or JSON file as plain data: texts, numbers, lists and mappings with texts as keys, nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from engine.errors import InputError

QUOTED: Final = re.compile(r"(?P<harmless>'\\?.'|'<[^'>]*>')|['\"].*", re.DOTALL)


def read_data(path: Path) -> Any:
    """Return the content of a YAML or JSON file; raises InputError with line and column."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{path}: can't be read: {reason}. Expected a file there. Try: ls -l {path}") from error
    try:
        return _parse_json(path, text) if path.suffix == ".json" else YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "unknown place"
        # No cause: its text quotes the file, where a password may stand.
        raise InputError(f"{path}: 1 problem\n  {where}: {_without_quotes(error.problem or 'not YAML')}") from None


def _without_quotes(problem: str) -> str:
    """Return a parser's words up to what it quotes from the file; single characters and its own <tokens> stay."""
    key, duplicate, _ = problem.partition(" with value ")
    return key if duplicate else QUOTED.sub(lambda found: found["harmless"] or "…", problem)


def _parse_json(path: Path, text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in pairs:
            if key in seen:
                raise InputError(f'{path}: 1 problem\n  key "{key}" stands there twice')
            seen[key] = value
        return seen

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: 1 problem\n  line {error.lineno}, column {error.colno}: {error.msg}") from error
