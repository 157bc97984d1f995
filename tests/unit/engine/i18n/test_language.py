"""Page and screen speak Brazilian Portuguese too: nothing for people is left in English, numbers and times are those of
the reader.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from commands import catalogue
from engine.errors import InputError
from engine.evidence.formatting import clock, local, seconds, size
from engine.evidence.page.html import render
from engine.evidence.page.page import view_of
from engine.evidence.writer import junit, summary
from engine.finding import recorded, say
from engine.i18n.language import ENGLISH, LANGUAGES, language_asked, language_of
from tests.fakes.run_on_record import MOVES, Night

PORTUGUESE = language_of("pt-BR")
HOLE = re.compile(r"\{\w+(?::[^{}]*)?\}")


@pytest.fixture(scope="module")
def texts() -> dict[catalogue.Text, list[str]]:
    """Return what there is to translate, looked for once."""
    return catalogue.texts_for_people()


def test_no_step_and_no_text_waits_for_its_translation(
    monkeypatch: pytest.MonkeyPatch, texts: dict[catalogue.Text, list[str]]
) -> None:
    """Each sentence of a step, each text of page, screen and message; the error lists those that do."""
    monkeypatch.setattr(catalogue, "texts_for_people", lambda: texts)

    catalogue.main(["--check"])


def test_every_sentence_of_a_step_is_asked_for(texts: dict[catalogue.Text, list[str]]) -> None:
    """The first line of each docstring, of every runbook: a new step can't be forgotten."""
    assert (
        "Every file is the same on both hosts: name, type, mode, owner, times, attributes, links and content." in texts
    )
    assert "Its Docker Engine answers." in texts
    assert "Skip to the checklist" in texts  # of a template
    assert ("Migration of {number} service", "Migration of {number} services") in texts
    assert list(
        catalogue.sentences_of('def test_new():\n    """A new step.\n\n    More."""\ndef other():\n    """No step."""')
    ) == ["A new step."]


def test_a_finding_is_collected_by_its_template_and_refused_without_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also inside another one; a template that is not in the call is reported with file and line."""
    source = (
        "from engine.finding import say\n"
        'say("a {b} of\\n" "two lines", b=say("an inner one"))\n'
        'say("{a}{b}", a=1, b=2)\n'
        'def shown(language):\n    say = language.say\n    return say(TABLE["x"])\n'
    )

    assert list(catalogue.texts_of(source)) == ["a {b} of\ntwo lines", "an inner one"]
    assert list(catalogue.hidden_templates(source)) == []
    assert list(catalogue.hidden_templates(source + "say(TABLE)\n")) == [7]

    module = tmp_path / "actions" / "stop.py"
    module.parent.mkdir()
    module.write_text(source, encoding="utf-8")
    monkeypatch.setattr(catalogue, "ROOT", tmp_path)
    assert catalogue.texts_for_people() == {
        "a {b} of\ntwo lines": ["actions/stop.py"],
        "an inner one": ["actions/stop.py"],
    }

    module.write_text(source + "say(TABLE)\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"^say: its first argument is no literal.*\n  actions/stop\.py:7$"):
        catalogue.texts_for_people()


def test_a_text_that_is_not_translated_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do: this very check fails on a new step."""
    monkeypatch.setattr(catalogue, "texts_for_people", lambda: {"A step that nobody translated.": ["runbooks/x.py"]})

    with pytest.raises(
        InputError, match=r"1 texts without translation:\n  A step that nobody translated\.\nTry: nox -s catalogue"
    ):
        catalogue.main(["--check"])


def test_a_translation_keeps_the_holes_of_its_text(texts: dict[catalogue.Text, list[str]]) -> None:
    """A value that goes into the English text goes into the other one too; otherwise a page could not be drawn."""
    wrong = []
    for text in texts:
        originals = (text, text) if isinstance(text, str) else text
        translated = (
            [PORTUGUESE.catalogue.gettext(text)]
            if isinstance(text, str)
            else [PORTUGUESE.catalogue.ngettext(*text, number) for number in (1, 2)]
        )
        wrong += [
            one
            for one, original in zip(translated, originals, strict=False)
            if set(HOLE.findall(one)) != set(HOLE.findall(original))
        ]

    assert wrong == []


