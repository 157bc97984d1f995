"""Secrets: wrapped values, and the one redactor that every record passes through."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus

MARK: Final = "***"
SHORTEST_REDACTED: Final = 6
URL_ALPHABET: Final = str.maketrans("+/", "-_")
TELLING_NAME: Final = re.compile(r"(?i)(passw|secret|token|credential|private|api_?key|access_?key|encryption_?key|auth|cookie|dsn|connection)")
URL_PASSWORD: Final = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^\s/:@]*:)(?P<password>[^\s@/]+)@", re.IGNORECASE)
PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
ASSIGNMENT: Final = re.compile(
    r"(?i)(?P<head>\b[\w-]*(?:password|passwd|secret|token|api[_-]?key)[\w-]*['\"]?\s*[=:]\s*['\"]?)(?P<value>[^\s'\",;&]{3,})"
)


class Secret:
    """A credential. `str`, `repr` and formatting print `Secret(***)`; only transport calls `reveal`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Wrap `value`."""
        self._value = value

    def reveal(self) -> str:
        """Return the value; call it where bytes leave for a host or client, nowhere else."""
        return self._value

    def __repr__(self) -> str:
        """Return the same text for every secret."""
        return f"Secret({MARK})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Compare values, so tests can."""
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        """Hash the value."""
        return hash(self._value)


class Redactor:
    """Replaces every registered secret, and what looks like one, in all text that is recorded or shown."""

    def __init__(self) -> None:
        """Start without any known secret; patterns always apply."""
        self._values: set[str] = set()
        self._longest_first: list[str] = []
        self._public: set[str] = set()
        self.removed = 0

    def register(self, secret: Secret) -> Secret:
        """Remember a secret's value and return it; one under 6 characters can't be told from other text.

        Its forms in JSON, in URLs, in a shell's quotes and in base64 (alone or inside a longer text, such as user:password) count too.
        """
        value = secret.reveal()
        if len(value) >= SHORTEST_REDACTED and value not in self._values:
            self._values.add(value)
            self._longest_first = sorted({*self._longest_first, *_forms_of(value)}, key=len, reverse=True)
        return secret

    def register_environment(self, env: Mapping[str, str]) -> None:
        """Remember the values of a container's environment whose names tell that they are secret."""
        for name, value in env.items():
            if TELLING_NAME.search(name):
                self.register(Secret(value))
            for match in URL_PASSWORD.finditer(value):
                self.register(Secret(match["password"]))

    def publish(self, *names: str) -> None:
        """Take names of the plan and of steps for public: a password that is part of one can't be hidden, and records are found by them."""
        self._public.update(names)

    def text(self, text: str) -> str:
        """Return `text` without secrets; counts what it removed in `removed`."""
        for value in self._longest_first:
            if value in text and not any(value in name for name in self._public):
                self.removed += text.count(value)
                text = text.replace(value, MARK)
        text = self._sub(PRIVATE_KEY, MARK, text)
        text = self._sub(URL_PASSWORD, rf"\g<head>{MARK}@", text)
        return self._sub(ASSIGNMENT, rf"\g<head>{MARK}", text)

    def _sub(self, pattern: re.Pattern[str], replacement: str, text: str) -> str:
        found = sum(1 for match in pattern.finditer(text) if MARK not in match.group())
        if not found:
            return text
        self.removed += found
        return pattern.sub(replacement, text)

    def value(self, value: Any) -> Any:
        """Return a JSON-able value with all its texts (keys too) redacted."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value


def _forms_of(value: str) -> set[str]:
    """Return what a value becomes on its way through other formats."""
    escaped = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1], value.replace("'", "'\"'\"'")}
    raw = value.encode("utf-8", "surrogateescape")
    in_urls = {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    in_urls |= {re.sub("%..", lambda found: found[0].lower(), form) for form in in_urls}
    encoded = {base64.b64encode(raw).decode().rstrip("="), *(_base64_inside(raw, before) for before in range(3))}
    encoded |= {form.translate(URL_ALPHABET) for form in encoded}
    return {form for form in {value} | escaped | in_urls | encoded if len(form) >= SHORTEST_REDACTED}


def _base64_inside(raw: bytes, before: int) -> str:
    """Return the characters of base64 that depend on `raw` alone when `before` (modulo 3) bytes stand before it and any after it."""
    text = base64.b64encode(bytes(before) + raw).decode()
    return text[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
