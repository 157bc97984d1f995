"""Interpolation as Compose does it: $VAR, ${VAR}, defaults, required and replaced values, $$ for a dollar.

https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from checks.compose.yaml_nodes import SourceLine, YamlMapping, YamlSequence
from engine.errors import UnsupportedSyntaxError
from engine.finding import say

NAME: Final = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
OPERATOR: Final = re.compile(r":?[-?+]")
WRONG: Final = say("braces behind a $ without a variable's name in them; expected one, or for a dollar $$")
DEEPEST: Final = 20


class TemplateError(ValueError):
    """A text whose variables can't be filled in; the message quotes no value."""


@dataclass
class Interpolation:
    """What variables stand for, and the names of those that were asked for and are not set."""

    values: Mapping[str, str]
    unset: set[str] = field(default_factory=set)

    def text(self, text: str, depth: int = 0) -> str:
        """Return a text with its variables filled in; raises TemplateError."""
        if depth > DEEPEST:
            raise TemplateError(
                say("defaults in defaults, more than {deepest} levels deep; expected a few", deepest=DEEPEST)
            )
        parts, position = [], 0
        while (dollar := text.find("$", position)) >= 0:
            parts.append(text[position:dollar])
            filled, position = self._variable(text, dollar + 1, depth)
            parts.append(filled)
        return "".join([*parts, text[position:]])

    def _variable(self, text: str, after: int, depth: int) -> tuple[str, int]:
        """Return the value of the variable that begins behind a dollar, and where the text continues."""
        if text.startswith("$", after):
            return "$", after + 1
        if text.startswith("{", after):
            end = _closing(text, after)
            return self._braced(text[after + 1 : end], depth), end + 1
        name = NAME.match(text, after)
        return (self._plain(name[0]), name.end()) if name else ("$", after)

    def _braced(self, inside: str, depth: int) -> str:
        name = NAME.match(inside)
        if not name:
            raise TemplateError(WRONG)
        rest = inside[name.end() :]
        operator = OPERATOR.match(rest)
        if not operator and rest:
            raise TemplateError(WRONG)
        if not operator:
            return self._plain(name[0])
        return self._with_operator(name[0], operator[0], rest[operator.end() :], depth)

    def _with_operator(self, name: str, operator: str, word: str, depth: int) -> str:
        value = self.values.get(name)
        there = bool(value) if operator.startswith(":") else value is not None
        if operator.endswith("+"):
            return self.text(word, depth + 1) if there else ""
        if there:
            return value or ""
        if operator.endswith("?"):
            raise TemplateError(say("the variable {name} is required and not set; set it in .env", name=name))
        return self.text(word, depth + 1)

    def _plain(self, name: str) -> str:
        if name not in self.values:
            self.unset.add(name)
        return self.values.get(name, "")


def _closing(text: str, opening: int) -> int:
    """Return where the brace that opens at a position is closed."""
    depth, position = 0, opening
    while position < len(text):
        if text.startswith("${", position) or position == opening:
            depth += 1
            position += 2 if position != opening else 1
            continue
        if text[position] == "}":
            depth -= 1
            if not depth:
                return position
        position += 1
    raise TemplateError(say("a ${{ that is not closed; expected a }}"))


def interpolate(value: Any, filling: Interpolation, place: SourceLine) -> Any:
    """Fill in the variables of every text, in place; raises NotUnderstoodError."""
    if isinstance(value, str):
        if "$" not in value:
            return value
        try:
            return filling.text(value)
        except TemplateError as error:
            raise UnsupportedSyntaxError(place.file, place.line, str(error)) from None
    if isinstance(value, YamlMapping):
        for key, item in value.items():
            value[key] = interpolate(item, filling, value.places[key])
    elif isinstance(value, YamlSequence):
        for position, (item, where) in enumerate(value.placed()):
            value[position] = interpolate(item, filling, where)
    return value
