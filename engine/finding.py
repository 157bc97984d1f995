"""A finding: a sentence for people that knows its template and its values, so that any language can show it.

`say("{host}: no container {name}", host=host, name=name)` returns the English sentence as a `str`. Records, consoles
and pages that know the template write the same sentence in the reader's language; everything else uses the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from string import Formatter
from typing import Any, Final, Self

SPEC: Final = re.compile(r",?(\.\d{1,2})?[dfg%]?")
"""How a number may be formatted. Nothing else: templates are also read from files that anybody may have written."""
ROW: Final = "{parts}"
"""The template of texts that are only joined."""
DEEPEST: Final = 40
"""Findings inside findings; a record that nests deeper was not written by us."""
LARGEST: Final = 2**53 - 1
"""Of an integer that JSON carries exactly."""
TEXTS: Final = frozenset({"text", "describe"})
SAID: Final = frozenset({"template", "fields"})
"""The names under which a record keeps a sentence in English, and what it is made of."""
LINES: Final = "details_said"
"""Holds the templates of a record's `details`, each with the number of its line."""


@dataclass(frozen=True)
class Parts:
    """Texts joined with a separator between them."""

    separator: str
    each: tuple[Any, ...]
    longest: int = 0
    """So many characters of the first line are shown at most; 0 where all is."""

    def shown(self, show: Callable[[Any], str]) -> str:
        """Return the texts in their row, each as `show` writes it."""
        text = show(self.separator).join(map(show, self.each))
        if not self.longest:
            return text
        first = (text.splitlines() or [""])[0]
        return first if len(first) <= self.longest else first[: self.longest - 3] + "…"


class Finding(str):
    """A sentence in English that keeps its template and its fields; it equals and hashes as its text."""

    template: str
    fields: Mapping[str, Any]

    __slots__ = ("fields", "template")

    def __new__(cls, text: str, template: str, fields: Mapping[str, Any]) -> Self:
        """Return a finding; use `say`, which makes the text."""
        made = super().__new__(cls, text)
        made.template, made.fields = template, fields
        return made

    def __str__(self) -> str:
        """Return the finding itself: `str(error)`, by which an error's text is read, keeps the template."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive pickling and copying."""
        return Finding, (str.__str__(self), self.template, dict(self.fields))

    def render(self, translate: Callable[[str], str], number: Callable[[float, str], str]) -> str:
        """Return the sentence with the template that `translate` gives and numbers as `number` writes them."""
        return _filled(self, translate, number)


def say(template: str, /, **fields: object) -> Finding:
    """Return a sentence for people; `template` is a literal, which the catalogue collects."""
    kept = {field: _field(fields[field]) for _, field, _ in _pieces(template) if field}
    return Finding(_english(template, kept), template, kept)


def joined(separator: str, parts: Iterable[object]) -> str:
    """Return texts in a row; a finding when one of them is, so that each is shown in the reader's language."""
    each = tuple(map(_field, parts))
    text = separator.join(map(_plain, each))
    if not any(isinstance(part, Finding) for part in (*each, separator)):
        return text
    return Finding(text, ROW, {"parts": Parts(separator, each)})


def lines_of_text(text: str) -> tuple[str, ...]:
    """Return a text line by line, each a finding where it is one, without an empty one at the end."""
    lines = _lines(text)
    return lines[:-1] if lines[-1] == "" else lines


def _lines(text: str) -> tuple[str, ...]:
    row = text.fields.get("parts") if isinstance(text, Finding) and text.template == ROW else None
    if isinstance(row, Parts) and row.separator == "\n" and not row.longest:
        return tuple(line for part in row.each for line in _lines(part))
    return tuple(text.split("\n")) if "\n" in text else (text,)


def first_line(text: str, longest: int) -> str:
    """Return the first line of a text, and of a long one its begin, in any language."""
    part = Parts("", (text,), longest)
    short = part.shown(_plain)
    return Finding(short, ROW, {"parts": part}) if isinstance(text, Finding) else short


def stripped(text: str) -> str:
    """Return text without blanks around it; a finding that has none stays one."""
    bare = text.strip()
    return text if bare == text else bare


