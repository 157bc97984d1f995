"""The shape of a file's data, as a typed model: all its problems at once, each with its path."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.errors import InputError
from engine.finding import joined, say
from engine.redaction.redactor import Redactor

Model = TypeVar("Model", bound="Strict")
SECRET_FORMAT: Final = "secret-reference"  # noqa: S105 a mark's name
"""Marks in a schema where a reference to a secret belongs."""
WORDS: Final = {
    "missing": "missing",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "string_type": "expected text",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
}


class Strict(BaseModel):
    """Base of all file models: frozen, and no key is ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def parse_shape(model: type[Model], data: Any) -> tuple[Model | None, list[str]]:
    """Return the model, or None and every problem of shape as "path: what is wrong"."""
    if not isinstance(data, Mapping):
        return None, ["the file: expected a mapping at the top"]
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, [_problem(model, problem) for problem in error.errors()]


def _problem(model: type[BaseModel], problem: Any) -> str:
    place = tuple(part for part in problem["loc"] if part != "[key]")
    path = "/".join(printable(str(part)) for part in place) or "the file"
    if problem["type"] == "extra_forbidden":
        known = _fields_at(model, place[:-1])
        near = difflib.get_close_matches(str(place[-1]), known, n=1)
        hint = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known)}"
        return f"{path}: unknown key; {hint}"
    seen = (
        "" if problem["type"] == "missing" or _may_hold_secret(model, place) else f" (seen: {_shown(problem['input'])})"
    )
    return f"{path}: {WORDS.get(problem['type'], problem['msg'].removeprefix('Value error, '))}{seen}"


def printable(text: str) -> str:
    """Return a text in one line of characters that a terminal only shows."""
    return text if text.isprintable() else repr(text)[1:-1]


def _shown(value: Any) -> str:
    """Return a wrong value as a message may show it: a collection only by its size, since a part of it may
    be a secret.
    """
    if isinstance(value, Mapping):
        return f"a mapping of {len(value)}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return repr(Redactor().text(str(value))[:60])


@cache
def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _may_hold_secret(model: type[BaseModel], place: tuple[Any, ...]) -> bool:
    """Return whether a secret's reference belongs at a place or below it: what was written there may be the secret
    itself.
    """
    schema = _schema_of(model)
    return _mentions_secret(schema, _schema_at(schema, place), set())


def _mentions_secret(schema: Any, here: Any, followed: set[str]) -> bool:
    if isinstance(here, list):
        return any(_mentions_secret(schema, item, followed) for item in here)
    if not isinstance(here, dict):
        return False
    if here.get("format") == SECRET_FORMAT:
        return True
    name = here.get("$ref", "").rpartition("/")[2]
    if name and name not in followed:
        return _mentions_secret(schema, schema["$defs"][name], followed | {name})
    return any(_mentions_secret(schema, item, followed) for key, item in here.items() if key != "$defs")


def _schema_at(schema: Any, place: tuple[Any, ...]) -> Any:
    """Return the part of a schema that speaks of a place."""
    here = schema
    for part in place:
        here = _resolve(schema, here)
        keys_of_a_form = next(iter(here.get("patternProperties", {}).values()), None)
        here = (
            here.get("properties", {}).get(part)
            or keys_of_a_form
            or here.get("additionalProperties")
            or here.get("items")
            or here
        )
        here = here if isinstance(here, dict) else {}
    return here


def _fields_at(model: type[BaseModel], place: tuple[Any, ...]) -> list[str]:
    """Return the keys known at a place; follows fields by their schema."""
    schema = _schema_of(model)
    return sorted(_resolve(schema, _schema_at(schema, place)).get("properties", {}))


def _resolve(schema: Any, here: Any) -> Any:
    for option in here.get("anyOf", []):
        if "$ref" in option or "properties" in option or "items" in option:
            here = option
    if "$ref" in here:
        return schema["$defs"][here["$ref"].rpartition("/")[2]]
    return here


def refusal_of(path: Path, problems: list[str]) -> str:
    """Return the text that refuses a file for its problems."""
    number = len(problems)
    count = say("{count} problems", count=number) if number > 1 else say("{count} problem", count=number)
    return joined(
        "\n", [say("{path}: {count}", path=path, count=count), *(say("  {problem}", problem=one) for one in problems)]
    )


def refuse(path: Path, problems: list[str]) -> None:
    """Raise InputError with all problems of a file, when there are any."""
    if problems:
        raise InputError(refusal_of(path, problems))


def unknown_name(path: str, kind: str, name: str, known: Iterable[str]) -> str:
    """Return the problem of a name that is not known."""
    return f'{path}: unknown {kind} "{name}"; known: {", ".join(sorted(set(known)))}'
