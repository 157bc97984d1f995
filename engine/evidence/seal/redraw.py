"""What is drawn from a run's records: the page, the summary and JUnit XML; and by which drawing, so that it can be
drawn again and compared.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from html import unescape
from importlib.metadata import version
from pathlib import Path
from typing import Final

import rfc8785

from engine.constants import VERSION
from engine.evidence.facts.other_runs import read_others
from engine.evidence.facts.record_reader import Reader
from engine.evidence.formats.junit import junit
from engine.evidence.formats.markdown import summary
from engine.evidence.page.html import render
from engine.evidence.page.page import Page, view_of
from engine.evidence.seal.cross_check import STAMP, stamped
from engine.evidence.seal.sealed_folder import JUNIT, OTHERS, PAGE, SUMMARY, Sealed
from engine.i18n.language import LANGUAGES, Language, language_of
from engine.journal.journal import Record

ENGINE: Final = Path(__file__).resolve().parents[2]
LIBRARIES: Final = ("jinja2", "babel", "markupsafe")
DRAWS: Final = frozenset({".py", ".j2", ".css", ".js", ".po"})
LANG: Final = re.compile(r'<html lang="([A-Za-z-]+)">')
SHOWN: Final = 80


@cache
def drawing() -> str:
    """Return what identifies a drawing: this version, and a digest over its code, templates, texts and
    libraries.
    """
    files = {path.relative_to(ENGINE).as_posix(): path for path in ENGINE.rglob("*") if path.suffix in DRAWS}
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    digests |= {name: version(name) for name in LIBRARIES}
    return f"{VERSION} {hashlib.sha256(rfc8785.dumps(dict(digests))).hexdigest()[:12]}"


def draw(page: Page, records: Sequence[Record]) -> dict[str, str]:
    """Return the drawn files by their name."""
    return {PAGE: stamped(render(page), records, drawing()), JUNIT: junit(page), SUMMARY: summary(page)}


def drawn_again(reader: Reader, run_id: str, language: Language, altered: tuple[str, ...]) -> dict[str, str]:
    """Return the drawn files, made again from the records of a folder."""
    page = view_of(reader, run_id, language, altered)
    return draw(page, reader.records(run_id=run_id))


def drawn_by(html: str) -> str:
    """Return by which drawing a page says that it was made, "" when it does not say."""
    stamps = STAMP.findall(html)
    try:
        stamp = json.loads(unescape(stamps[0])) if len(stamps) == 1 else {}
    except ValueError:
        return ""
    return str(stamp.get("drawn_by") or "") if isinstance(stamp, dict) else ""


def drawn_problems(sealed: Sealed, records: Sequence[Record]) -> Iterator[str]:
    """Yield which of the drawn files is not what the records of the folder give; for a page of exactly this drawing."""
    reader, altered, problems = read_others(sealed.text(OTHERS), records)
    yield from problems
    if problems:
        return
    found = LANG.search(sealed.text(PAGE))
    if found is None or found[1] not in LANGUAGES:
        yield f"{PAGE}: is in no language of ours. Expected: one of {', '.join(LANGUAGES)}"
        return
    for name, expected in drawn_again(reader, records[0].run_id, language_of(found[1]), altered).items():
        if name in sealed.files and sealed.files[name] != expected.encode():
            yield (
                f"{name}: is not what the records give: {_first_difference(sealed.text(name), expected)}. "
                "Expected: as it was drawn"
            )


def _first_difference(seen: str, expected: str) -> str:
    theirs, ours = seen.splitlines(), expected.splitlines()
    for number, (one, other) in enumerate(zip(theirs, ours, strict=False), start=1):
        if one != other:
            start = next(
                (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
            )
            return f'line {number} says "{one[start : start + SHOWN]}", the records "{other[start : start + SHOWN]}"'
    return f"it has {len(theirs)} lines, the records give {len(ours)}"
