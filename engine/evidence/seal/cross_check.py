"""Whether what was drawn from a run's records says the same as they do: totals and cases of junit.xml, totals of the
page.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape, unescape
from typing import Any, Final
from xml.etree import ElementTree as ET

from engine.constants import NAME
from engine.evidence.formats.journal_jsonl import runs_in
from engine.evidence.formats.junit import TOTALS, cases_of, totals_of
from engine.evidence.seal.in_toto import steps_of
from engine.evidence.seal.sealed_folder import JUNIT, PAGE
from engine.journal.journal import Record

META: Final = f"{NAME}-evidence"
STAMP: Final = re.compile(rf'<meta name="{META}" content="([^"]*)">')
HEAD: Final = re.compile(r"<head\b[^>]*>")
TAGS: Final = (*TOTALS.values(), "")


def stamped(html: str, records: Sequence[Record], drawn_by: str = "") -> str:
    """Return the page with its run, totals, chain head and by which drawing it was made, where a program
    can read them.
    """
    stamp = escape(json.dumps({**_totals(records), "drawn_by": drawn_by}, sort_keys=True))
    return HEAD.sub(lambda head: f'{head[0]}\n<meta name="{META}" content="{stamp}">', html, count=1)


def _totals(records: Sequence[Record]) -> dict[str, Any]:
    totals = Counter(str(row["verdict"]) for row in steps_of(records))
    return {"run": runs_in(records), "head": records[-1].hash, "rows": totals.total(), "totals": dict(totals)}


def page_problems(html: str, records: Sequence[Record]) -> Iterable[str]:
    """Yield how the page's totals differ from the records'."""
    stamps = STAMP.findall(html)
    if len(stamps) != 1:
        yield f'{PAGE}: {len(stamps)} lines <meta name="{META}">. Expected: one, with the run\'s totals'
        return
    try:
        stamp: Any = json.loads(unescape(stamps[0]))
    except ValueError:
        stamp = None
    expected = _totals(records)
    if not isinstance(stamp, dict):
        yield f"{PAGE}: its totals can't be read. Expected: {expected['totals']}"
        return
    for name, value in expected.items():
        if stamp.get(name) != value:
            yield f"{PAGE}: says {name} is {stamp.get(name)}. Expected: {value}, as in the records"


def junit_problems(text: str, records: Sequence[Record]) -> Iterable[str]:
    """Yield how the totals and cases of junit.xml differ from the records' rows."""
    suite = _suite(text)
    if suite is None:
        yield f"{JUNIT}: is not XML with one testsuite. Expected: as it was drawn"
        return
    cases = suite.findall("testcase")
    named = [(case.get("classname"), case.get("name"), _tag(case)) for case in cases]
    expected = [
        (case.classname, case.name, case.tag)
        for case in cases_of(str(records[0].body.get("command")), steps_of(records))
    ]
    for name, count in totals_of(tag for _, _, tag in expected).items():
        if suite.get(name) != str(count):
            yield f"{JUNIT}: says {suite.get(name)} {name}. Expected: {count}, as in the records"
    for position, (mine, theirs) in enumerate(zip(named, expected, strict=False), start=1):
        if mine != theirs:
            yield f"{JUNIT}: case {position} is {_said(mine)}. Expected: {_said(theirs)}, as in the records"
            return
    if len(named) != len(expected):
        yield f"{JUNIT}: {len(named)} cases. Expected: {len(expected)}, as in the records"


def _suite(text: str) -> ET.Element | None:
    if "<!" in text:  # no DTD, so no entities that unfold into gigabytes
        return None
    try:
        return ET.fromstring(text.encode()).find("testsuite")  # noqa: S314 without a DTD there is nothing to unfold
    except (ET.ParseError, UnicodeEncodeError):
        return None


def _tag(case: ET.Element) -> str:
    return next((tag for tag in TAGS if tag and case.find(tag) is not None), "")


def _said(case: tuple[str | None, str | None, str]) -> str:
    classname, name, tag = case
    return f"{classname} {name} ({tag or 'passed'})"


def differences(found: Any, expected: Any, path: str = "") -> Iterable[str]:
    """Yield where two JSON values differ: the path, what is said and what was expected."""
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        for name in sorted({*found, *expected}):
            yield from differences(found.get(name), expected.get(name), f"{path}/{name}")
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for number, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
            yield from differences(mine, theirs, f"{path}/{number}")
    elif found != expected:
        yield f"{path.lstrip('/')} is {_short(found)}. Expected: {_short(expected)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 120 else text[:117] + "…"  # noqa: PLR2004 a line
