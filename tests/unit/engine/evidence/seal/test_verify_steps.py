"""A step that left no row is named when a run is verified: what nobody looked at is not shown by silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.evidence.seal.verify import steps_without_a_row
from engine.journal.journal import Journal
from engine.redaction.redactor import Redactor


@pytest.mark.parametrize(
    ("about", "missing"),
    [
        ({"steps": ["ports-free", "ssh-answers", "source-healthy"]}, ["source-healthy"]),
        ({"steps": ["ssh-answers", "ports-free"]}, []),
        ({}, []),
    ],
)
def test_a_step_of_the_phase_without_a_row_is_named(tmp_path: Path, about: dict[str, Any], missing: list[str]) -> None:
    """The run wrote down at its start which steps its code has; an older run did not."""
    journal = Journal.open(tmp_path / "state" / "p.sqlite", redactor=Redactor())
    run = journal.start_run(command="preflight", environment="production", **about)
    for key in ("ssh-answers", "ports-free"):
        run.record("result", key=key, body={"phase": "preflight", "verdict": "PASSED", "subject": "all"})

    assert steps_without_a_row(journal.records(run_id=run.id)) == missing
