"""`.env`: the values of variables as Compose reads them, quotes, comments and variables in values included.

https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/#env-file-syntax
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from checks.compose.interpolation import Interpolation, TemplateError
from engine.errors import UnsupportedSyntaxError
from engine.finding import say

KEY: Final = re.compile(
    r"[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_][A-Za-z0-9_.\[\]-]*)[ \t]*(?:(?P<sign>[=:])[ \t]*|(?=[#\n]|$))"
)
INLINE_COMMENT: Final = re.compile(r"(?:^|[ \t]+)#.*")
ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$", "'": "'"}


def parse_dotenv(content: bytes | str, file: str, outer: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of a .env file; `outer` are those that win over it. Raises NotUnderstoodError
    with the line.
    """
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    except UnicodeDecodeError as error:
        raise UnsupportedSyntaxError(
            file, error.object.count(b"\n", 0, error.start) + 1, say("not UTF-8; expected a text file")
        ) from None
    text = text.replace("\r\n", "\n")
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        position = _entry(text, position, file, found, outer or {})
    return found


def _entry(text: str, position: int, file: str, found: dict[str, str], outer: Mapping[str, str]) -> int:
    """Read the line at a position (with a quoted value perhaps more than one); return where the next one begins."""
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    line = text[position:end].strip()
    if not line or line.startswith("#"):
        return end + 1
    key = KEY.match(text, position, end)
    if not key:
        raise _wrong(text, position, file, say("no variable; expected NAME=value"))
    if not key["sign"]:
        return end + 1  # a name alone takes its value from the shell that starts Compose: nobody can know it
    quote = text[key.end() : key.end() + 1]
    if quote in {'"', "'"}:
        value, after = _quoted(text, key.end(), quote, file)
        rest = text.find("\n", after)
        end = len(text) if rest < 0 else rest
    else:
        value = INLINE_COMMENT.sub("", text[key.end() : end]).strip()
    if quote != "'":
        try:
            value = Interpolation({**found, **outer}).text(value)
        except TemplateError as error:
            raise _wrong(text, position, file, str(error)) from None
    found[key["key"]] = value
    return end + 1


def _quoted(text: str, opening: int, quote: str, file: str) -> tuple[str, int]:
    """Return the text between quotes, escapes resolved, and where it ends."""
    parts: list[str] = []
    position = opening + 1
    while position < len(text):
        sign = text[position]
        if sign == quote:
            return "".join(parts), position + 1
        if sign == "\\" and position + 1 < len(text) and (quote == '"' or text[position + 1] == quote):
            following = text[position + 1]
            parts.append(ESCAPES.get(following, f"\\{following}"))
            position += 2
            continue
        parts.append(sign)
        position += 1
    raise _wrong(text, opening, file, say("a quote that is not closed; expected the same quote at the value's end"))


def _wrong(text: str, position: int, file: str, reason: str) -> UnsupportedSyntaxError:
    return UnsupportedSyntaxError(file, text.count("\n", 0, position) + 1, reason)