def has_words(template: str) -> bool:
    """Return whether a template holds words of its own, so that it can be translated."""
    words = (word for literal, _, _ in _pieces(template) for word in re.findall(r"[^\W\d_]+", literal))
    return any(len(word) > 1 or word == "a" for word in words)


def recorded(text: str, name: str = "text") -> dict[str, Any]:
    """Return a text as a record keeps it: in English, and with its template and fields where it has them."""
    plain = str.__str__(text)
    said = _encoded(text) if isinstance(text, Finding) else None
    return {name: plain, **said} if said else {name: plain}


def recorded_lines(lines: Iterable[str]) -> dict[str, Any]:
    """Return the `details` of a record, and with them the templates of those that have one."""
    kept = tuple(lines)
    said = [
        {"line": number, **encoded}
        for number, line in enumerate(kept)
        if isinstance(line, Finding) and (encoded := _encoded(line))
    ]
    return {"details": [str.__str__(line) for line in kept], **({LINES: said} if said else {})}


def finding_of(body: Mapping[str, Any], name: str = "text") -> str:
    """Return a record's text; a finding where its template and fields give that text."""
    text = str(body.get(name) or "")
    said = _decoded(body)
    return said if said is not None and said == text else text


def lines_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a record's `details`, each a finding where its template and fields give it."""
    lines = [str(line) for line in body.get("details") or ()]
    for number, said in _said_lines(body):
        if said is not None and number < len(lines) and said == lines[number]:
            lines[number] = said
    return tuple(lines)


