"""Judges cost the start of other commands nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]


def test_no_judge_imports_scipy_and_the_clock_not_even_numpy(local_program: None) -> None:
    """`status` reads the clock: it must not wait for a library of statistics."""
    program = (
        "import sys, pkgutil, importlib\n"
        "import checks.monitor.stability_verdict, checks.monitor.steady, checks.monitor.own_actions\n"
        "assert 'numpy' not in sys.modules\n"
        "import checks.monitor\n"
        "for one in pkgutil.iter_modules(checks.monitor.__path__):\n"
        "    importlib.import_module('checks.monitor.' + one.name)\n"
        "assert 'numpy' in sys.modules\n"
        "assert 'scipy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
