"""A rehearsal of three services whose files are in a directory of their own: the tool's checkout is only read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.lab import at_hand
from tests.lab.at_hand import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.full]
LAB: Final = "elsewhere"
"""A lab of its own: the other tests' lab keeps its hosts and keys."""

DEADLINE_S: Final = 3600.0
NOT_OURS: Final = frozenset(
    {
        ".git",
        ".venv",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".hypothesis",
        ".import_linter_cache",
        "__pycache__",
    }
)


def _files() -> dict[str, int]:
    found: dict[str, int] = {}
    for here, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS]
        found |= {str(Path(here, name)): Path(here, name).stat().st_mtime_ns for name in names}
    return found


def _run(project: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    environ = at_hand.plain_environment() | {"LONGSHORE_LAB": LAB}
    words = [sys.executable, "-m", "commands", *argv, "--project", str(project)]
    return subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def test_a_rehearsal_writes_into_its_project_alone(tmp_path: Path) -> None:
    """Journal, evidence, approvals, identities and the lab's keys are in the project; every phase finds them there."""
    project = tmp_path / "ours"
    project.mkdir()
    for name in ("inventory.yaml", "migration_plan.json"):
        shutil.copy2(ROOT / name, project / name)
    before = _files()
    try:
        ran = _run(project, "demo", "--services", "core")

        assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
        assert _files() == before
        for phase in ("prepare", "preflight", "migrate", "validate"):
            assert (project / "reports" / "lab" / f"latest-{phase}" / "report.html").is_file(), phase
        assert (project / "state" / "lab.sqlite").is_file()
        assert list((project / "approvals" / "lab").glob("*.sig"))
    finally:
        _run(project, "lab", "down")
