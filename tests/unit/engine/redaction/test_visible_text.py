"""Names and texts of the naughty-strings kind stand as text in junit.xml, summary.md, evidence.json and on the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema

from engine.evidence import write_evidence
from engine.evidence.formats.junit import junit
from engine.evidence.formats.markdown import code, inline, summary
from engine.evidence.formatting import visible
from engine.evidence.seal.sealed_folder import read_folder
from engine.evidence.seal.verify import verify
from tests.fakes.naughty_texts import NAUGHTY
from tests.fakes.run_on_record import Night
from tests.fakes.sealed_run import FakeCheck

SCHEMA = xmlschema.XMLSchema(Path(__file__).parents[4] / "schemas" / "junit.xsd")


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """Return a run whose rows are about things with such names."""
    night = Night(tmp_path)
    for verdict in ("PASSED", "FAILED", "UNKNOWN", "WAIVED", "NOT_RUN"):
        for name in NAUGHTY:
            night.row(verdict, name, details=[name, name], subject=name, key=name, sentence=name)
    return night


def test_junit_is_valid_and_says_the_names(night: Night) -> None:
    """By the schema that the readers of JUnit XML have in common; each name stands in it with its odd characters as
    escapes.
    """
    text = junit(night.page())

    SCHEMA.validate(text)
    cases = ET.fromstring(text.encode()).findall(".//testcase")  # noqa: S314 our own
    assert len(cases) == 5 * len(NAUGHTY)
    assert {case.get("name") for case in cases} == {visible(name) for name in NAUGHTY}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('tests="1"', 'tests="many"'),
        ("<testcase ", "<case "),
        (' hostname="desk"', ""),
        ('time="1.500"', 'time="-1"'),
        ("+00:00", ""),
    ],
)
def test_the_schema_refuses_what_is_none(tmp_path: Path, old: str, new: str) -> None:
    """A check that accepts everything would be none."""
    night = Night(tmp_path)
    night.row("FAILED")
    text = junit(night.page())
    broken = text.replace(old, new).replace("</testcase>", "</case>" if "<case " in new else "</testcase>")

    assert SCHEMA.is_valid(text)
    assert (broken == text) == (old == "+00:00")  # a moment has no offset there
    assert SCHEMA.is_valid(broken) == (old == "+00:00")


def test_every_kind_of_run_is_valid(tmp_path: Path) -> None:
    """Without a row, killed, or altered."""
    night = Night(tmp_path)
    SCHEMA.validate(junit(night.page(finished=False)))
    night.row()
    night.tamper("UPDATE records SET body = replace(body, 'ok', 'no') WHERE kind = 'result'")
    page = night.page()

    SCHEMA.validate(junit(page))
    assert page.altered


@pytest.mark.parametrize("name", NAUGHTY)
def test_text_in_markdown_is_text(name: str) -> None:
    """One line; nothing in it is a tag, a table's border, a link, emphasis, code, a mention or a heading."""
    shown = inline(name)

    assert "\n" not in shown
    assert not re.search(r"<[a-zA-Z!/]|(?<![\\&])[|`*\[\]#]|https?://|@", shown)
    assert not re.search(r"[\x00-\x1f\x7f\u200b\u2028\u202e\ud800-\udfff]", shown)


@pytest.mark.parametrize("name", NAUGHTY)
def test_code_in_markdown_stays_in_its_span(name: str) -> None:
    """The fence is longer than any run of backticks inside."""
    shown = code(name)
    fence = re.match("`+", shown)

    assert fence
    assert "\n" not in shown
    assert not re.search(f"(?<!`){fence[0]}(?!`)", shown[len(fence[0]) : -len(fence[0])])


def test_ordinary_text_is_readable_as_it_is() -> None:
    """No escapes where nothing could be misread."""
    text = (
        "wf005→wf001 grafana-data: 2 of 1,204 files differ: grafana.db (size), max_wal_size=1GB; /srv/redis: 85 "
        "%. Try: ssh wf001 df -h"
    )

    assert inline(text) == text


def test_a_table_has_as_many_columns_as_its_head(tmp_path: Path) -> None:
    """A name with a border in it opens no column."""
    moves = [{"service": "a | b", "source": "x|y", "target": "`", "wave": "critical", "strategy": "stop_copy"}]
    night = Night(tmp_path, moves=moves)

    lines = [line for line in summary(night.page()).splitlines() if line.startswith("|")]

    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {7}


def test_the_summary_of_a_great_many_failures_is_short(night: Night) -> None:
    """It must fit into a comment of a pull request (65,536 characters on GitHub)."""
    text = summary(night.page())

    assert len(text) < 30_000
    assert "more: see report.html" in text


def test_the_folder_verifies_whatever_the_names_are(night: Night, tmp_path: Path) -> None:
    """evidence.json is ASCII, its names are those of junit.xml, and nothing differs from the records."""
    night.page()

    folder = write_evidence(night.journal, night.run.id, tmp_path / "reports" / "one").folder

    assert verify(read_folder(folder), FakeCheck()).problems == []
    text = (folder / "evidence.json").read_text(encoding="ascii")
    predicate = json.loads(text)["predicate"]
    assert len(predicate["failedTests"]) == 3 * len(NAUGHTY)
    assert len(predicate["warnedTests"]) == len(NAUGHTY)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)
