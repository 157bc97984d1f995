"""Findings: a sentence in English that any language can show, and that is a `str` everywhere else."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.contracts.step import Judge, StepResult
from engine.errors import NotObservedError
from engine.finding import (
    Finding,
    finding_of,
    first_line,
    fitting,
    has_words,
    joined,
    lines_of,
    lines_of_text,
    misfits,
    recorded,
    say,
)
from engine.i18n.language import ENGLISH, Language
from engine.journal.record import exact
from engine.redaction.redactor import Redactor, Secret
from engine.verdict import Effect, Severity, failed

WORDS = {
    "{host}: {mount} will be {share:.1f} % full": "{host}: {mount} ficará {share:.1f} % cheio",
    "no container {name}": "sem o contêiner {name}",
    "{host}: {problems}. Look: docker ps -a": "{host}: {problems}. Veja: docker ps -a",
    " and ": " e ",
    "broken translation {name}": "tradução {outro}",
}


@pytest.fixture
def language() -> Language:
    """Return Portuguese with the texts of these tests."""
    catalogue = type("Catalogue", (), {"gettext": staticmethod(lambda text: WORDS.get(text, text))})()
    return Language("pt-BR", catalogue)


def row_of(text: str, details: tuple[str, ...] = ()) -> StepResult:
    """Return a result that says this."""
    return StepResult(
        "preflight", "space", "It fits.", "wf001", None, "wf001", None, Effect.READ_ONLY, Severity.BLOCKER,
        failed(text, details), 0.5,
    )  # fmt: skip


def test_a_finding_is_its_english_sentence() -> None:
    """Equal and hashed as its text, with formats as an f-string has them; braces in a value stay as they are."""
    found = say("{host}: {mount} will be {share:.1f} % full", host="a{b}", mount="/", share=93.75)

    assert found == "a{b}: / will be 93.8 % full"
    assert {found: 1}["a{b}: / will be 93.8 % full"] == 1
    assert found.fields == {"host": "a{b}", "mount": "/", "share": 93.75}
    assert say("-f '{{{{.Id}}}}' {count:,} {free:g}", count=12_345, free=1.5) == "-f '{{.Id}}' 12,345 1.5"


@pytest.mark.parametrize("made_again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])  # noqa: S301 our own
def test_a_finding_survives_copies_and_processes(made_again: Any) -> None:
    """A result goes from a worker to the process that writes."""
    found = say("no container {name}", name="redis")

    again = made_again(found)

    assert (again, again.template, again.fields) == (found, found.template, found.fields)


def test_an_errors_text_stays_a_finding(language: Language) -> None:
    """`str(error)` is how an error's text reaches a result."""
    error = NotObservedError(say("no container {name}", name="redis"))

    assert isinstance(str(error), Finding)
    assert language.tell(str(error)) == "sem o contêiner redis"


def test_a_language_shows_findings_inside_findings_and_numbers_its_own_way(language: Language) -> None:
    """What it has no words for stays English; English shows the text as it is."""
    full = say("{host}: {mount} will be {share:.1f} % full", host="wf001", mount="/", share=1234.5)
    parts = joined(" and ", [say("no container {name}", name="redis"), full, "as the host said"])
    found = say("{host}: {problems}. Look: docker ps -a", host="wf001", problems=parts)

    assert language.tell(found) == (
        "wf001: sem o contêiner redis and wf001: / ficará 1234,5 % cheio and as the host said. Veja: docker ps -a"
    )
    assert language.tell(joined(say(" and "), ["a", "b"])) == "a e b"
    assert type(ENGLISH.tell(found)) is str
    assert ENGLISH.tell(found) == found
    assert language.tell(say("nobody translated {this}", this=say("no container {name}", name="x"))) == (
        "nobody translated sem o contêiner x"
    )


def test_a_translation_with_other_fields_is_not_used(language: Language) -> None:
    """A page must never fail because of a catalogue."""
    assert language.tell(say("broken translation {name}", name="x")) == "broken translation x"


def test_texts_in_a_row_are_a_finding_only_when_one_of_them_is() -> None:
    """Names of hosts need no template."""
    assert type(joined(", ", ["a", "b"])) is str
    assert joined("\n", [say("one {thing}", thing="x"), "two"]) == "one x\ntwo"


def test_a_finding_is_shortened_in_each_language(language: Language) -> None:
    """Its first line, and of a long one the begin; also after it was on record."""
    long = first_line(say("no container {name}", name="n" * 40), 20)
    lines = first_line(joined("\n", [say("no container {name}", name="redis"), "as the host said"]), 20)

    for short in (long, finding_of(json.loads(json.dumps(recorded(long))))):
        assert short == "no container nnnn…"
        assert language.tell(short) == "sem o contêiner n…"
    assert (lines, language.tell(lines)) == ("no container redis", "sem o contêiner r…")
    assert type(first_line("as the host said\nmore", 20)) is str


def test_a_text_is_read_line_by_line() -> None:
    """Each line of texts in a row stays a finding, also of rows in rows; a line break at the end begins no line."""
    inner = joined("\n", [say("no container {name}", name="redis"), "as the host said", ""])
    text = joined("\n", [say("what to do:"), "", inner])

    lines = lines_of_text(text)

    assert lines == ("what to do:", "", "no container redis", "as the host said")
    assert [isinstance(line, Finding) for line in lines] == [True, False, True, False]
    assert lines_of_text("one\ntwo\n") == ("one", "two")


