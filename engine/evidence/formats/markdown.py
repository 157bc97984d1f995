"""The result in Markdown, for a pull request, a ticket or a chat: one screen, and no text of a server
becomes markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from engine.evidence.formatting import clock, seconds, size, visible
from engine.evidence.page.html import DRY_RUN
from engine.evidence.page.page import Page

SHOWN: Final = 25
"""So many rows that need a decision are told; the page has all."""

LENGTH: Final = 400
SPECIAL: Final = re.compile(r"[\\`*\[\]#!|~$]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.")
"""What Markdown, GitHub, GitLab or a chat would read: markup, tables, mathematics, mentions of issues, links."""

ENTITIES: Final = str.maketrans({"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;"})
"""HTML, and mentions of people."""


def inline(text: object) -> str:
    """Return foreign text as Markdown that shows exactly this text, in one line."""
    line = " ".join(visible(text).split())
    line = line if len(line) <= LENGTH else line[: LENGTH - 1] + "…"
    return SPECIAL.sub(r"\\\g<0>", line).translate(ENTITIES)


def code(text: object) -> str:
    """Return foreign text as a code span: its fence is longer than any run of backticks in it."""
    line = " ".join(visible(text).split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    padding = " " if line[:1] == "`" or line[-1:] == "`" else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def summary(page: Page) -> str:
    """Return the result: the verdict, what was approved, each service, each row that needs a decision, and what comes
    next.
    """
    return "\n".join(_lines(page)) + "\n"


def _lines(page: Page) -> Iterator[str]:
    yield f"# {page.sentence}"
    yield ""
    if page.dry_run:
        yield from (f"**{DRY_RUN}**", "")
    if page.altered:
        yield from (f"- **ALTERED** {inline(text)}" for text in page.altered)
        yield ""
    yield (
        f"Environment **{page.environment}**, {clock(page.started_at)}, {seconds(page.duration_s)}, by "
        f"{inline(page.about.get('operator', ''))}."
    )
    yield (
        f"Plan {code(str(page.about.get('plan_digest', ''))[:12])}, run {code(page.run_id[:8])}, journal head "
        f"{code(page.chain_head[:12])}."
    )
    yield " · ".join(f"{count} {word.replace('_', ' ')}" for word, count in page.tally.items()) or "No step was run."
    yield ""
    yield from _services(page)
    yield from _decisions(page.decisions)
    yield from (f"- {inline(text)}" for text in page.notices)
    if page.following:
        yield from ("", f"Next: {code(page.following)}")


def _services(page: Page) -> Iterable[str]:
    if not page.services:
        return
    yield "| service | from | to | outage | copied | verdict |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for service in page.services:
        outage = service["outage"]
        told = f"{outage['seconds']:.1f} s ± {outage['error_bar_s']:.1f} s" if outage else "–"
        copied = size(service["copied_bytes"]) if service["copied_bytes"] is not None else "–"
        names = " | ".join(inline(service[name]) for name in ("service", "source", "target"))
        yield f"| {names} | {told} | {copied} | {service['verdict']} |"
    yield ""


def _decisions(rows: tuple[Mapping[str, Any], ...]) -> Iterable[str]:
    for row in rows[:SHOWN]:
        told = f"- **{row['verdict']}** {inline(row['subject'])}: {inline(row['sentence'])} {inline(row['text'])}"
        yield f"{told} Next: {code(row['next'])}" if row["next"] else told
    if len(rows) > SHOWN:
        yield f"- and {len(rows) - SHOWN} more: see report.html"
