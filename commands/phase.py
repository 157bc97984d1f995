"""A phase is a pytest run over one folder of runbooks; pytest-html prints its technical appendix beside our page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent


def run_phase(phase: str, argv: list[str]) -> int:
    """Run the runbooks of a phase and return our exit status (see docs/design.md)."""
    sys.stdout.flush()
    return int(
        pytest.main(
            [
                str(ROOT / "runbooks" / phase),
                f"--rootdir={ROOT}",
                f"--confcutdir={ROOT}",
                "--import-mode=importlib",
                "--no-header",
                "--no-summary",
                "-q",
                "--tb=short",
                "-p",
                "no:cacheprovider",
                "-o",
                "filterwarnings=default",  # a warning of a library must not end a migration
                *argv,
            ]
        )
    )
