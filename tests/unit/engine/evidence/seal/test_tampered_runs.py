"""A journal that was changed behind our back shows on the page, in the verdict and in the exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import report
from engine.errors import InputError
from engine.evidence import write_evidence
from engine.evidence.page.html import render
from engine.evidence.page.page import view_of
from engine.evidence.writer import junit, summary
from tests.fakes.run_on_record import Night

CHANGED = "UPDATE records SET body = replace(body, 'exit code 137', 'exit code 0')"


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """Return a migration whose one step passed, ended."""
    night = Night(tmp_path / "state")
    night.row(text="exit code 137")
    night.page()
    return night


def test_a_whole_journal_is_not_called_altered(night: Night) -> None:
    """No alarm without a reason."""
    page = view_of(night.journal, night.run.id)

    assert (page.altered, page.verdict) == ((), "PASSED")
    assert "was altered" not in render(page)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (CHANGED, "record 4 (result): its content was changed after it was written"),
        ("DELETE FROM records WHERE kind = 'result'", "expected record 4 here: one was dropped or moved"),
        (
            "UPDATE records SET body = '{' WHERE kind = 'host_observed'",
            "record 3 (host_observed): its content was changed",
        ),
        (
            "UPDATE records SET body = replace(body, '\"\"', '1e999') WHERE kind = 'host_observed'",
            "record 3 (host_observed): its content was changed",
        ),
    ],
)
def test_an_altered_journal_is_no_pass(night: Night, statement: str, words: str) -> None:
    """The page, its sentence and its summary say which record, and that nobody should approve it."""
    night.tamper(statement)

    page = view_of(night.journal, night.run.id)

    assert page.verdict == "FAILED"
    assert page.sentence == "Migration of 1 service: the record was altered after it was written, so it proves nothing"
    assert words in page.altered[0]
    html = render(page)
    assert "The journal was altered" in html
    assert words in html
    assert "Do not approve" in html
    assert f"- **ALTERED** {page.altered[0]}" in summary(page)
    assert 'errors="1"' in junit(page)


def test_a_record_of_another_run_that_the_page_shows_counts(night: Night) -> None:
    """The outage on a page of validate was measured by the migration: its chain is looked at too."""
    night.run.record("outage", service="redis", body={"seconds": 4.2, "error_bar_s": 0.1})
    later = night.another("validate")
    night.tamper("UPDATE records SET body = replace(body, '4.2', '0.2')")

    page = view_of(night.journal, later.id)

    assert (page.verdict, len(page.altered)) == ("FAILED", 1)
    assert night.run.id in page.altered[0]


def test_what_is_altered_beyond_drawing_is_refused(night: Night) -> None:
    """No traceback: one message with what was altered and what to do."""
    night.tamper("UPDATE records SET body = '{}' WHERE kind = 'run_started'")

    with pytest.raises(InputError, match=r"record 1 \(run_started\): its content was changed.*compare it with a copy"):
        view_of(night.journal, night.run.id)


def test_a_row_that_lost_its_values_is_refused(night: Night, tmp_path: Path) -> None:
    """What can't be drawn any more ends in the same message."""
    night.tamper("UPDATE records SET body = replace(body, 'duration_s', 'duration')")

    with pytest.raises(InputError, match=r"record 4 \(result\): its content was changed"):
        write_evidence(night.journal, night.run.id, tmp_path / "reports" / "one")


def test_a_run_that_is_not_there_is_refused(night: Night) -> None:
    """One message with what to try."""
    with pytest.raises(InputError, match=r"not in the journal.*report -- latest"):
        view_of(night.journal, "nothing")


def test_report_says_so_and_fails(
    night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its exit status is not 0, and it says which record was altered."""
    monkeypatch.chdir(tmp_path)
    assert report.main(["--lab"]) == 0
    night.tamper(CHANGED)

    assert report.main(["--lab"]) == 1

    output = capsys.readouterr()
    assert "altered: state/lab.sqlite: run " in output.err
    assert "Do not approve this run" in output.err


def test_an_altered_run_spares_what_was_drawn_before(night: Night, tmp_path: Path) -> None:
    """The older files are the copy to compare with: they stay, and latest leads to the page that says so."""
    place = tmp_path / "reports"
    folder = write_evidence(night.journal, night.run.id, place / "one").folder
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    night.tamper(CHANGED)

    for _ in range(2):
        paths = write_evidence(night.journal, night.run.id, place / "one")

    assert paths.folder == place / "one-altered"
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert (place / "latest-migrate").readlink() == Path("one-altered")
    assert "exit code 0" in (paths.folder / "journal.jsonl").read_text(encoding="utf-8")
