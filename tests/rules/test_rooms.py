"""Lists of rooms name every room: one that is left out would be neither signed, translated, checked nor drawn again."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Final

from commands.catalogue import ROOMS as TRANSLATED
from engine.evidence.seal.redraw import ENGINE
from engine.run.admitted_options import CHECKOUT
from hosts.local.git import CODE
from hosts.local.git import ROOT as SIGNED_ROOT

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = frozenset(path.parent.name for path in ROOT.glob("*/__init__.py"))
TOOLS: Final = frozenset({"bench", "lab"})
"""Packages that no phase imports."""


def test_what_is_signed_is_all_code_that_a_run_imports() -> None:
    """The digest in an approval covers every package but the lab and the benchmarks."""
    assert set(CODE) == PACKAGES - TOOLS


def test_what_is_translated_and_layered_is_all_code() -> None:
    """The catalogue reads every room, and import-linter holds each in its layer."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(TRANSLATED) == PACKAGES - TOOLS
    assert set(settings["tool"]["importlinter"]["root_packages"]) == PACKAGES - TOOLS
    assert set(settings["tool"]["mypy"]["files"]) >= PACKAGES


def test_places_of_the_checkout_are_the_checkout() -> None:
    """A module that moves deeper must not take a package for the checkout."""
    assert CHECKOUT == SIGNED_ROOT == ROOT
    assert ENGINE == ROOT / "engine"


def test_no_link_is_tracked() -> None:
    """A link leads somewhere on one machine; one that a merge brings could take the place of a folder that git ignores,
    such as the virtual environment's.
    """
    listed = subprocess.run(["git", "ls-files", "--stage"], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert [line for line in listed.splitlines() if line.startswith("120000")] == []
    assert ".venv" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines(), "also as a link"
