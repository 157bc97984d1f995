"""A whole preflight of a project elsewhere: all that it writes is in the project, the tool's checkout is only read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from commands.init import main as init

ROOT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = ("actions", "checks", "commands", "engine", "hosts", "phases", "runbooks", "services")
FILES: Final = ("conftest.py", "longshore", "noxfile.py", "pyproject.toml")


def _files(folder: Path) -> dict[str, int]:
    """Return each file and folder of a checkout with the time of its last change."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout that nothing else uses: a lab, caches and other tests write into this one. What Python compiled
    comes along: a run compiles nothing anew.
    """
    copy = tmp_path_factory.mktemp("checkout")
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room)
    for name in FILES:
        shutil.copy2(ROOT / name, copy / name)
    return copy


def _run(checkout: Path, folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_", "LONGSHORE_"))}
    environ = kept | {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    argv = (sys.executable, "-m", "commands", *argv, "--environment", "production", "--project", str(folder))
    return subprocess.run(argv, cwd=checkout, env=environ, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return a new project whose hosts do not answer."""
    folder = tmp_path / "a shop"
    init([str(folder)])
    (folder / "ssh_config").write_text("Host *\n  ProxyCommand false\n", encoding="utf-8")
    environment = folder / "environments" / "production.yaml"
    environment.write_text(f"{environment.read_text(encoding='utf-8')}\nssh_config: ssh_config\n", encoding="utf-8")
    return folder


def test_a_preflight_writes_into_the_project_alone(checkout: Path, project: Path) -> None:
    """Journal and evidence are in the project, own checks in both; what is shown as the next command names
    the project.
    """
    before = _files(checkout)

    ran = _run(checkout, project, "preflight")

    assert "evidence: reports/production/" in ran.stdout, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert ran.returncode in {1, 2}, "no host answered"
    assert _files(checkout) == before
    assert (project / "state" / "production.sqlite").is_file()
    (page,) = project.glob("reports/production/2*-preflight-*/report.html")
    text = page.read_text(encoding="utf-8")
    assert "The target host swaps late: vm.swappiness is at most 10." in text
    assert "preflight/test_example.py" in text
    assert f"--project '{project}'" in ran.stdout
    records = [json.loads(line) for line in (page.parent / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    (row,) = (
        record for record in records if record.get("kind") == "result" and record.get("key") == "site-swappiness-is-low"
    )
    assert (row["body"]["host"], row["body"]["severity"], row["body"]["verdict"]) == ("new1", "warning", "UNKNOWN")

    status = _run(checkout, project, "status")
    assert status.returncode == 0, status.stderr
    assert "redis" in status.stdout


def test_a_wrong_own_check_ends_the_run_before_it_begins(checkout: Path, project: Path) -> None:
    """Exit status 4 and one message; nothing is written."""
    (project / "site" / "preflight" / "test_wrong.py").write_text("def test_one(host):\n    pass\n", encoding="utf-8")

    ran = _run(checkout, project, "preflight")

    assert ran.returncode == 4
    assert "test_wrong.py:1: test_one: no docstring" in ran.stdout + ran.stderr
    assert not (project / "reports").exists()
