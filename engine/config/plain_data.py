"""Reading a YAML or JSON file as plain data: texts, numbers, lists and mappings with texts as keys, nothing else."""

from __future__ import annotations

import json
import math
import re
import warnings
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning
from ruamel.yaml.reader import ReaderError

from engine.config.validation import printable
from engine.errors import InputError
from engine.finding import say

QUOTED: Final = re.compile(r"(?P<harmless>'\\?.'|'<[^'>]*>')|['\"].*", re.DOTALL)
KINDS: Final = {
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "empty",
    date: "a date",
    datetime: "a date",
}
LARGEST_NUMBER: Final = 2**53 - 1
"""RFC 8785, by which the plan's digest is computed, allows no larger whole number."""


def read_data(path: Path) -> tuple[Any, list[str]]:
    """Return the content of a YAML or JSON file as plain data, and what in it is none as "path: what is wrong".

    Raises InputError when it can't be parsed, with line and column where its parser reports them.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(
            say(
                "{path}: can't be read: {reason}. Expected a text file in UTF-8 there. Try: ls -l {path}",
                path=path,
                reason=reason,
            )
        ) from error
    try:
        content = _parse_json(path, text) if path.suffix == ".json" else _parse_yaml(path, text)
    except RecursionError:
        raise InputError(
            say(
                "{path}: 1 problem\n  too many lists or mappings in each other; expected a few levels. Look for "
                "brackets that nobody closed",
                path=path,
            )
        ) from None
    except ValueError:  # Python's own int and float; their texts quote the file
        raise InputError(
            say(
                "{path}: 1 problem\n  a number that can't be read; expected at most 16 digits. Put it in quotes if it "
                "is a text",
                path=path,
            )
        ) from None
    problems: list[str] = []
    return _plain(content, (), problems, ()), problems


def _parse_yaml(path: Path, text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ReusedAnchorWarning)
            return YAML(typ="safe", pure=True).load(text)
    except ReusedAnchorWarning:
        raise InputError(
            say(
                "{path}: 1 problem\n  an anchor (&name) is defined twice; expected once. Put a text that begins with "
                "& in quotes",
                path=path,
            )
        ) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = (
            say("line {line}, column {column}", line=mark.line + 1, column=mark.column + 1)
            if mark
            else say("unknown place")
        )
        # No cause: its text quotes the file, where a password may be.
        raise InputError(
            say(
                "{path}: 1 problem\n  {where}: {problem}",
                path=path,
                where=where,
                problem=_without_quotes(error.problem or "not YAML"),
            )
        ) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(
            say(
                "{path}: 1 problem\n  line {line}: a control character, number {character}; expected text. Show it "
                "with: cat -A {path}",
                path=path,
                line=line,
                character=repr(error.character),
            )
        ) from None


def _without_quotes(problem: str) -> str:
    """Return a parser's words up to what it quotes from the file; single characters and its own <tokens> stay."""
    key, duplicate, _ = problem.partition(" with value ")
    return key if duplicate else QUOTED.sub(lambda found: found["harmless"] or "…", problem)


def _parse_json(path: Path, text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in pairs:
            if key in seen:
                raise InputError(
                    say('{path}: 1 problem\n  key "{key}" is defined twice', path=path, key=printable(key))
                )
            seen[key] = value
        return seen

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise InputError(
            say(
                "{path}: 1 problem\n  line {lineno}, column {colno}: {msg}",
                path=path,
                lineno=error.lineno,
                colno=error.colno,
                msg=error.msg,
            )
        ) from error


def _plain(value: Any, place: tuple[str, ...], problems: list[str], around: tuple[int, ...]) -> Any:
    """Return a value made of texts, numbers, lists and mappings; what is none is left out and reported, never shown: it
    may be a secret.
    """
    if isinstance(value, date):
        return value.isoformat()  # YAML makes dates of texts that look like one
    if isinstance(value, dict | list):
        if id(value) in around:
            problems.append(f"{'/'.join(place)}: holds itself, by an anchor (&) and alias (*); expected an end")
            return None
        around = (*around, id(value))
    if isinstance(value, dict):
        return {
            key: _plain(item, (*place, printable(str(key))), problems, around)
            for key, item in value.items()
            if _is_key(key, place, problems)
        }
    if isinstance(value, list):
        return [_plain(item, (*place, str(position)), problems, around) for position, item in enumerate(value)]
    wrong = _wrong_scalar(value)
    if wrong:
        problems.append(f"{'/'.join(place) or 'the file'}: {wrong}")
        return None
    return value


def _is_key(key: Any, place: tuple[str, ...], problems: list[str]) -> bool:
    if isinstance(key, str):
        return True
    kind = KINDS.get(type(key), "a list or mapping")
    problems.append(f"{'/'.join(place) or 'the file'}: a key is {kind}; expected text. Put it in quotes")
    return False


def _wrong_scalar(value: Any) -> str:
    """Return what is wrong with a single value: JSON, in which the plan is signed, knows only such numbers as others
    read alike.
    """
    if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        return f"a number beyond {LARGEST_NUMBER}; expected a smaller one. Put it in quotes if it is a text"
    if isinstance(value, float) and not math.isfinite(value):
        return "not a finite number; expected one"
    if not isinstance(value, str | int | float | None):
        return "a YAML type of its own (!!set, !!binary, …); expected text, a number, a list or a mapping"
    return ""
