"""The compose files below some local paths, and what they publish."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from checks.compose.grouping import is_compose_name, read_projects
from checks.compose.project import read_project
from checks.compose.sources import LocalSources
from checks.ports.report import HERE, HostScan
from engine.errors import InputError
from engine.finding import joined, say

NOT_ENTERED: Final = frozenset({".git", "node_modules", "site-packages", "__pycache__", "lost+found"})


def scan_paths(paths: Iterable[Path]) -> HostScan:
    """Return the projects of the compose files at and below some paths; raises InputError for a path that
    is not there.
    """
    paths = [path.resolve() for path in paths]
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise InputError(
            say(
                "{missing}: not there. Expected: files or folders with compose files. Look: ls -l {first_missing}",
                missing=joined(", ", missing),
                first_missing=missing[0],
            )
        )
    sources = LocalSources()
    found = read_projects(sources, (file for path in paths if path.is_dir() for file in list_compose_files(path)))
    named = (read_project(sources, str(path.parent), (str(path),)) for path in paths if not path.is_dir())
    return HostScan(HERE, None, (*found, *named))


def list_compose_files(folder: Path) -> Iterator[str]:
    """Yield the files below a folder that are called like compose files; links to folders are not followed."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in NOT_ENTERED)
        yield from (os.path.join(place, name) for name in sorted(files) if is_compose_name(name))  # noqa: PTH118 thousands of texts
