"""The result in Markdown, for a pull request, a ticket or a chat: one screen, and no text of a server
becomes markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from engine.evidence.formatting import clock, seconds, size, visible
from engine.evidence.headline import BADGES
from engine.evidence.page.html import DRY_RUN
from engine.evidence.page.page import Page

SHOWN: Final = 25
"""So many results that need a decision are listed; the page has all."""

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
    say = page.language.say
    yield f"# {page.sentence}"
    yield ""
    if page.dry_run:
        yield from (f"**{say(DRY_RUN)}**", "")
    if page.altered:
        yield from (f"- **{say('ALTERED')}** {inline(text)}" for text in page.altered)
        yield ""
    yield say(
        "Environment **{environment}**, {began}, {duration}, by {operator}.",
        environment=page.environment,
        began=clock(page.started_at),
        duration=seconds(page.duration_s),
        operator=inline(page.about.get("operator", "")),
    )
    yield say(
        "Plan {plan}, run {run}, journal head {head}.",
        plan=code(str(page.about.get("plan_digest", ""))[:12]),
        run=code(page.run_id[:8]),
        head=code(page.chain_head[:12]),
    )
    tally = (f"{count} {say(BADGES[word])}" for word, count in page.tally.items())
    yield " · ".join(tally) or say("No step was run.")
    yield ""
    yield from _services(page)
    yield from _decisions(page)
    yield from (f"- {inline(text)}" for text in page.notices)
    if page.following:
        yield from ("", say("Next: {command}", command=code(page.following)))


def _services(page: Page) -> Iterable[str]:
    if not page.services:
        return
    say = page.language.say
    heads = (say("service"), say("from"), say("to"), say("outage"), say("copied"), say("verdict"))
    yield f"| {' | '.join(heads)} |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for service in page.services:
        outage = service["outage"]
        lasted = f"{outage['seconds']:.1f} s ± {outage['error_bar_s']:.1f} s" if outage else "–"
        copied = size(service["copied_bytes"]) if service["copied_bytes"] is not None else "–"
        names = " | ".join(inline(service[name]) for name in ("service", "source", "target"))
        yield f"| {names} | {lasted} | {copied} | {say(BADGES[service['verdict']])} |"
    yield ""


def _decisions(page: Page) -> Iterable[str]:
    say, rows = page.language.say, page.decisions
    for row in rows[:SHOWN]:
        badge, sentence = say(BADGES[row["verdict"]]), inline(say(row["sentence"]))
        line = f"- **{badge}** {inline(row['subject'])}: {sentence} {inline(row['text'])}"
        yield f"{line} {say('Next: {command}', command=code(row['next']))}" if row["next"] else line
    if len(rows) > SHOWN:
        yield say("- and {count} more: see report.html", count=len(rows) - SHOWN)