def test_numbers_and_times_are_those_of_the_reader() -> None:
    """Brazil's comma, its order of days, its plural; English as it was."""
    moment = datetime(2026, 3, 29, 14, 30, tzinfo=UTC)

    assert (clock(moment), clock(moment, PORTUGUESE)) == ("2026-03-29 14:30:00 UTC", "29/03/2026 14:30:00 UTC")
    assert local(moment, -10_800, PORTUGUESE) == "29/03/2026 11:30:00 local (UTC-03:00)"
    assert (size(6_474_250, PORTUGUESE), seconds(4.25, PORTUGUESE)) == ("6,5 MB", "4,2 s")
    assert (ENGLISH.number(1_234_567.891, 2), PORTUGUESE.number(1_234_567.891, 2)) == ("1,234,567.89", "1.234.567,89")
    assert [PORTUGUESE.several("{number} step", "{number} steps", number) for number in (0, 1, 2)] == [
        "0 etapa",
        "1 etapa",
        "2 etapas",
    ]


def test_an_unknown_language_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(InputError, match=r"--lang fr: not known\. Expected: one of en, pt-BR"):
        language_of("fr")
    assert [language_of(code).code for code in LANGUAGES] == ["en", "pt-BR"]


def test_a_command_that_fails_says_why_in_the_language_that_was_asked_for() -> None:
    """Before the flags themselves are judged; English for a language that there is not."""
    for argv in (["--lang", "pt-BR"], ["-v", "--lang=pt-BR"]):
        assert language_asked(argv) == PORTUGUESE
    assert [language_asked(argv) for argv in ([], ["--lang"], ["--lang", "fr"])] == [ENGLISH] * 3


def test_the_page_is_drawn_in_the_language_of_the_run_or_of_the_reader(tmp_path: Path) -> None:
    """What hosts said stays as it was, and is marked as English for those who listen."""
    night = Night(tmp_path, moves=MOVES)
    night.row(
        "FAILED",
        "exit code 137",
        sentence="The service is stopped on its old host and exits cleanly within its stop timeout.",
    )
    night.page()

    html = render(view_of(night.journal, night.run.id, PORTUGUESE))

    assert '<html lang="pt-BR">' in html
    for words in (
        "Migração de 2 serviços falhou: 1 de 1 etapas falharam",
        "Precisa de decisão",
        "O serviço é parado no servidor antigo",
        "FALHOU",
    ):
        assert words in html
    assert '<p lang="en">exit code 137</p>' in html
    assert "Needs a decision" not in html
    assert '<html lang="en">' in render(view_of(night.journal, night.run.id))


def test_a_result_with_a_template_is_in_the_language_of_the_page(tmp_path: Path) -> None:
    """Its text and details, marked as English no more; also in summary, JUnit XML and what else happened."""
    night = Night(tmp_path, moves=MOVES)
    said = recorded(say("drift: {text}", text="exit code 137"))
    night.row(
        "FAILED", **said, details=["drift: x"], details_said=[{"line": 0, **recorded(say("drift: {text}", text="x"))}]
    )
    night.run.record("source_verified", service="redis", body={"ok": True, **said})
    night.page()

    page = view_of(night.journal, night.run.id, PORTUGUESE)
    drift = PORTUGUESE.translate(say("drift: {text}", text="exit code 137"))

    assert drift != "drift: exit code 137"
    for drawn in (render(page), summary(page), junit(page)):
        assert drift in drawn
    assert f"<p>{drift}</p>" in render(page)
    assert f"redis depois de desfeito: {drift}" in page.notices
    assert "drift: " not in render(page) + summary(page) + junit(page)


def test_a_run_remembers_its_language(tmp_path: Path) -> None:
    """`report` without --lang draws the page as the run did."""
    night = Night(tmp_path)
    run = night.journal.start_run(
        command="migrate",
        environment="lab",
        plan_digest="d",
        operator="o",
        version="v",
        commit="c",
        argv=[],
        lang="pt-BR",
    )

    assert "Migração de 0 serviço não terminou" in view_of(night.journal, run.id).sentence