def test_a_template_without_words_needs_no_translation() -> None:
    """It only puts values in a row."""
    assert [has_words(text) for text in ("{text}{detail}", "{a}: {b}", "{value:.1f} %", "{size:.1f} GB", "at {a}")] == [
        False, False, False, True, True,
    ]  # fmt: skip


def test_a_record_keeps_text_template_and_fields() -> None:
    """All are JSON, and the result that is read back is the one that was written; its text is plain for everybody."""
    row = row_of(
        say("{host}: {problems}", host="wf001", problems=joined("; ", [say("no container {name}", name="x"), "y"])),
        (say("{free:,} bytes free", free=12_345), "as the host said"),
    )

    body = json.loads(json.dumps(exact(row.body())))

    assert body["text"] == "wf001: no container x; y"
    assert body["template"] == "{host}: {problems}"
    assert body["details"] == ["12,345 bytes free", "as the host said"]
    assert body["details_said"] == [{"line": 0, "template": "{free:,} bytes free", "fields": {"free": 12_345}}]
    assert list(misfits(body)) == []
    again = StepResult.of_body("space", body).judgement
    assert again == row.judgement
    assert isinstance(again.text, Finding)
    assert again.text.fields["problems"].fields == row.judgement.text.fields["problems"].fields  # type: ignore[attr-defined]
    assert [isinstance(line, Finding) for line in again.details] == [True, False]
    assert {type(body) for body in (row.body()["text"], *row.body()["details"])} == {str}


def test_a_number_that_json_does_not_carry_leaves_the_text_alone() -> None:
    """The text is what counts; a record must never fail because of its template."""
    assert recorded(say("{count} bytes", count=2**60)) == {"text": f"{2**60} bytes"}
    assert recorded(say("{share:.1f} %", share=float("inf"))) == {"text": "inf %"}


def test_a_record_whose_template_gives_another_text_is_reported_and_not_shown(language: Language) -> None:
    """Whoever writes another sentence into fields of a record does not get it onto the page."""
    body = {"text": "no container redis", "template": "no container {name}", "fields": {"name": "caddy"}}
    nested: Any = "x"
    for _ in range(200):
        nested = {"template": "{a}", "fields": {"a": nested}}

    assert list(misfits(body)) == ["no container redis"]
    assert language.text_of(body) == "no container redis"
    assert fitting(body) == {"text": "no container redis"}
    for template, fields in (
        ("x", {"a": "hidden"}),
        ("{a.b}", {"a": "x"}),
        ("{a:99999999d}", {"a": 1}),
        ("{b}", {"a": "x"}),
        ("{a}", {"a": nested}),
    ):
        assert list(misfits({"text": "x", "template": template, "fields": fields})) == ["x"]
    assert list(misfits({"rows": [[{"text": "x", "template": "{a}", "fields": {"a": "y"}}]]})) == ["x"]
    assert list(
        misfits({"details": ["x"], "details_said": [{"line": 0, "template": "{a}", "fields": {"a": "y"}}]})
    ) == ["x"]
    assert list(
        misfits({"details": ["x"], "details_said": [{"line": 7, "template": "{a}", "fields": {"a": "y"}}]})
    ) == [""]


def test_fields_lose_the_secrets_that_the_text_loses() -> None:
    """Counted once; what only the whole text shows to be a secret takes the template away."""
    redactor = Redactor()
    redactor.register(Secret("Tr0ub4dor-and-3"))
    body = row_of(say("login with {what} failed", what="Tr0ub4dor-and-3"), (say("try {what}", what="Tr0ub4dor-and-3"),))

    clean = redactor.value(exact(body.body()))

    assert (clean["text"], clean["fields"], clean["details"]) == ("login with *** failed", {"what": "***"}, ["try ***"])
    assert lines_of(clean)[0].fields == {"what": "***"}  # type: ignore[attr-defined]
    assert list(misfits(clean)) == []
    assert redactor.removed == 2
    redacted = redactor.text(say("login with {what} failed", what="Tr0ub4dor-and-3"))
    assert isinstance(redacted, Finding)
    assert redacted.fields == {"what": "***"}

    whole = redactor.value(exact(row_of(say("password={value} was refused", value="hunter2-hunter2")).body()))
    assert "hunter2" not in json.dumps(whole)
    assert "template" not in whole


def test_a_step_with_several_judgements_keeps_their_templates() -> None:
    """The texts stand in a row, each a finding."""
    judge = Judge()

    with pytest.raises(AssertionError) as refused:
        judge(failed(say("no container {name}", name="redis"), ("as the host said",)))

    assert str(refused.value) == "no container redis\nas the host said"
    assert isinstance(str(refused.value), Finding)
    assert finding_of(recorded(str(refused.value))) == str(refused.value)
    assert replace(judge.given[0], details=()).text.template == "no container {name}"  # type: ignore[attr-defined]


def test_this_module_imports_nothing_of_the_engine() -> None:
    """Errors, verdicts, the redactor and languages rest on it."""
    source = (Path(__file__).parents[3] / "engine" / "finding.py").read_text(encoding="utf-8")
    assert "from engine" not in source
