"""`./longshore` runs commands from any directory, keeps their exit status, and says what to do where nothing is
installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

SCRIPT: Final = Path(__file__).parents[3] / "longshore"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout whose Python prints where and with what it was started, and ends with status 3."""
    folder = tmp_path / "a folder"
    (folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copy2(SCRIPT, folder / "longshore")
    python = folder / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\npwd\nfor word in "$@"; do echo "<$word>"; done\nexit 3\n', encoding="utf-8")
    python.chmod(0o755)
    return folder


def _run(script: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(script), *words], cwd=cwd, capture_output=True, text=True, check=False, timeout=30)


def test_words_and_exit_status_are_kept(checkout: Path, tmp_path: Path, local_program: None) -> None:
    """From another directory, with spaces in a word; nox turns each status but 0 into 1."""
    ran = _run(checkout / "longshore", "rollback", "redis", "--break-lock", "agreed by phone", cwd=tmp_path)

    assert ran.stdout.splitlines() == [
        str(checkout), "<-m>", "<commands>", "<rollback>", "<redis>", "<--break-lock>", "<agreed by phone>",
    ]  # fmt: skip
    assert ran.returncode == 3


def test_a_link_to_the_script_leads_to_its_checkout(checkout: Path, tmp_path: Path, local_program: None) -> None:
    """So it can be linked into a folder of the PATH."""
    link = tmp_path / "longshore"
    link.symlink_to(checkout / "longshore")

    assert _run(link, "status", "--lab", cwd=tmp_path).stdout.startswith(f"{checkout}\n")


def test_without_words_the_menu_is_shown(checkout: Path, tmp_path: Path, local_program: None) -> None:
    """As with --help."""
    assert _run(checkout / "longshore", cwd=tmp_path).stdout.splitlines()[-1] == "<--help>"


def test_what_is_not_installed_is_named(checkout: Path, tmp_path: Path, local_program: None) -> None:
    """With the command that installs it."""
    shutil.rmtree(checkout / ".venv")
    ran = _run(checkout / "longshore", "status", "--lab", cwd=tmp_path)

    assert ran.returncode == 4
    assert ran.stderr == (
        f"longshore: {checkout}/.venv: not there. Expected: the environment with its dependencies. Run: "
        f"{checkout}/bootstrap.sh setup\n"
    )


def test_the_real_menu_lists_phases_and_commands(local_program: None) -> None:
    """Without importing one of them."""
    ran = subprocess.run(
        [sys.executable, "-m", "commands", "--help"],
        cwd=SCRIPT.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 0
    assert ran.stdout.startswith("usage: ./longshore COMMAND ")
    assert [name for name in ("prepare", "rollback", "status", "window") if f"\n  {name} " not in ran.stdout] == []
