"""A run's folder verifies, belongs to its owner, holds no secret and can be drawn again."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import pytest

from engine.evidence import folder_name, write_evidence
from tests.fakes.run_on_record import PASSWORD, Night


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """Return a migration of one service."""
    return Night(tmp_path)


def test_no_file_holds_a_secret(night: Night, tmp_path: Path) -> None:
    """What passed the redactor is counted on the page and in no file."""
    night.row("FAILED", f"AUTH {PASSWORD}", details=[f"redis://:{PASSWORD}@x"])
    night.page()

    paths = write_evidence(night.journal, night.run.id, tmp_path / "reports" / "one")

    assert [file.name for file in paths.folder.iterdir() if PASSWORD.encode() in file.read_bytes()] == []
    assert "2 secrets were removed" in paths.report.read_text(encoding="utf-8")


def test_files_verify_and_belong_to_their_owner(night: Night, tmp_path: Path) -> None:
    """SHA256SUMS covers every file, in the form of sha256sum; nobody else may read them."""
    night.row()
    night.page()

    folder = write_evidence(night.journal, night.run.id, tmp_path / "reports" / "lab" / "one").folder

    lines = [line.split("  ") for line in (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()]
    assert [name for _, name in lines] == ["evidence.json", "journal.jsonl", "junit.xml", "report.html", "summary.md"]
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for digest, name in lines)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)} == {0o700}
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    records = [json.loads(line) for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["hash"] for record in records] == [
        record.hash for record in night.journal.records(run_id=night.run.id)
    ]


def draw(night: Night, run_id: str, place: Path) -> str:
    """Draw a run into its own folder; return the folder's name."""
    name = folder_name(night.journal.records(run_id=run_id)[0])
    write_evidence(night.journal, run_id, place / name)
    return name


def test_latest_leads_to_the_newest_run_of_its_command(night: Night, tmp_path: Path) -> None:
    """A relative link, replaced whole, one per command; drawing an old run again does not turn it back."""
    night.page()
    place = tmp_path / "reports"
    older = draw(night, night.run.id, place)
    assert (place / "latest-migrate").readlink() == Path(older)

    newer = draw(night, night.another("migrate").id, place)
    other = draw(night, night.another("validate").id, place)
    draw(night, night.run.id, place)

    assert (place / "latest-migrate").readlink() == Path(newer)
    assert sorted(path.name for path in place.iterdir()) == sorted(
        [older, newer, other, "latest-migrate", "latest-validate"]
    )


def test_two_runs_of_one_second_have_two_folders(night: Night) -> None:
    """A frozen or coarse clock mixes no evidence."""
    night.step_s = 0

    names = {folder_name(night.journal.records(run_id=night.another("migrate").id)[0]) for _ in range(3)}

    assert len(names) == 3
    assert all(name.startswith("20260101T00000") and "-migrate-" in name for name in names)


def test_an_old_run_is_drawn_as_it_was(night: Night, tmp_path: Path) -> None:
    """What later runs measured and did is no part of its page."""
    night.run.record("outage", service="redis", body={"seconds": 4.2, "error_bar_s": 0.1})
    night.run.record("move_state", service="redis", body={"state": "undone"})
    night.page()
    first = draw(night, night.run.id, tmp_path / "r")
    before = {file.name: file.read_bytes() for file in (tmp_path / "r" / first).iterdir()}

    later = night.another("migrate")
    later.record("outage", service="redis", body={"seconds": 9.9, "error_bar_s": 0.1})
    later.record("move_state", service="redis", body={"state": "done"})
    draw(night, night.run.id, tmp_path / "r")

    assert {file.name: file.read_bytes() for file in (tmp_path / "r" / first).iterdir()} == before


def test_evidence_can_be_drawn_again(night: Night, tmp_path: Path) -> None:
    """`report` draws the same page from the same journal."""
    night.row()
    night.page()
    first = {
        file.name: file.read_bytes()
        for file in write_evidence(night.journal, night.run.id, tmp_path / "r" / "one").folder.iterdir()
    }

    second = {
        file.name: file.read_bytes()
        for file in write_evidence(night.journal, night.run.id, tmp_path / "r" / "one").folder.iterdir()
    }

    assert first == second
