"""Languages: everything is written in English; a catalogue gives it to people in another, Babel gives numbers and times
as they write them.

A text is translated where it is shown, never where it is recorded: the journal is in English, so a run can be drawn in
any language. What hosts answered, error messages and commands stay as they are.
"""

from __future__ import annotations

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
from babel.numbers import format_decimal

from engine.errors import InputError
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
        told = self.catalogue.gettext(text) if text else ""
        return told.format(**values) if values else told

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
