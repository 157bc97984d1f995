"""The exit status of a phase: pytest's own for a broken hook is the one that says "refused, nothing was done" here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from commands import phase
from engine.errors import LockLostError
from engine.verdict import ExitCode


@pytest.mark.parametrize(("broke", "status"), [(True, ExitCode.NEEDS_OPERATOR), (False, ExitCode.REFUSED)])
def test_a_tool_that_broke_is_never_reported_as_refused(
    monkeypatch: pytest.MonkeyPatch, broke: bool, status: ExitCode
) -> None:
    """Whenever pytest says INTERNAL_ERROR, also before the first step, a person must look; a gate's own 3 stays."""

    def main(_argv: list[str], plugins: list[Any]) -> int:
        if broke:
            plugins[0].pytest_internalerror()
        return int(pytest.ExitCode.INTERNAL_ERROR)

    monkeypatch.setattr(phase.pytest, "main", main)

    assert phase.run_phase("migrate", ["--lab"]) == status


@pytest.mark.parametrize(("ended", "status"), [(0, ExitCode.INCOMPLETE), (5, ExitCode.NEEDS_OPERATOR)])
def test_what_fails_after_the_steps_is_never_reported_as_refused(
    monkeypatch: pytest.MonkeyPatch, ended: int, status: ExitCode
) -> None:
    """A lock that is gone when the run is closed: something was done, and the status of the steps stays."""

    def main(_argv: list[str], plugins: list[Any]) -> int:
        plugins[0].pytest_sessionfinish(SimpleNamespace(exitstatus=ended))
        raise LockLostError("wf005: held by ana")

    monkeypatch.setattr(phase.pytest, "main", main)

    assert phase.run_phase("migrate", ["--lab"]) == status