def misfits(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts of a record that its templates and fields do not give, those of a table's cells too."""
    left: list[Any] = [body]
    while left:
        value = left.pop()
        if isinstance(value, Mapping):
            yield from _misfits(value)
            left += value.values()
        elif isinstance(value, list):
            left += value


def _misfits(body: Mapping[str, Any]) -> Iterator[str]:
    if is_said(body):
        said = _decoded(body)
        if said is None or not any(said == body.get(name) for name in TEXTS):
            yield str(body.get("text") or body.get("describe") or "")
    lines = body.get("details") or ()
    for number, said in _said_lines(body):
        if said is None or number >= len(lines) or said != lines[number]:
            yield str(lines[number]) if number < len(lines) else ""


def fitting(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's body without the templates that do not give its texts: the text alone counts."""
    kept = dict(body)
    if is_said(kept) and not any(isinstance(finding_of(kept, name), Finding) for name in TEXTS):
        kept = {name: value for name, value in kept.items() if name not in SAID}
    if LINES in kept and "details" in kept:
        whole = {number for number, line in enumerate(lines_of(kept)) if isinstance(line, Finding)}
        said = [one for one in kept.pop(LINES) if one["line"] in whole]
        kept |= {LINES: said} if said else {}
    return kept


def is_said(body: Mapping[str, Any]) -> bool:
    """Return whether a record's body holds a text with its template and fields."""
    return set(body) >= SAID and not TEXTS.isdisjoint(body)


def cleaned(text: str, whole: str, clean: Callable[[str], str]) -> str:
    """Return `whole`, which is `text` without its secrets, as a finding when cleaning each field gives the same."""
    if not isinstance(text, Finding):
        return whole
    fields = {name: _mapped(value, clean) for name, value in text.fields.items()}
    return Finding(whole, text.template, fields) if _english(text.template, fields) == whole else whole


def _mapped(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, Finding):
        fields = {name: _mapped(one, clean) for name, one in value.fields.items()}
        return Finding(_english(value.template, fields), value.template, fields)
    if isinstance(value, Parts):
        each = tuple(_mapped(one, clean) for one in value.each)
        return Parts(_mapped(value.separator, clean), each, value.longest)
    return clean(value) if isinstance(value, str) else value


def _field(value: object) -> Any:
    """Return a value as a finding keeps it: numbers stay numbers, everything else becomes text."""
    if isinstance(value, Finding | Parts) or type(value) in {int, float}:
        return value
    text = format(value) if isinstance(value, str) else str(value)
    found = text.fields.get("parts") if isinstance(text, Finding) and text.template == ROW else None
    return found or text


@lru_cache(maxsize=4096)
def _pieces(template: str) -> tuple[tuple[str, str, str], ...]:
    """Return a template's pieces: a literal, and the name and format of the field behind it, "" at the end.

    Raises ValueError for what is no template of ours.
    """
    pieces = []
    for literal, name, spec, conversion in Formatter().parse(template):
        if conversion or (name is not None and not name.isidentifier()) or not SPEC.fullmatch(spec or ""):
            raise ValueError(f"{template}: not a template. Expected: fields with a name, and a number's format")
        pieces.append((literal, name or "", spec or ""))
    return tuple(pieces)


def _english(template: str, fields: Mapping[str, Any]) -> str:
    return "".join(
        f"{literal}{_plain(fields[name], spec) if name else ''}" for literal, name, spec in _pieces(template)
    )


def _plain(value: Any, spec: str = "") -> str:
    if isinstance(value, Parts):
        return value.shown(_plain)
    return str.__str__(value) if isinstance(value, str) else format(value, spec)


def _filled(finding: Finding, translate: Callable[[str], str], number: Callable[[float, str], str]) -> str:
    pieces = _pieces(finding.template)
    if has_words(finding.template):
        with_words = translate(finding.template)
        try:
            pieces = _pieces(with_words)
        except ValueError:
            pieces = _pieces(finding.template)
        if any(name and name not in finding.fields for _, name, _ in pieces):
            pieces = _pieces(finding.template)

    def shown(value: Any, spec: str = "") -> str:
        if isinstance(value, Parts):
            return value.shown(shown)
        if isinstance(value, Finding):
            return _filled(value, translate, number)
        return value if isinstance(value, str) else number(value, spec)

    return "".join(f"{literal}{shown(finding.fields[name], spec) if name else ''}" for literal, name, spec in pieces)


def _encoded(finding: Finding) -> dict[str, Any] | None:
    """Return template and fields for a record, None where JSON can't carry a number as it is."""
    try:
        return {"template": finding.template, "fields": {name: _json(one, 1) for name, one in finding.fields.items()}}
    except ValueError:
        return None


def _json(value: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(value, Finding):
        fields = {name: _json(one, depth + 1) for name, one in value.fields.items()}
        return {"template": value.template, "fields": fields}
    if isinstance(value, Parts):
        longest = {"longest": value.longest} if value.longest else {}
        parts = [_json(one, depth + 1) for one in value.each]
        return {"separator": _json(value.separator, depth + 1), "parts": parts, **longest}
    if not isinstance(value, str) and (not math.isfinite(value) or abs(value) > LARGEST):
        raise ValueError(f"{value} is no number that JSON carries exactly")
    return value


def _decoded(body: Mapping[str, Any], depth: int = 0) -> Finding | None:
    """Return the finding of a record, None where its template and fields are none that we write."""
    template, fields = body.get("template"), body.get("fields")
    if not isinstance(template, str) or not isinstance(fields, Mapping):
        return None
    try:
        kept = {str(name): _value(one, depth + 1) for name, one in fields.items()}
        if set(kept) != {name for _, name, _ in _pieces(template) if name}:
            return None  # a field that the text does not show could be anything
        return Finding(_english(template, kept), template, kept)
    except (ValueError, LookupError, TypeError, OverflowError):
        return None


def _value(encoded: Any, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(encoded, Mapping) and "parts" in encoded:
        each = tuple(_value(one, depth + 1) for one in encoded["parts"])
        return Parts(_value(encoded["separator"], depth + 1), each, int(encoded.get("longest", 0)))
    if isinstance(encoded, Mapping):
        found = _decoded(encoded, depth)
        if found is None:
            raise ValueError("no template")
        return found
    if isinstance(encoded, bool) or not isinstance(encoded, str | int | float):
        raise TypeError(f"{encoded!r} is neither text nor number")
    return encoded


def _said_lines(body: Mapping[str, Any]) -> Iterator[tuple[int, Finding | None]]:
    said = body.get(LINES)
    for one in said if isinstance(said, list) else ():
        if isinstance(one, Mapping) and isinstance(one.get("line"), int) and one["line"] >= 0:
            yield one["line"], _decoded(one)
