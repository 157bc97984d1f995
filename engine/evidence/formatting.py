"""How times, sizes and foreign text are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from engine.i18n.language import ENGLISH, Language
from engine.redaction.visible_text import visible

__all__ = ["clock", "local", "seconds", "size", "visible"]


def clock(moment: datetime, language: Language = ENGLISH) -> str:
    """Return a moment in UTC, as people read it."""
    return f"{language.moment(moment.astimezone(UTC))} UTC"


def local(moment: datetime, offset_s: int | None, language: Language = ENGLISH) -> str:
    """Return a moment as the operator's clock showed it, with that clock's distance from UTC; nothing when it was not
    recorded.
    """
    if offset_s is None:
        return ""
    here = moment.astimezone(timezone(timedelta(seconds=offset_s)))
    return language.say("{moment} local ({zone})", moment=language.moment(here), zone=here.tzname())


def size(size_bytes: int, language: Language = ENGLISH) -> str:
    """Return a size in the unit that fits (powers of 1000)."""
    value = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004 the next unit
            return (
                language.several("{number} byte", "{number} bytes", size_bytes)
                if unit == "bytes"
                else f"{language.number(value, 1)} {unit}"
            )
        value /= 1000
    return f"{language.number(value, 1)} TB"


def seconds(duration_s: float, language: Language = ENGLISH) -> str:
    """Return a duration in the unit that fits."""
    if duration_s < 60:  # noqa: PLR2004 a minute
        return f"{language.number(duration_s, 1)} s"
    minutes, rest = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
