"""Asked for help a phase tells its own flags, and starts nothing."""

from __future__ import annotations

import pytest

from commands import phase
from engine.contracts.phase import PHASES
from engine.run.options import FLAGS


@pytest.mark.parametrize("name", PHASES)
@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_tells_all_flags(name: str, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every flag of ours stands there; pytest is not started."""
    monkeypatch.setattr(phase.pytest, "main", lambda _argv: pytest.fail("pytest was started"))

    assert phase.run_phase(name, ["--lab", word]) == 0

    told = capsys.readouterr().out
    assert f"nox -s {name} -- " in told
    assert [flag.name for flag in FLAGS if flag.name not in told] == []
