"""Start a project in a directory of its own: init DIR writes inventory, plan, environment, waivers and a first own
check.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Final

from engine.command_line import typed_command
from engine.errors import InputError
from engine.finding import say

START: Final = Path(__file__).parent / "start"
IGNORE: Final = "gitignore"
"""Under this name in the checkout, where git must not take it for its own."""


def main(argv: list[str]) -> int:
    """Write the files and say what comes next; raises InputError for a directory that is not empty."""
    parser = argparse.ArgumentParser(prog="init", description=__doc__)
    parser.add_argument("directory", type=Path, metavar="DIR", help="a new directory, or an empty one")
    folder: Path = parser.parse_args(argv).directory.expanduser().absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            say(
                "init {folder}: is not an empty directory. Expected: a new one, so that nothing is overwritten. Look: "
                "ls -A {folder}",
                folder=folder,
            )
        )
    for name, content in start_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
        print(f"written: {folder / name}")
    there = shlex.quote(str(folder))
    print("next: replace the example hosts and service, then")
    for name in ("pin", "plan"):
        print(f"  {typed_command(name, environment='production')} --project {there}")
    return 0


def start_files() -> dict[str, str]:
    """Return the content of each file of a new project, by its path in it."""
    files = sorted(path for path in START.rglob("*") if path.is_file() and path.suffix != ".pyc")
    names = {path: path.relative_to(START).as_posix() for path in files}
    return {f".{IGNORE}" if name == IGNORE else name: path.read_text(encoding="utf-8") for path, name in names.items()}
