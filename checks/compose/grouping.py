"""Which compose files belong together: what `docker compose up` reads in a folder, what containers were started from,
the rest.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from checks.compose.model import ComposeProject
from checks.compose.project import read_project, read_variables
from checks.compose.sources import Sources

DEFAULTS: Final = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES: Final = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
"""In the order in which Compose looks (compose-go, cli/options.go)."""
LIKE_COMPOSE: Final = re.compile(r"(?i)(?:.*[-._])?compose(?:[-._].*)?\.ya?ml")
LABEL_PROJECT: Final = "com.docker.compose.project"
LABEL_FILES: Final = "com.docker.compose.project.config_files"
LABEL_FOLDER: Final = "com.docker.compose.project.working_dir"
LABEL_SERVICE: Final = "com.docker.compose.service"


@dataclass(frozen=True, order=True)
class Launch:
    """From which files the containers of a project were started, by their labels."""

    folder: str
    files: tuple[str, ...]
    name: str


def is_compose_name(path: str) -> bool:
    """Return whether a file is called as people call compose files."""
    return LIKE_COMPOSE.fullmatch(posixpath.basename(path)) is not None


def launch_of(labels: dict[str, str]) -> Launch | None:
    """Return what a container's labels say about its project, None when Compose did not start it."""
    files, folder = labels.get(LABEL_FILES, ""), labels.get(LABEL_FOLDER, "")
    if not files or not folder:
        return None
    return Launch(
        folder,
        tuple(posixpath.normpath(posixpath.join(folder, file)) for file in files.split(",")),
        labels.get(LABEL_PROJECT, ""),
    )


def read_projects(
    sources: Sources, paths: Iterable[str], launches: Iterable[Launch] = ()
) -> tuple[ComposeProject, ...]:
    """Return the projects behind the compose files at `paths` and behind containers that run already.

    A file that no project reads by default (docker-compose.prod.yml) is a project of its own, which is not started by
    default.
    """
    paths = sorted(set(paths))
    projects: dict[tuple[str, tuple[str, ...]], ComposeProject] = {}
    for launch in sorted(set(launches)):
        projects[launch.folder, launch.files] = read_project(sources, launch.folder, launch.files, name=launch.name)
    for folder, files in _defaults(sources, paths):
        if (folder, files) not in projects:
            projects[folder, files] = read_project(sources, folder, files)
    read = {file for project in projects.values() for file in (*project.read, *project.files)}
    for path in paths:
        if path not in read:
            folder = posixpath.dirname(path)
            projects[folder, (path,)] = read_project(sources, folder, (path,), is_default=False)
    return tuple(projects[key] for key in sorted(projects))


def _defaults(sources: Sources, paths: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each folder with the files that Compose reads there by default."""
    names: dict[str, set[str]] = {}
    for path in paths:
        folder, name = posixpath.split(path)
        names.setdefault(folder, set()).add(name)
    for folder, there in names.items():
        base = next((name for name in DEFAULTS if name in there), None)
        if base is None:
            continue
        override = next((name for name in OVERRIDES if name in there), None)
        chosen = _chosen_by_variables(sources, folder) or [name for name in (base, override) if name]
        yield folder, tuple(posixpath.normpath(posixpath.join(folder, name)) for name in chosen)


def _chosen_by_variables(sources: Sources, folder: str) -> list[str]:
    """Return the files that COMPOSE_FILE of the folder's .env names instead of the default ones."""
    values = read_variables(sources, folder)
    separator = values.get("COMPOSE_PATH_SEPARATOR") or ":"
    return [name for name in values.get("COMPOSE_FILE", "").split(separator) if name]
