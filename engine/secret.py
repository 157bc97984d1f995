"""Secrets: wrapped values, and the one redactor that every record passes through."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

MARK: Final = "***"
SHORTEST_REDACTED: Final = 6
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
        self._public: set[str] = set()
        self.removed = 0

    def register(self, secret: Secret) -> Secret:
        """Remember a secret's value (those under 6 characters can't be told from other text) and return it."""
        value = secret.reveal()
        if len(value) >= SHORTEST_REDACTED:
            self._values.add(value)
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
        for value in sorted(self._values, key=len, reverse=True):
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
