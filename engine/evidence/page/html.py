"""The page as one self-contained HTML document: templates filled with what `view` computed."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from functools import lru_cache, partial
from gettext import NullTranslations
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from engine.constants import NAME, VERSION
from engine.contracts.phase import TABLE
from engine.evidence.facts.fingerprints import prints_of
from engine.evidence.formatting import clock, local, seconds, size, visible
from engine.evidence.headline import BADGES
from engine.evidence.page.graph_svg import figure_of
from engine.evidence.page.page import Page
from engine.evidence.page.timeline import timeline_of
from engine.evidence.seal.tampering import BACKUP
from engine.i18n.language import ORIGINAL, Language, term

DRY_RUN: Final = term("DRY RUN — nothing was changed")
TEMPLATES: Final = Path(__file__).parent / "templates"
ICONS: Final = {
    "PASSED": "✓", "FAILED": "✕", "UNKNOWN": "?", "WAIVED": "~", "PENDING": "…", "NOT_RUN": "–", "PLANNED": "▷",
}  # fmt: skip
COMMANDS: Final = {phase.name: phase.title for phase in TABLE}
STATES: Final = {
    "planned": term("planned"),
    "in_progress": term("in progress"),
    "undone": term("undone"),
    "committed": term("committed"),
    "done": term("done"),
    "rolling_back": term("rolling back"),
    "returned": term("returned"),
    "rolled_back": term("rolled back"),
    "needs_operator": term("needs a person"),
}
WAVES: Final = (term("critical"), term("monitoring"), term("auxiliary"))
SHARE: Final = re.compile(r"^(\d{1,3}(?:[.,]\d+)?) ?%$")
SHOWN_DECISIONS: Final = 3
FOLDED_DECISIONS: Final = 100
"""More than these are found in the checklist: nobody decides a hundred things one by one."""

CHUNK: Final = 50
"""So many rows are laid out together, once they come near the screen."""


def render(page: Page) -> str:
    """Return the page as one self-contained HTML document; everything from a server is escaped."""
    assets = {
        name: (TEMPLATES / file).read_text(encoding="utf-8")
        for name, file in (("style", "report.css"), ("script", "report.js"))
    }
    return (
        _environment(page.language.code, page.language.catalogue)
        .get_template("report.html.j2")
        .render(
            page=page,
            timeline=timeline_of(page),
            figures=tuple(figure_of(body) for body in page.graphs),
            prints=tuple(prints_of(page.fingerprints)),
            backup=page.language.say(BACKUP),
            policy=_policy(assets),
            slowest_outage_s=max([1.0, *(float(outage["seconds"]) for outage in page.outages.values())]),
            **assets,
        )
    )


@lru_cache(maxsize=8)
def _environment(code: str, catalogue: NullTranslations) -> Environment:
    """Return what fills the templates in a language; they are compiled once in a process."""
    language = Language(code, catalogue)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        name: partial(_in, language, show) for name, show in {"clock": clock, "size": size, "seconds": seconds}.items()
    }
    environment.filters |= {
        "local": lambda moment, offset_s: local(moment, offset_s, language),
        "number": language.number,
        "share": _share,
    }
    environment.globals |= {
        "say": language.say,
        "several": language.several,
        "icons": ICONS,
        "badges": BADGES,
        "commands": COMMANDS,
        "states": STATES,
        "dry_run": DRY_RUN,
        "name": NAME,
        "version": VERSION,
        "shown": SHOWN_DECISIONS,
        "folded": FOLDED_DECISIONS,
        "chunk": CHUNK,
        "english": "" if language.code == ORIGINAL else ORIGINAL,
    }
    return environment


def _in(language: Any, show: Any, value: Any) -> str:
    return str(show(value, language))


def _shown(value: Any) -> Any:
    return visible(value) if type(value) is str else value  # Markup is ours


def _share(cell: object) -> float | None:
    """Return the percentage that a cell of a table is, None when it is something else."""
    found = SHARE.match(str(cell))
    return min(float(found[1].replace(",", ".")), 100.0) if found else None


def _policy(assets: dict[str, str]) -> str:
    """Return the page's content security policy: our one style and our one script by their hashes, and nothing else
    from anywhere.
    """
    style, script = (b64encode(hashlib.sha256(assets[name].encode()).digest()).decode() for name in ("style", "script"))
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; base-uri 'none'; "
        "form-action 'none'"
    )
