"""What was not moved is not validated."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.journal.journal import Journal
from engine.redaction.redactor import Redactor
from engine.saga.outcomes import NotRun
from phases.validate.service_checks import refuse_unmoved


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (None, "redis was not moved"),
        ("undone", "redis is undone, not moved"),
        ("in_progress", "redis is in progress, not moved"),
        ("rolled_back", "redis is rolled back, not moved"),
        ("committed", None),
        ("done", None),
    ],
)
def test_only_what_was_moved_is_validated(tmp_path: Path, state: str | None, reason: str | None) -> None:
    """The steps of any other service are NOT_RUN: they would take its live container for one that runs again."""
    journal = Journal.open(tmp_path / "p.sqlite", redactor=Redactor())
    if state:
        journal.start_run(command="migrate", environment="production").record(
            "move_state", service="redis", body={"state": state}
        )

    if reason is None:
        refuse_unmoved(journal, "redis")
    else:
        with pytest.raises(NotRun, match=f"not run: {reason}"):
            refuse_unmoved(journal, "redis")
