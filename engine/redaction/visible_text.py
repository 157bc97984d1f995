"""Foreign text made visible: what a screen, a browser or an XML parser would obey is shown as an escape."""

from __future__ import annotations

import unicodedata
from typing import Final

CONTROL: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def visible(text: object) -> str:
    """Return text with control, bidirectional, unpaired and non-characters written as escapes; line breaks and tabs
    stay.

    What is left is allowed in XML 1.0, whose Char leaves out most controls, surrogates, U+FFFE and U+FFFF.
    """
    shown = str(text)
    if shown.isprintable():  # most is: only what Python can't print needs a closer look
        return shown
    return "".join(f"\\u{ord(one):04x}" if one not in "\n\t" and _unseen(one) else one for one in shown)


def _unseen(one: str) -> bool:
    number = ord(one)
    return unicodedata.category(one) in CONTROL or number & 0xFFFE == 0xFFFE or 0xFDD0 <= number <= 0xFDEF  # noqa: PLR2004 Unicode's non-characters
