"""The reader of compose files gives the answers that `docker compose config` gave: recorded, so that no Docker is
needed here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from checks.compose.grouping import read_projects
from checks.compose.model import ComposeProject
from checks.compose.sources import FetchedSources

FOLDER: Final = "/srv/p"
CASES: Final[list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[3] / "recorded" / "compose" / "cases.json").read_text(encoding="utf-8")
)


def project_of(files: dict[str, str]) -> ComposeProject:
    """Return the project that Compose reads by default in a folder with these files."""
    held = {f"{FOLDER}/{name}": text.encode() for name, text in files.items()}
    top = [path for path in held if path.rpartition("/")[0] == FOLDER and "compose" in path]
    return next(project for project in read_projects(FetchedSources(held), top) if project.is_default)


def ports_of(project: ComposeProject) -> dict[str, list[tuple[str, str, int, str]]]:
    """Return what each active service publishes, in the form of the recorded answers."""
    active = [service for service in project.services if service.is_active]
    return {
        service.name: sorted(single for port in service.ports for single in port.published.single())
        for service in active
    }


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_answer_is_that_of_docker_compose(case: dict[str, Any]) -> None:
    """What Compose publishes, we say that it publishes; what it refuses, we report, with the file and the reason."""
    project, answer = project_of(case["files"]), case["answer"]

    if "refused" in answer:
        assert project.troubles
        assert all(trouble.file.startswith(FOLDER) and trouble.reason for trouble in project.troubles)
    else:
        assert not project.troubles
        assert ports_of(project) == {name: sorted(map(tuple, ports)) for name, ports in answer["services"].items()}
