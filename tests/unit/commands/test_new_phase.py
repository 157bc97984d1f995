"""docs/new-phase.md is true: its changes, made in a copy of the tree, add a phase."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "docs" / "new-phase.md"
ROOMS: Final = ("actions", "checks", "commands", "engine", "hosts", "phases", "runbooks", "services")
FILES: Final = ("conftest.py", "longshore", "noxfile.py", "pyproject.toml")
HEADLINE: Final = """
from engine.contracts.phase import READING_PHASES
from engine.evidence.headline import sentence_of
from engine.i18n.language import language_of
from phases.context.required_results import keys_of
row = {"verdict": "PASSED", "severity": "blocker"}
print(sentence_of("smoke", [row], {"moves": [{}, {}]}, finished=True))
print(sentence_of("smoke", [row], {"moves": [{}, {}]}, finished=True, language=language_of("pt-BR")))
print(READING_PHASES, keys_of("smoke"))
"""


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the tree, with what Python compiled of it, and make the page's changes in it."""
    copy = tmp_path_factory.mktemp("tree")
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room)
    for name in FILES:
        shutil.copy2(ROOT / name, copy / name)
    judgement, runbook, entry = _blocks("python")
    for path, text in (("phases/smoke/answers.py", judgement), ("runbooks/smoke/test_services.py", runbook)):
        (copy / path).parent.mkdir()
        (copy / path).write_text(text, encoding="utf-8")
    table = copy / "engine" / "contracts" / "phase.py"
    before, heading, after = table.read_text(encoding="utf-8").partition("TABLE: Final = (\n")
    table.write_text(before + heading + entry.rstrip() + ",\n" + after, encoding="utf-8")
    catalogue = copy / "engine" / "i18n" / "locale" / "pt_BR.po"
    catalogue.write_text(catalogue.read_text(encoding="utf-8") + "\n" + _blocks("po")[0], encoding="utf-8")
    return copy


def _run(tree: Path, *argv: str) -> str:
    ran = subprocess.run([sys.executable, *argv], cwd=tree, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_menus_list_the_phase(tree: Path, local_program: None) -> None:
    """The one of nox, and our own."""
    line = "After a deployment: check that the moved services are running"

    assert f"- smoke -> {line}" in _run(tree, "-m", "nox", "-l")
    assert re.search(rf"^  smoke +{line}$", _run(tree, "-m", "commands", "--help"), re.MULTILINE)


def test_the_phase_has_help_of_its_own(tree: Path, local_program: None) -> None:
    """With the flags of a phase that reads."""
    text = _run(tree, "-m", "commands", "smoke", "--help")

    assert "nox -s smoke -- --lab | --environment NAME" in text
    assert "--shard I/N" in text
    assert "--apply" not in text


def test_the_phase_is_a_marker(tree: Path, local_program: None) -> None:
    """Registered by the plugin: pytest refuses unknown markers."""
    assert "@pytest.mark.smoke: After a deployment" in _run(
        tree, "-m", "pytest", "--markers", "-p", "no:cacheprovider", "conftest.py"
    )


def test_its_evidence_has_a_headline(tree: Path, local_program: None) -> None:
    """In both languages; its steps are known to whoever judges whether a run is whole."""
    assert _run(tree, "-c", HEADLINE).splitlines() == [
        "Smoke test of 2 services passed: 1 of 1 steps passed",
        "Teste rápido de 2 serviços aprovada: 1 de 1 etapas aprovadas",
        "('smoke', 'preflight', 'validate') ['answers']",
    ]


def test_its_texts_are_translated(tree: Path, local_program: None) -> None:
    """All that the page says, and nothing else is missing."""
    _run(tree, "-m", "commands", "catalogue", "--check")
