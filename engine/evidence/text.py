"""How times and foreign text are shown."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

CONTROL = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def visible(text: object) -> str:
    """Return text with control, bidirectional and unpaired characters written as escapes; line breaks and tabs stay."""
    return "".join(f"\\u{ord(one):04x}" if one not in "\n\t" and unicodedata.category(one) in CONTROL else one for one in str(text))


def clock(moment: datetime) -> str:
    """Return a moment in UTC, as people read it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def seconds(duration_s: float) -> str:
    """Return a duration in the unit that fits."""
    if duration_s < 60:  # noqa: PLR2004 a minute
        return f"{duration_s:.1f} s"
    minutes, rest = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
