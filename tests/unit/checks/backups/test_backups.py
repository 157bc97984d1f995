"""Preflight's judgement of a backup: on record, fresh, and restored by a drill of the very snapshots on the move's
target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from actions.backup.restore_drill import recorded_drill
from checks.backups.backups import BackupObject, check_backup
from checks.backups.restore_drills import Drill
from engine.journal.journal import Journal
from engine.redaction.redactor import Redactor
from engine.verdict import Judgement, Verdict

NOW: Final = datetime(2026, 1, 2, tzinfo=UTC)
DATA: Final = BackupObject("volume redis_data", "d" * 64, 200, NOW)
TAKEN: Final = (BackupObject("export dump.rdb", "e" * 64, 100, NOW), DATA)
SNAPSHOTS: Final = {item.name: item.snapshot for item in TAKEN}
GOOD: Final = Drill("wf001", SNAPSHOTS, seconds=12.0, told="redis: all equal; 3 parts (50 things) compared")


def preflight(drill: Drill | None) -> Judgement:
    """Return preflight's judgement of a fresh backup with this drill."""
    return check_backup(
        "redis",
        SNAPSHOTS,
        TAKEN,
        repository_ok=True,
        drill=drill,
        target="wf001",
        now=NOW + timedelta(hours=1),
        oldest_hours=24,
    )


def test_preflight_passes_with_a_drill_of_the_very_snapshots() -> None:
    """Its result says when it was restored, where, and what was compared."""
    assert preflight(GOOD).passed
    assert "restored on wf001 in 12 s, redis: all equal; 3 parts (50 things) compared" in preflight(GOOD).text


@pytest.mark.parametrize(
    ("drill", "words"),
    [
        (None, "it was never restored"),
        (
            replace(GOOD, problem="export dump.rdb can't be read"),
            "the restore drill failed: export dump.rdb can't be read",
        ),
        (replace(GOOD, target="wf002"), "it was restored on wf002, not on wf001"),
        (
            replace(GOOD, snapshots={**SNAPSHOTS, DATA.name: "a" * 64}),
            "volume redis_data: snapshot dddddddd was never restored (the drill was of aaaaaaaa)",
        ),
        (replace(GOOD, snapshots={}), "was never restored (the drill was of nothing)"),
    ],
)
def test_preflight_refuses_a_backup_that_no_drill_proves(drill: Drill | None, words: str) -> None:
    """No drill, a failed one, one elsewhere or one of other snapshots: the gate stays closed."""
    assert preflight(drill).verdict is Verdict.FAILED
    assert words in preflight(drill).text


def test_preflight_shows_that_there_was_no_drill() -> None:
    """The reason stands in the row that is approved."""
    assert (
        "NOT DRILLED: no file says how; each snapshot was read to its end"
        in preflight(replace(GOOD, not_drilled="no file says how")).text
    )


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (lambda: {"ok": True, "text": "", "note": {"drill": GOOD.record()}}, GOOD),
        (lambda: {"ok": False, "text": "left", "note": {"drill": GOOD.record()}}, Drill("wf001", {}, problem="left")),
        (lambda: {"ok": False, "text": "wf001: no answer", "note": {}}, Drill("", {}, problem="wf001: no answer")),
    ],
)
def test_a_drill_that_did_not_end_well_counts_as_failed(
    tmp_path: Path, body: Callable[[], dict[str, Any]], seen: Drill
) -> None:
    """Whatever ended it, an earlier good one does not stand in for it."""
    journal = Journal.open(tmp_path / "j.sqlite", redactor=Redactor())
    run = journal.start_run(command="prepare", environment="production")
    assert recorded_drill(journal, "redis") is None
    run.record(
        "outcome",
        service="redis",
        key="restore-drilled",
        body={"ok": True, "text": "", "note": {"drill": GOOD.record()}},
    )
    run.record("outcome", service="redis", key="restore-drilled", body=body())

    assert recorded_drill(journal, "redis") == seen


@pytest.mark.parametrize(("nothing_there", "verdict"), [(True, Verdict.PASSED), (False, Verdict.FAILED)])
def test_an_empty_snapshot_is_fine_only_of_a_place_without_content(*, nothing_there: bool, verdict: Verdict) -> None:
    """A folder that nobody wrote to yet is backed up as it is; nothing where something was is no backup."""
    empty = replace(DATA, size_bytes=0, nothing_there=nothing_there)
    assert BackupObject.from_record(empty.record()) == empty
    answer = check_backup(
        "redis",
        SNAPSHOTS,
        (TAKEN[0], empty),
        repository_ok=True,
        drill=GOOD,
        target="wf001",
        now=NOW + timedelta(hours=1),
        oldest_hours=24,
    )
    assert answer.verdict is verdict
