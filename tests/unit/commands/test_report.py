"""`report` finds the run that a person means, and says so when it can't."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import report
from engine.errors import InputError
from engine.evidence import folder_name
from tests.fakes.run_on_record import Night


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the folders of a migration, a migration and a validation on record, none drawn yet."""
    night = Night(tmp_path / "state")
    runs = [night.run, night.another("migrate"), night.another("validate")]
    monkeypatch.chdir(tmp_path)
    return [folder_name(night.journal.records(run_id=run.id)[0]) for run in runs]


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        ((), 2),
        (("latest",), 2),
        (("latest-migrate",), 1),
        (("reports/lab/latest-validate",), 2),
        (("reports/lab/latest-migrate/",), 1),
    ],
)
def test_the_newest_run_is_drawn(
    names: list[str], asked: tuple[str, ...], drawn: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of all, or of one command, by the name of its link too."""
    assert report.main([*asked, "--lab"]) == 0

    assert capsys.readouterr().out == f"evidence: reports/lab/{names[drawn]}/report.html\n"
    assert (Path("reports/lab") / names[drawn] / "report.html").is_file()


def test_a_run_is_found_by_its_folder_or_its_id(names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The first letters are enough when only one run has them."""
    for asked in (names[0], f"reports/lab/{names[0]}", names[0][-8:]):
        assert report.main([asked, "--lab"]) == 0

    assert capsys.readouterr().out == f"evidence: reports/lab/{names[0]}/report.html\n" * 3


@pytest.mark.parametrize("asked", ["2026", "nothing", "latest-decommission"])
def test_no_run_or_many_are_named(names: list[str], asked: str) -> None:
    """One message with the runs that could be meant."""
    with pytest.raises(InputError, match=rf"run {asked}: (3|0) in state/lab.sqlite. Expected: one of .*{names[2]}"):
        report.main([asked, "--lab"])


def test_an_environment_without_journal_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped environment leaves nothing behind."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InputError, match=r"state/productoin.sqlite: not there.*Look: ls state"):
        report.main(["--environment", "productoin"])

    assert list(tmp_path.iterdir()) == []
