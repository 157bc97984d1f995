"""A new project is complete: its files are read by the commands that come next, and its example is a check."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands.init import main
from engine.config.loading import load_files
from engine.config.scope import build_scope
from engine.errors import InputError
from engine.project import OWN_CHECKS
from engine.signoff.waiver import read_waivers
from phases.context.own_checks import OwnCheck, own_checks, refuse_wrong

WRITTEN = {
    ".gitignore",
    "environments/production.yaml",
    "inventory.yaml",
    "migration_plan.json",
    "site/preflight/test_example.py",
    "waivers.yaml",
}


def test_a_new_project_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Inventory, plan, environment and waivers are right together; the commands that follow name the project."""
    folder = tmp_path / "shop"

    assert main([str(folder)]) == 0

    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == WRITTEN
    files = load_files(
        folder / "inventory.yaml", folder / "migration_plan.json", folder / "environments" / "production.yaml"
    )
    scope = build_scope(files.inventory, files.plan, files.environment)
    assert [(move.service, move.source, move.target) for move in scope.moves] == [("redis", "old1", "new1")]
    assert read_waivers(folder / "waivers.yaml").shape == ()
    assert f"nox -s plan -- --environment production --project {folder}" in capsys.readouterr().out


def test_the_example_is_a_check_of_targets(tmp_path: Path) -> None:
    """Nothing is wrong with its folder; it warns, and asks the hosts that services go to."""
    main([str(tmp_path / "shop")])
    own = tmp_path / "shop" / OWN_CHECKS

    refuse_wrong(own, tmp_path / "shop")
    assert own_checks(own, "preflight") == (
        OwnCheck("site-swappiness-is-low", "host", frozenset({"target_hosts", "warning"}), varies=False),
    )


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_nothing_is_overwritten(tmp_path: Path, kind: str) -> None:
    """A directory with anything in it, or a file, is refused and stays as it is."""
    place = tmp_path / "shop"
    kept = place if kind == "file" else place / "inventory.yaml"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")

    with pytest.raises(InputError, match="is not an empty directory"):
        main([str(place)])
    assert kept.read_text() == "mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]
