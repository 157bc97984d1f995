"""Languages: everything is written in English; a catalogue gives it to people in another, Babel gives numbers and times
as they write them.

A text is translated where it is shown, never where it is recorded: the journal is in English, so a run can be drawn in
any language. A finding (engine/finding.py) is recorded with its template and fields, so it is translated too. What
hosts answered and commands stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from babel.dates import format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, get_decimal_symbol, get_group_symbol

from engine.errors import InputError
from engine.finding import Finding, finding_of
from engine.finding import lines_of as lines_in
from engine.i18n import marking

CATALOGUES: Final = Path(__file__).parent / "locale"
ORIGINAL: Final = "en"
LANGUAGES: Final = (ORIGINAL, "pt-BR")
LOCALES: Final = {ORIGINAL: "en", "pt-BR": "pt_BR"}
DATES: Final = {ORIGINAL: "yyyy-MM-dd HH:mm:ss", "pt-BR": "dd/MM/yyyy HH:mm:ss"}
"""ISO 8601 in English: nobody takes a day for a month. The order of days and months is the Brazilian one otherwise."""


@dataclass(frozen=True)
class Language:
    """One language of people."""

    code: str = ORIGINAL
    catalogue: NullTranslations = field(default_factory=NullTranslations, compare=False, repr=False)

    def say(self, text: str, /, **values: Any) -> str:
        """Return a text in this language with its values put in; one that the catalogue lacks stays English."""
        if isinstance(text, Finding):
            return str(self.translate(text))
        template = self.catalogue.gettext(text) if text else ""
        return (
            template.format(**{name: self.translate(value) for name, value in values.items()}) if values else template
        )

    def translate(self, value: Any) -> Any:
        """Return a finding in this language, and anything else as it is; what the catalogue lacks stays English."""
        if not isinstance(value, Finding):
            return value
        return value.render(self.catalogue.gettext, self.figure) if self.code != ORIGINAL else str.__str__(value)

    def text_of(self, body: Mapping[str, Any], name: str = "text") -> str:
        """Return the text of a record in this language."""
        return str(self.translate(finding_of(body, name)))

    def details_of(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the details of a record in this language."""
        return tuple(map(self.translate, lines_in(body)))

    def figure(self, value: float, spec: str) -> str:
        """Return a number in the format of a finding's field, with the separators of this language."""
        return format(value, spec).translate(_separators(self.code))

    def several(self, one: str, many: str, number: int, /, **values: Any) -> str:
        """Return the text that fits a number, with `{number}` and its values put in."""
        return self.catalogue.ngettext(one, many, number).format(number=self.number(number), **values)

    def number(self, value: float, places: int = 0) -> str:
        """Return a number with as many decimal places."""
        return _number(value, places, self.code)

    def moment(self, at: datetime) -> str:
        """Return date and time of day, in the zone that `at` carries."""
        return str(format_datetime(at, DATES[self.code], locale=LOCALES[self.code]))


ENGLISH: Final = Language()
term, terms = marking.term, marking.terms


@cache
def _separators(code: str) -> dict[int, str]:
    return str.maketrans({",": get_group_symbol(LOCALES[code]), ".": get_decimal_symbol(LOCALES[code])})


@lru_cache(maxsize=4096)
def _number(value: float, places: int, code: str) -> str:
    return str(
        format_decimal(
            round(value, places), format="#,##0" + ("." + "0" * places if places else ""), locale=LOCALES[code]
        )
    )


@cache
def language_of(code: str) -> Language:
    """Return a language by its code; raises InputError for one without a catalogue."""
    if code not in LANGUAGES:
        raise InputError(f"--lang {code}: not known. Expected: one of {', '.join(LANGUAGES)}")
    return ENGLISH if code == ORIGINAL else Language(code, _compiled(code))


def language_asked(argv: Sequence[str]) -> Language:
    """Return the language of a command line's `--lang`, English where it asks for none that there is."""
    for position, argument in enumerate(argv):
        flag, _, code = argument.partition("=")
        code = code or (argv[position + 1] if position + 1 < len(argv) else "")
        if flag == "--lang" and code in LANGUAGES:
            return language_of(code)
    return ENGLISH


def catalogue_file(code: str) -> Path:
    """Return where a language's texts are kept."""
    return CATALOGUES / f"{LOCALES[code]}.po"


def _compiled(code: str) -> GNUTranslations:
    """Return a catalogue ready for use; compiled in memory, so that it is never older than its text."""
    compiled = BytesIO()
    with catalogue_file(code).open("rb") as file:
        write_mo(compiled, read_po(file, locale=LOCALES[code]))
    compiled.seek(0)
    return GNUTranslations(compiled)
