"""People with real ssh keys, for tests whose subject is a signature."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.config.environment import Environment
from engine.config.scope import Scope, build_scope
from tests.fakes.project_files import make_environment, make_inventory, make_plan

TESS, BEA, EVE = "tess@example.org", "bea@example.org", "eve@example.org"
ROLES = {TESS: ["technical"], BEA: ["business"]}


def make_key(folder: Path, name: str) -> tuple[Path, str]:
    """Make a key unless it is there, and return its private half's file and its public half."""
    path = folder / name
    if not path.exists():
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)],
            check=True,
            stdin=subprocess.DEVNULL,
            timeout=20,
        )
    return path, " ".join(path.with_suffix(path.suffix + ".pub").read_text().split()[:2])


class People:
    """Tess may sign technically, Bea for the business; Eve has a key that nobody listed."""

    def __init__(self, session: pytest.TempPathFactory) -> None:
        """Make their keys, once for all tests."""
        folder = session.getbasetemp() / "people"
        folder.mkdir(mode=0o700, exist_ok=True)
        made = {person: make_key(folder, person.partition("@")[0]) for person in (TESS, BEA, EVE)}
        self.keys = {person: private for person, (private, _) in made.items()}
        self.public = {person: public for person, (_, public) in made.items()}

    def environment(self, *changes: tuple[str, Any]) -> Environment:
        """Return an environment that lists Tess and Bea."""
        return make_environment(
            ("approvers", {person: {"roles": roles, "key": self.public[person]} for person, roles in ROLES.items()}),
            *changes,
        )

    def scope(self, *changes: tuple[str, Any]) -> Scope:
        """Return the scope of the small files with these people."""
        return build_scope(make_inventory(), make_plan(), self.environment(*changes))
