"""Everything that a person can run: `nox -l` is the menu. Developer sessions run by default, operator
sessions by name.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Final

import nox

ROOT: Final = Path(__file__).parent
sys.path.insert(0, str(ROOT))

from commands import menu  # noqa: E402 nox does not put this folder on the path

PYTHON: Final = str(ROOT / ".venv" / "bin" / "python") if (ROOT / ".venv").exists() else sys.executable
"""The environment that bootstrap.sh made: nothing is installed at 02:00."""

BROWSER: Final = {"chromium": "chromium", "poppler-utils": "pdftotext"}
"""Debian packages that the page's tests need, each with its program."""

nox.options.default_venv_backend = "none"
logging.getLogger("nox").addFilter(lambda record: "uv binary not found" not in record.getMessage())
"""nox looks for a program that it never needs here, and says so before each session."""
nox.options.sessions = ["lint", "types", "tests"]


def _command(session: nox.Session, name: str) -> None:
    """Run a command as a terminal would: Ctrl-C reaches it, and nobody kills it while it undoes."""
    session.run(
        PYTHON, "-m", "commands", name, *session.posargs, external=True, interrupt_timeout=None, terminate_timeout=None
    )


def _operator(name: str, sentence: str) -> None:
    def run(session: nox.Session) -> None:
        _command(session, name)

    run.__name__, run.__doc__ = name, sentence
    nox.session(name=name, default=False, venv_backend="none")(run)


for _name, _sentence in menu().items():
    _operator(_name, _sentence)


def _tool(session: nox.Session, *argv: str) -> None:
    session.run(PYTHON, "-m", *argv, external=True)


@nox.session(default=False)
def simulate(session: nox.Session) -> None:
    """Play migrations against modelled hosts on which everything goes wrong (--seeds N, --from K; --seed K replays
    one).
    """
    session.run(PYTHON, "-m", "tests.simulation", *session.posargs, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting, imports between rooms, schemas."""
    _tool(session, "ruff", "check", ".")
    _tool(session, "ruff", "format", "--check", ".")
    session.run(str(Path(PYTHON).with_name("lint-imports")), external=True)
    _tool(session, "commands", "schema", "--check")
    _tool(session, "commands", "catalogue", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly."""
    _tool(session, "mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Unit tests and rules of the plugin: no network, no Docker."""
    _tool(
        session,
        "pytest",
        "tests/unit",
        "tests/rules",
        "tests/simulation",
        "--numprocesses",
        str(min(4, os.cpu_count() or 1)),
        *session.posargs,
    )


@nox.session(default=False)
def page_tests(session: nox.Session) -> None:
    """The evidence page in Debian's Chromium: reading, keyboard, print, accessibility, hostile names."""
    missing = [package for package, program in BROWSER.items() if not shutil.which(program)]
    if missing and hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        session.run("apt-get", "update", "-qq", external=True, silent=True)
        session.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, external=True, silent=True,
                    env={"DEBIAN_FRONTEND": "noninteractive"})  # fmt: skip
    _tool(session, "pytest", "tests/page", *session.posargs)


@nox.session(default=False)
def lab_tests(session: nox.Session) -> None:
    """End to end on the lab's real Docker hosts, with faults and sabotage, as far as CI has time."""
    _tool(session, "pytest", "tests/lab", "-m", "not full", "--durations=25", *session.posargs)


@nox.session(default=False)
def lab_full(session: nox.Session) -> None:
    """Everything that the lab can show, also what takes hours: more than CI has time for."""
    _tool(session, "pytest", "tests/lab", *session.posargs)


@nox.session(default=False)
def chaos(session: nox.Session) -> None:
    """Kill whole migrations at every step boundary and in the middle of copies, resume them, and look for losses."""
    _tool(session, "pytest", "tests/lab/test_chaos.py", *session.posargs)


@nox.session(default=False)
def lock_dependencies(session: nox.Session) -> None:
    """Lock the dependencies again, with hashes and without addresses."""
    flags = (
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
        "--no-emit-index-url",
        "--no-emit-find-links",
        "--python-version",
        "3.11",
    )
    session.run(
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--upgrade",
        *flags,
        "--group",
        "dev",
        "pyproject.toml",
        "-o",
        "requirements.lock",
        external=True,
        env={"PATH": os.environ["PATH"]},
    )
