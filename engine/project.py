"""The project: the directory of a site's own files. Every path of theirs is relative to it, and it is the working
directory of a command.

It is the directory that `--project DIR` or LONGSHORE_PROJECT names, else the one where the command was started: the
checkout, under nox. Paths that a person types are relative to it too, as with `git -C DIR`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from engine.constants import ENVIRONMENT_PREFIX
from engine.errors import InputError
from engine.finding import say

FLAG: Final = "--project"
VARIABLE: Final = f"{ENVIRONMENT_PREFIX}PROJECT"
CHECKOUT: Final = Path(__file__).resolve().parents[1]
"""Where the tool's own code lies; with a project elsewhere nothing is written there."""

INVENTORY: Final = "inventory.yaml"
PLAN: Final = "migration_plan.json"
WAIVERS: Final = Path("waivers.yaml")
ENVIRONMENTS: Final = Path("environments")
APPROVALS: Final = Path("approvals")
STATE: Final = Path("state")
REPORTS: Final = Path("reports")
OWN_CHECKS: Final = "site"
"""The folder of a project's own checks, unless its environment names another."""


def project_folder() -> Path:
    """Return the directory of the site's files."""
    return Path.cwd()


def environment_file(environment: str) -> Path:
    """Return where an environment's identities are kept."""
    return ENVIRONMENTS / f"{environment}.yaml"


def split_project(argv: list[str]) -> tuple[str | None, list[str]]:
    """Return what `--project` says, None without it, and the other words; raises InputError for a flag without a
    directory.
    """
    given: str | None = None
    others: list[str] = []
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if name != FLAG:
            others.append(word)
            continue
        given = value if equals else next(words, "")
        if not given or given.startswith("-"):
            raise InputError(
                say(
                    "{flag}: no directory given. Expected: {flag} DIR, the directory with {inventory} and "
                    "{environments}/",
                    flag=FLAG,
                    inventory=INVENTORY,
                    environments=ENVIRONMENTS,
                )
            )
    return given, others


def enter_project(argv: list[str]) -> list[str]:
    """Make the project the working directory and return a command's other words; child processes inherit it by its
    variable.

    Raises InputError for a directory that does not exist.
    """
    given, others = split_project(argv)
    named = given if given is not None else os.environ.get(VARIABLE)
    if not named:
        return others
    folder = Path(named).expanduser().resolve()
    if not folder.is_dir():
        origin = FLAG if given is not None else VARIABLE
        raise InputError(
            say(
                "{origin} {named}: no such directory. Expected: a project. Try: python -m commands init {named}",
                origin=origin,
                named=named,
            )
        )
    os.chdir(folder)
    os.environ[VARIABLE] = str(folder)
    if folder != CHECKOUT:
        _write_no_byte_code()
    return others


def project_words() -> tuple[str, ...]:
    """Return the flag that a shown command needs to work on the same project when it is pasted; none in the checkout's
    own.
    """
    named = os.environ.get(VARIABLE)
    return (FLAG, named) if named else ()


def _write_no_byte_code() -> None:
    """Keep Python's byte code out of the checkout, and let child processes import the code from there."""
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if str(CHECKOUT) not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(CHECKOUT), *paths])
