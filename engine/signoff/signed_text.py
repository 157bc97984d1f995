"""Texts that a person reads and signs: a first line that says what kind, `name: value` lines, an empty
line, free text.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.command_line import ANY, typed_command
from engine.errors import InputError
from engine.finding import say


def statement_text(kind: str, fields: Mapping[str, str], text: str) -> str:
    """Return the text to sign; a value is one line, whatever a person typed, so that none can pose as another field."""
    return "\n".join([kind, *(f"{name}: {one_line(value)}" for name, value in fields.items()), "", text.rstrip(), ""])


def read_statement(text: str, kind: str, where: str, command: str) -> dict[str, str]:
    """Return the fields of a text of `statement_text`; raises InputError naming `where` and the command that signs
    again.
    """
    head, _, _ = text.partition("\n\n")
    first, *lines = head.splitlines() or [""]
    fields = {name: value for name, found, value in (line.partition(": ") for line in lines) if found}
    if first != kind or len(fields) != len(lines):
        what = kind.split()[1]
        raise InputError(
            say(
                '{where}: is no {what}. Expected: "{kind}" and lines "name: value". Sign again: {command}',
                where=where,
                what=what,
                kind=kind,
                command=typed_command(command, environment=ANY),
            )
        )
    return fields


def one_line(text: str) -> str:
    """Return a text in one line."""
    return " ".join(text.split()) or "-"
