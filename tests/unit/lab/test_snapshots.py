"""A kept moment of the lab: comes back whole, with its journal, and only to the lab that it was kept of."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from commands import lab as command
from lab import snapshots
from lab.settings import HOSTS, Choice, LabError
from tests.unit.lab.test_pristine_disks import FakeEngine


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str]]:
    """Put a fake machine under the module and return the copies that were asked for."""
    pairs: list[tuple[str, str]] = []
    monkeypatch.setattr(snapshots, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(snapshots.pristine_disks, "copy_disks", lambda _client, asked: pairs.extend(asked))
    monkeypatch.setattr(snapshots.pristine_disks, "stop_copying", lambda _client: None)
    monkeypatch.setattr(snapshots.hosts, "ensure_network", lambda _client: {plan.name: "192.0.2.1" for plan in HOSTS})
    for name in ("stop", "remove", "start"):
        monkeypatch.setattr(snapshots.hosts, name, lambda *_: None)
    monkeypatch.setattr(snapshots.hosts, "wait_for_host", lambda _plan: None)
    monkeypatch.setattr(snapshots.services, "wait_for_services", lambda _choice: None)
    monkeypatch.setattr(snapshots.services, "start_sessions", lambda: None)
    return pairs


def _say(_text: str) -> None:
    """Say nothing."""


def test_what_was_kept_comes_back(copied: list[tuple[str, str]]) -> None:
    """Every host's disk is copied away, and from there back."""
    engine: Any = FakeEngine()

    snapshots.keep(engine, "prepared", _say)
    away = list(copied)
    copied.clear()
    snapshots.need(engine, "prepared")
    snapshots.bring_back(engine, "prepared", _say)

    assert [source for source, _ in away] == [plan.volume for plan in HOSTS]
    assert copied == [(kept, disk) for disk, kept in away]


def test_a_second_keep_of_a_name_replaces_the_first(copied: list[tuple[str, str]]) -> None:
    """There is one set of disks a name."""
    engine: Any = FakeEngine()
    for _ in range(2):
        snapshots.keep(engine, "prepared", _say)

    assert len([one for one in engine.kept if snapshots.KEPT_LABEL in one.labels]) == len(HOSTS)
    assert len(copied) == 2 * len(HOSTS)


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize("lost", ["never kept", "another folder's", "a disk"])
def test_what_is_not_whole_does_not_come_back(lost: str) -> None:
    """Nothing kept, disks that another folder's lab kept since, a disk removed: refused, with what to do."""
    engine: Any = FakeEngine()
    if lost != "never kept":
        snapshots.keep(engine, "prepared", _say)
    if lost == "another folder's":
        for volume in engine.kept:
            volume.labels[snapshots.KEPT_LABEL] = "f00"
    if lost == "a disk":
        engine.kept.pop()

    with pytest.raises(
        LabError, match=r"prepared: not kept by this folder's lab .*Expected: python -m commands lab keep prepared"
    ):
        snapshots.need(engine, "prepared")


def test_a_name_is_a_plain_word() -> None:
    """It becomes the name of volumes and of a folder."""
    with pytest.raises(LabError, match="no name for a kept lab"):
        snapshots.keep(None, "../elsewhere", _say)


def test_the_journal_goes_with_it(tmp_path: Path) -> None:
    """It is copied whole while it is open, also what is not yet in its main file."""
    journal, kept = tmp_path / "lab.sqlite", tmp_path / "kept.sqlite"
    with closing(sqlite3.connect(journal)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE records (seq)")
        writer.execute("INSERT INTO records VALUES (7)")
        writer.commit()
        command._copy_journal(journal, kept)

    with closing(sqlite3.connect(kept)) as reader:
        assert reader.execute("SELECT seq FROM records").fetchall() == [(7,)]


@pytest.mark.usefixtures("copied")
def test_a_lab_with_other_services_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disks with three services are not those of a lab that is known to have thirteen."""
    engine: Any = FakeEngine()
    snapshots.keep(engine, "prepared", _say)
    monkeypatch.setattr(snapshots, "known_choice", lambda: Choice.ALL)

    with pytest.raises(LabError, match=r"prepared: kept with core services\. .* lab reset --services core"):
        snapshots.need(engine, "prepared")
