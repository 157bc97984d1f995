"""A step that left no row is named when a run is verified: what nobody looked at is not shown by silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.evidence.seal.sealed_folder import Sealed
from engine.evidence.seal.verify import Findings, _judge_records, steps_without_a_row
from engine.journal.journal import Journal
from engine.redaction.redactor import Redactor


@pytest.mark.parametrize(
    ("about", "missing"),
    [
        ({"steps": ["ports-free", "ssh-answers", "source-healthy"]}, ["source-healthy"]),
        ({"steps": ["ssh-answers", "ports-free"]}, []),
        ({"steps": ["ssh-answers", "ports-free", "hook-after-commit"]}, []),
        ({}, []),
    ],
)
def test_a_step_of_the_phase_without_a_row_is_named(tmp_path: Path, about: dict[str, Any], missing: list[str]) -> None:
    """The run wrote down at its start which steps its code has; an older run did not."""
    journal = Journal.open(tmp_path / "state" / "p.sqlite", redactor=Redactor())
    run = journal.start_run(command="preflight", environment="production", **about)
    run.record("step_skipped", body={"text": "", "step": "hook-after-commit"})
    for key in ("ssh-answers", "ports-free"):
        run.record("result", key=key, body={"phase": "preflight", "verdict": "PASSED", "subject": "all"})

    assert steps_without_a_row(journal.records(run_id=run.id)) == missing


def test_a_run_with_a_step_that_nobody_looked_at_does_not_verify(tmp_path: Path) -> None:
    """It is no damage, and no pass either: the command says what is not shown, and does not end with 0."""
    journal = Journal.open(tmp_path / "state" / "p.sqlite", redactor=Redactor())
    run = journal.start_run(command="preflight", environment="production", steps=["ssh-answers"])
    found = Findings()

    _judge_records(Sealed("run", {}), journal.records(run_id=run.id), found)

    assert "1 of 1 steps of this phase left no row" in found.not_compared[0]
    assert not any("left no row" in note for note in found.notes)
