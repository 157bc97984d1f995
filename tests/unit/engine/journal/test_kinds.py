"""The kinds of records: one list, one sentence each, and nothing is written under another name."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

from engine.journal.journal import Journal
from engine.journal.kinds import RecordKind, journal_page
from engine.redaction.redactor import Redactor
from engine.run.xdist_worker import BufferedRun

ROOT: Final = Path(__file__).parents[4]
ROOMS: Final = ("engine", "hosts", "services", "checks", "actions", "phases", "commands", "runbooks", "bench")
METHODS: Final = frozenset({"record", "records", "last", "draft"})
HELPERS: Final = frozenset({"_made", "_last", "_first", "_record", "_note_down", "_record_signed"})


def test_each_kind_has_a_sentence_of_its_own() -> None:
    """Each kind is described in one sentence, and no two in the same."""
    sentences = [kind.description for kind in RecordKind]
    assert [text for text in sentences if not (text[:1].isupper() and text.endswith("."))] == []
    assert len(set(sentences)) == len(sentences)


def test_the_page_is_generated_from_the_enum() -> None:
    """docs/journal.md is what `python -m commands schema` writes."""
    assert (ROOT / "docs" / "journal.md").read_text(encoding="utf-8") == journal_page()


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    """A run and a worker write no kind that the page does not explain, and nothing reaches the journal."""
    journal = Journal.open(tmp_path / "journal.sqlite", redactor=Redactor())
    run = journal.start_run(command="preflight")

    with pytest.raises(ValueError, match="'invented' is not a valid RecordKind"):
        run.record("invented", body={})
    with pytest.raises(ValueError, match="'invented' is not a valid RecordKind"):
        BufferedRun("id", Redactor()).record("invented", body={})

    assert [record.kind for record in journal.records()] == ["run_started"]


def test_code_names_kinds_through_the_enum() -> None:
    """No call that writes or reads records, and no comparison of a record's kind, spells a kind as a literal."""
    files = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]
    found = {
        f"{file.relative_to(ROOT)}:{line}"
        for file in files
        for line in _literal_kinds(ast.parse(file.read_text(encoding="utf-8")))
    }
    assert len(files) > len(ROOMS)
    assert found == set()


def test_the_rule_finds_a_literal() -> None:
    """The rule above sees a literal in each of the places where kinds stand."""
    code = (
        'run.record("result", body={})\njournal.records(kind=("intent", "note"))\nrecord.kind == '
        '"scope"\nmount.kind == "bind"\n'
    )
    code += '_made(like, "result")\n'
    assert sorted(_literal_kinds(ast.parse(code))) == [1, 2, 3, 5]


def _literal_kinds(tree: ast.AST) -> set[int]:
    """Return the lines that spell a kind as a literal."""
    return {
        node.lineno for place in ast.walk(tree) for one in _kinds_in(place) for node in ast.walk(one) if _is_kind(node)
    }


def _kinds_in(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
        return [*node.args[:1], *(word.value for word in node.keywords if word.arg == "kind")]
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in HELPERS:
        return [*node.args[:2]]
    if isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute) and node.left.attr == "kind":
        return node.comparators
    return []


def _is_kind(node: ast.AST) -> bool:
    return type(node) is ast.Constant and isinstance(node.value, str) and node.value in set(RecordKind)
