"""Secrets: wrapped values, and the one redactor that every record passes through."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from html import escape
from threading import Lock
from typing import Any, Final
from urllib.parse import quote, quote_plus

from engine.finding import LINES, SAID, cleaned, fitting, is_said
from engine.redaction.container_secrets import secrets_of
from engine.redaction.secret_patterns import (
    DIGEST,
    MARK,
    TELLING_NAME,
    URL_PASSWORD,
    is_high_entropy,
    is_secret,
    redact_lookalikes,
)

__all__ = ["MARK", "TELLING_NAME", "Redactor", "Secret"]

SHORTEST_REDACTED: Final = 6
SHORTEST_LINE: Final = 16
"""So long is a line of a secret of several lines (a key) that counts on its own: logs are read line by line."""

CUT: Final = 8
"""So many first characters of a value that looks random are that value, cut off."""

URL_ALPHABET: Final = str.maketrans("+/", "-_")
NAMED: Final = re.compile(
    r"(?i)(passw|passphrase|secret|token|credential|private_?key|api_?key|access_?key|encryption_?key)"
)
"""Names in a record whose text is a secret; fewer than of a container's environment, where nothing else than values
is next to them.
"""

REFERENCE: Final = re.compile(r"(env|file|command|container-env):.+")
BETWEEN: Final = "\n\0\n"
"""Between texts that are looked at together: no pattern reaches over it."""

BEGIN_KEY: Final = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY")
END_KEY: Final = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----")


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
        self._drawn: list[str] = []
        self._public: set[str] = set()
        self.counts: Counter[str] = Counter()
        self._learning = Lock()  # questions are asked side by side: none of their secrets may be lost

    def register(self, secret: Secret) -> Secret:
        """Remember a secret's value and return it; one under 6 characters can't be distinguished from other text.

        Its forms in JSON, in URLs, in HTML, in a shell's quotes and in base64 (alone or inside a longer text, such as
        user:password) count too, and each of its longer lines.
        """
        value = secret.reveal()
        lines = [line.strip() for line in re.split(r"\\n|\n", value)]
        parts = {
            value,
            value.strip(),
            *(line for line in lines if len(line) >= SHORTEST_LINE and line != value and "-----" not in line),
        }
        with self._learning:
            new = {part for part in parts if len(part) >= SHORTEST_REDACTED} - self._values
            if new:
                self._values |= new
                self._drawn = [*self._drawn, *(part for part in new if len(part) > CUT and is_high_entropy(part))]
                self._longest_first = sorted(
                    {*self._longest_first, *(form for part in new for form in _forms_of(part))}, key=len, reverse=True
                )
        return secret

    def register_environment(self, env: Mapping[str, str], marked: Collection[str] = ()) -> None:
        """Remember the values of a container's environment whose names say that they are secret, or are among
        `marked`.
        """
        for name, value in env.items():
            if name in marked or is_secret(name, value):
                self.register(Secret(value))
            for match in URL_PASSWORD.finditer(value):
                self.register(Secret(match["password"]))

    def register_container(self, inspect: Mapping[str, Any], marked: Collection[str] = ()) -> None:
        """Remember the secrets in what `docker inspect` shows of a container: environment, labels, command lines,
        options.
        """
        for value in secrets_of(inspect, marked):
            self.register(Secret(value))

    def publish(self, *names: str) -> None:
        """Take names of the plan and of steps for public: a password that is part of one can't be hidden, and records
        are found by them.
        """
        self._public.update(names)

    @property
    def removed(self) -> int:
        """Return how many were removed."""
        return self.counts.total()

    def count_removed(self, elsewhere: int) -> None:
        """Count what another process of this run removed."""
        self.counts["elsewhere"] += elsewhere

    def text(self, text: str) -> str:
        """Return `text` without secrets; counts what it removed: known values, and what only looked like one.

        A finding stays one where its fields, without secrets, give the same text.
        """
        cleared, found = redact_lookalikes(self.known(text))
        if found:
            self.counts["looked like one"] += found
        return cleaned(text, cleared, self.shown)

    def known(self, text: str) -> str:
        """Return `text` without the secrets that were registered, in any of their forms; counts them."""
        text, found = self._without_known(text)
        if found:
            self.counts["known"] += found
        return text

    def shown(self, text: str) -> str:
        """Return text for the screen without secrets; not counted: what counts is on record."""
        return redact_lookalikes(self._without_known(text)[0])[0]

    def _without_known(self, text: str) -> tuple[str, int]:
        text, found = self._without_whole(text)
        for value in self._drawn:
            while value[:CUT] in text:
                text, found = _without_begin(value, text), found + 1
        return text, found

    def _without_whole(self, text: str) -> tuple[str, int]:
        found = 0
        for value in self._longest_first:
            if value in text and not any(value in name for name in self._public):
                found += text.count(value)
                text = text.replace(value, MARK)
        return text, found

    def value(self, value: Any) -> Any:
        """Return a JSON-able value with all its texts (keys too) redacted."""
        texts: list[str] = []
        if _gather(value, texts) and self._is_clean(BETWEEN.join(texts)):
            return value
        return self._value(value)

    def hides(self, texts: Iterable[str]) -> bool:
        """Return whether a record would change any of these texts; nothing is counted."""
        texts = list(texts)
        return not self._is_clean(BETWEEN.join(texts)) and any(self.shown(text) != text for text in texts)

    def _is_clean(self, text: str) -> bool:
        """Return whether there is nothing to remove: for most records one search over all their texts is enough."""
        known = any(value in text for value in self._longest_first) or any(value[:CUT] in text for value in self._drawn)
        return not known and not redact_lookalikes(text)[1]

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping) and (is_said(value) or LINES in value):
            return self._said(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._named(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(item) for item in self._without_keys(value)]
        return value

    def _said(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a body whose texts have templates: fields are cleaned like the text, which alone is counted.

        A secret that only the whole text shows (a name before it, a line after it) is not found in a field alone:
        then the template goes and the text stays.
        """
        clean = {
            self.text(str(key)): self._named(str(key), item) for key, item in body.items() if key not in {*SAID, LINES}
        }
        return fitting(clean | self._uncounted({key: body[key] for key in (*SAID, LINES) if key in body}))

    def _uncounted(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.shown(value)
        if isinstance(value, Mapping):
            return {key: item if key == "template" else self._uncounted(item) for key, item in value.items()}
        return [self._uncounted(item) for item in value] if isinstance(value, list | tuple) else value

    def _named(self, name: str, item: Any) -> Any:
        """Return the value of a name: a text under a name that says so is a secret, unless it is a digest or says where
        one is kept.
        """
        if (
            not isinstance(item, str)
            or not item
            or not NAMED.search(name)
            or MARK in item
            or DIGEST.fullmatch(item)
            or REFERENCE.fullmatch(item)
        ):
            return self._value(item)
        self.counts["by name"] += 1
        return MARK

    def _without_keys(self, items: Sequence[Any]) -> Iterable[Any]:
        """Return a list without the lines of private keys: a log has them line by line."""
        inside = False
        for item in items:
            if not isinstance(item, str):
                yield item
                continue
            begins, ends = BEGIN_KEY.search(item), END_KEY.search(item)
            if inside or (begins and not ends):
                self.counts["looked like one"] += 1
                yield (item[: begins.start()] if begins and not inside else "") + MARK
                inside = not ends
            else:
                yield item


def _without_begin(value: str, text: str) -> str:
    """Return text without the first place where a secret begins and was cut off: long lines are shown in part."""
    start = text.index(value[:CUT])
    same = next(
        (number for number, (one, other) in enumerate(zip(value, text[start:], strict=False)) if one != other),
        len(text) - start,
    )
    return text[:start] + MARK + text[start + min(same, len(value)) :]


def _gather(value: Any, texts: list[str]) -> bool:
    """Collect all texts of a value; return whether no name in it says that its text is a secret."""
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            texts.append(str(key))
            if (isinstance(item, str) and _names_a_secret(str(key))) or not _gather(item, texts):
                return False
    elif isinstance(value, list | tuple):
        return all(_gather(item, texts) for item in value)
    return True


@lru_cache(maxsize=1024)
def _names_a_secret(name: str) -> bool:
    return bool(NAMED.search(name))


def _forms_of(value: str) -> set[str]:
    """Return what a value becomes on its way through other formats."""
    escaped = {
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        value.replace("'", "'\"'\"'"),
    }
    escaped |= (
        {_as_go_writes(form) for form in escaped}
        | {json.dumps(form)[1:-1] for form in escaped}
        | {escape(value), escape(value, quote=False)}
    )
    raw = value.encode("utf-8", "surrogateescape")
    in_urls = {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    in_urls |= {re.sub("%..", lambda found: found[0].lower(), form) for form in in_urls}
    encoded = {base64.b64encode(raw).decode().rstrip("="), *(_base64_inside(raw, before) for before in range(3))}
    encoded |= {form.translate(URL_ALPHABET) for form in encoded}
    return {form for form in {value} | escaped | in_urls | encoded if len(form) >= SHORTEST_REDACTED}


def _as_go_writes(text: str) -> str:
    """Return JSON as Docker writes it: Go escapes what HTML would read. https://pkg.go.dev/encoding/json#HTMLEscape."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _base64_inside(raw: bytes, before: int) -> str:
    """Return the characters of base64 that depend on `raw` alone when `before` (modulo 3) bytes are before it and any
    after it.
    """
    text = base64.b64encode(bytes(before) + raw).decode()
    return text[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
