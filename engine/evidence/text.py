"""How times, sizes and foreign text are shown."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from engine.language import ENGLISH, Language

CONTROL: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def visible(text: object) -> str:
    """Return text with control, bidirectional, unpaired and non-characters written as escapes; line breaks and tabs stay.

    What is left may stand in XML 1.0, whose Char leaves out most controls, surrogates, U+FFFE and U+FFFF.
    """
    told = str(text)
    if told.isprintable():  # most is: only what Python can't print needs a closer look
        return told
    return "".join(f"\\u{ord(one):04x}" if one not in "\n\t" and _unseen(one) else one for one in told)


def _unseen(one: str) -> bool:
    number = ord(one)
    return unicodedata.category(one) in CONTROL or number & 0xFFFE == 0xFFFE or 0xFDD0 <= number <= 0xFDEF  # noqa: PLR2004 Unicode's non-characters


def clock(moment: datetime, language: Language = ENGLISH) -> str:
    """Return a moment in UTC, as people read it."""
    return f"{language.moment(moment.astimezone(UTC))} UTC"


def local(moment: datetime, offset_s: int | None, language: Language = ENGLISH) -> str:
    """Return a moment as the operator's clock showed it, with that clock's distance from UTC; nothing when it was not recorded."""
    if offset_s is None:
        return ""
    here = moment.astimezone(timezone(timedelta(seconds=offset_s)))
    return language.say("{moment} local ({zone})", moment=language.moment(here), zone=here.tzname())


def size(size_bytes: int, language: Language = ENGLISH) -> str:
    """Return a size in the unit that fits (powers of 1000)."""
    value = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004 the next unit
            return language.several("{number} byte", "{number} bytes", size_bytes) if unit == "bytes" else f"{language.number(value, 1)} {unit}"
        value /= 1000
    return f"{language.number(value, 1)} TB"


def seconds(duration_s: float, language: Language = ENGLISH) -> str:
    """Return a duration in the unit that fits."""
    if duration_s < 60:  # noqa: PLR2004 a minute
        return f"{language.number(duration_s, 1)} s"
    minutes, rest = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
