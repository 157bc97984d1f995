"""Names of data: the same digest for the same environment, nothing in its records that gives them away, and a file
that stays here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.evidence.formats.journal_jsonl import line_of
from engine.journal.journal import Journal
from engine.journal.name_digests import keep_names, sealer_of
from engine.redaction.redactor import Redactor
from phases.context.run_context import RunContext
from services.fingerprints.compare import compare_fingerprints

KEY = "sess:Xk29fLq0aZ8-3mNvBt77PpQwErTyUiOp"


def _journal(folder: Path) -> Journal:
    return Journal.open(folder / "lab.sqlite", redactor=Redactor())


def _context(journal: Journal) -> RunContext:
    run = journal.start_run(command="migrate", environment="lab")
    nothing: Any = None
    return RunContext(scope=nothing, fleet=nothing, journal=journal, run=run, redactor=Redactor())


def test_an_environment_has_one_salt_and_another_has_another(tmp_path: Path) -> None:
    """Whoever opens the journal later calls a name the same; a digest of another environment says nothing."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()

    assert sealer_of(_journal(here))(KEY) == sealer_of(_journal(here))(KEY)
    assert sealer_of(_journal(here))(KEY) != sealer_of(_journal(there))(KEY)
    assert sealer_of(_journal(here)).salt.hex() not in repr(sealer_of(_journal(here)))


def test_a_recorded_fingerprint_holds_digests_and_can_be_compared(tmp_path: Path) -> None:
    """The record has no name and no salt; a later reading is held to it key by key."""
    context = _context(_journal(tmp_path))
    names = {context.sealer(KEY): "a" * 16, context.sealer("cart:1"): "b" * 16}
    context.record_fingerprint(
        "redis",
        "wf005",
        "source",
        Fingerprint("redis", {"db 0: keys": FingerprintPart(2, "d", Validity.SINCE_CUTOVER, {}, names)}),
    )
    (record,) = context.journal.records(kind="fingerprint")
    before = context.recorded_fingerprint("redis", "source")

    assert KEY not in line_of(record)
    assert "cart:1" not in line_of(record)
    assert context.sealer.salt.hex() not in line_of(record)
    assert before is not None
    assert before.parts["db 0: keys"].names == names
    now = Fingerprint(
        "redis",
        {"db 0: keys": FingerprintPart(1, "e", Validity.SINCE_CUTOVER, {}, {context.sealer("cart:1"): "b" * 16})},
    )
    assert f"missing {context.sealer(KEY)}" in compare_fingerprints(before, now).text


def test_names_of_a_lost_salt_hold_at_the_cutover_only(tmp_path: Path) -> None:
    """A journal that was adopted from the hosts has another salt: its names can't be found again, so nobody says that
    they are missing.
    """
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    lost, context = sealer_of(_journal(old)), _context(_journal(new))
    body = {
        "count": 1,
        "digest": "d",
        "holds": "since_cutover",
        "bound": {},
        "names": {lost(KEY): "a"},
        "salt": lost.id,
    }
    context.run.record(
        "fingerprint",
        service="redis",
        body={"service": "redis", "moment": "cutover", "host": "wf001", "parts": {"db 0: keys": body}},
    )
    before = context.recorded_fingerprint("redis", "cutover")

    assert before is not None
    assert before.parts["db 0: keys"] == FingerprintPart(1, "d", Validity.AT_CUTOVER)


def test_what_digests_stand_for_stays_in_the_private_folder(tmp_path: Path) -> None:
    """One file for all parts of a reading, for its owner only."""
    folder = tmp_path / "run" / "private"
    keep_names(folder, "redis-wf005", {"#1": KEY})
    path = keep_names(folder, "redis-wf005", {"#2": "cart:1"})

    assert json.loads(path.read_text(encoding="utf-8")) == {"#1": KEY, "#2": "cart:1"}
    assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [one.name for one in folder.iterdir()] == ["names-redis-wf005.json"]
