"""pytest-html's own page, the technical appendix: it goes into the run's folder without secrets."""

from __future__ import annotations

import json
import re
from html import escape, unescape
from pathlib import Path
from typing import Final

from engine.evidence.seal.seal import write_whole
from engine.redaction.redactor import Redactor

DATA: Final = re.compile(r'data-jsonblob="([^"]*)"')
"""Where pytest-html keeps its rows, logs and environment: JSON in an attribute."""


def move_appendix(raw: Path, target: Path, redactor: Redactor) -> None:
    """Write what pytest-html wrote to `raw` to `target`, without secrets, and remove `raw`; nothing when it
    wrote none.
    """
    if not raw.is_file():
        return
    write_whole(target, without_secrets(raw.read_text(encoding="utf-8"), redactor))
    raw.unlink()
    if not any(raw.parent.iterdir()):
        raw.parent.rmdir()


def without_secrets(html: str, redactor: Redactor) -> str:
    """Return the page without secrets: its data as values, what is around it (styles, scripts) without known
    secrets only.
    """
    parts = DATA.split(html)
    around = [redactor.known(part) for part in parts[::2]]
    data = [f'data-jsonblob="{escape(_clean(blob, redactor))}"' for blob in parts[1::2]]
    return "".join(part for pair in zip(around, [*data, ""], strict=True) for part in pair)


def _clean(blob: str, redactor: Redactor) -> str:
    text = unescape(blob)
    try:
        return json.dumps(redactor.value(json.loads(text)))
    except ValueError:
        return json.dumps({"unreadable": redactor.text(text)})
