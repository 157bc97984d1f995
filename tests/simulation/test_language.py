"""A played migration, read in Portuguese: its page has no English but commands and the words of hosts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from string import Formatter
from typing import Final

import pytest

from commands import catalogue
from engine.evidence.formats.markdown import summary
from engine.evidence.page.html import render
from engine.evidence.page.page import view_of
from engine.finding import Finding, finding_of, lines_of
from engine.i18n.language import language_of
from engine.journal.journal import Journal
from engine.journal.kinds import RecordKind
from tests.simulation import play as played
from tests.simulation.befall import Draw
from tests.simulation.run import open_sim_journal
from tests.simulation.scenario import Command, Scenario, goals_of

PORTUGUESE = language_of("pt-BR")
SEEDS = 12
ABOUT = ("version", "commit", "operator", "plan_digest", "argv")
"""What a played run does not note of itself."""
MARKUP = re.compile(r"<(style|script|code)\b.*?</\1>|<[^>]+>|`[^`]*`", re.DOTALL)
WORDS = re.compile(r"[A-Za-z]{2,}(?: [A-Za-z]+){2,}")
"""Three words in a row: shorter ones are names, and the same in two languages now and then."""
MODEL: Final = re.compile(r"as the model says: .*|\w+ on \w: answers")
"""What the modelled products and gates say, in the place of real ones."""


@pytest.fixture(scope="module")
def journals() -> list[Journal]:
    """Return the journals of an undisturbed migration with its rollback, and of some disturbed ones."""
    kept: list[Journal] = []

    def keep(*, real: bool = False) -> Journal:
        kept.append(open_sim_journal(real=real))
        return kept[-1]

    patch = pytest.MonkeyPatch()
    patch.setattr(played, "open_sim_journal", keep)
    with played.simulation():
        goals = goals_of(["store"], Command("migrate"), Command("rollback"), Command("migrate", again=("store",)))
        played.play(Draw(Scenario("single", goals, "sim-store", "precopy"), ()))
        for seed in range(SEEDS):
            played.play_seed(seed)
    patch.undo()
    return kept


def _texts(journal: Journal) -> Iterator[str]:
    """Yield what people read of a journal's results and actions."""
    for record in journal.records():
        if record.kind == RecordKind.RESULT:
            yield from (finding_of(record.body), *lines_of(record.body))
        elif record.kind in {RecordKind.INTENT, RecordKind.OUTCOME, RecordKind.UNDO_OUTCOME, RecordKind.DRIFT}:
            yield finding_of(record.body, "describe" if record.kind == RecordKind.INTENT else "text")


def test_what_people_read_of_a_played_migration_has_templates(journals: list[Journal]) -> None:
    """Each text of more than two words; what has none was said by a host."""
    texts = {text for journal in journals for text in _texts(journal)}
    bare = {
        text for text in texts if not isinstance(text, Finding) and WORDS.search(text) and not MODEL.fullmatch(text)
    }

    assert len(texts) > 100
    assert bare == set()


def _english() -> dict[str, str]:
    """Return pieces of at least three English words of each text, without those that its translation keeps."""
    pieces = {}
    for text in catalogue.texts_for_people():
        for english in (text,) if isinstance(text, str) else text:
            translated = PORTUGUESE.catalogue.gettext(english)
            for literal, *_ in Formatter().parse(english):
                pieces |= {
                    found: english
                    for found in WORDS.findall(literal)
                    if found not in translated or translated == english
                }
    return pieces


def test_no_english_sentence_is_left_on_a_portuguese_page(journals: list[Journal]) -> None:
    """Of everything that the catalogue knows in English, nothing stands on page or summary; commands do."""
    pieces = _english()
    left = set()
    for journal in journals:
        for run in journal.records(kind=RecordKind.RUN_STARTED):
            page = view_of(journal, run.run_id, PORTUGUESE)
            page = replace(page, about={**dict.fromkeys(ABOUT, "x"), **page.about})
            shown = unescape(MARKUP.sub("\n", render(page) + summary(page)))
            left |= {(pieces[found], found) for found in WORDS.findall(shown) if found in pieces}

    assert len(pieces) > 500
    assert sorted(left) == []
