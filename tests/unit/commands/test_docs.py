"""What the operator's pages ask people to type exists: commands, flags, exit statuses, files; in both
languages alike.
"""

from __future__ import annotations

import argparse
import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from ruamel.yaml import YAML

from commands import command_names
from engine.contracts.phase import READING_PHASES
from engine.run.options import FLAGS, add_flags
from engine.sharding.shard import PIPELINE, Shard, read_shard
from engine.verdict import ExitCode

DOCS: Final = Path(__file__).parents[3] / "docs"
PAGES: Final = (DOCS / "operate.md", DOCS / "operar.pt-BR.md", DOCS / "nightly.md", DOCS / "fleets.md")
FLEET: Final = DOCS / "fleets" / "gitlab.yml"
TYPED: Final = re.compile(r"(?:nox -s|python -m commands) ([a-z_]+)(?: --)?((?: [^`#\n|]*)?)")
OWN_FLAGS: Final = {
    "--as",
    "--role",
    "--token",
    "--watch",
    "--compare",
    "--from-hosts",
    "--severity",
    "--rate",
    "--seconds",
    "--i-mean-it",
    "--text",
    "--ticket",
    "--from",
    "--at",
}
"""Flags of single commands."""

LINK: Final = re.compile(r"\]\(([^)#:]+)\)")
UNITS: Final = tuple((DOCS / "nightly" / f"longshore-validate.{kind}") for kind in ("service", "timer"))
CI: Final = (DOCS / "nightly" / "github.yml", DOCS / "nightly" / "gitlab.yml")


def typed(text: str) -> list[tuple[str, list[str]]]:
    """Return each command in a text with its flags."""
    return [(match[1], re.findall(r"--[a-z-]+", match[2])) for match in TYPED.finditer(text)]


@pytest.mark.parametrize("page", [*PAGES, DOCS.parent / "README.md", *CI, FLEET, UNITS[0]], ids=lambda page: page.name)
def test_every_command_and_flag_exists(page: Path) -> None:
    """Nobody reads documentation at 02:00 to find that it is wrong."""
    found = typed(page.read_text(encoding="utf-8"))
    flags = {flag.name for flag in FLAGS} | OWN_FLAGS

    assert found
    assert [name for name, _ in found if name not in command_names()] == []
    assert [flag for _, used in found for flag in used if flag not in flags] == []


@pytest.mark.parametrize("page", PAGES[:2], ids=lambda page: page.name)
def test_every_exit_status_is_described(page: Path) -> None:
    """With its number and its word, as the last line printed has them."""
    rows = re.findall(r"^\| (\d) \| ([A-Z_]+) \|", page.read_text(encoding="utf-8"), re.MULTILINE)

    assert rows == [(str(code.value), code.name) for code in ExitCode]


def test_both_languages_give_the_same_commands() -> None:
    """Apart from the language itself."""
    english, portuguese = (
        {
            (name, tuple(flag for flag in flags if flag != "--lang"))
            for name, flags in typed(page.read_text(encoding="utf-8"))
        }
        for page in PAGES[:2]
    )

    assert english == portuguese


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file of the checkout."""
    assert [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not (DOCS / link).exists()] == []


def test_the_units_are_what_systemd_takes(tmp_path: Path, local_program: None) -> None:
    """A service that runs once and a timer that starts it; judged by systemd itself where it is installed."""
    service, timer = (configparser.ConfigParser(strict=False, interpolation=None) for _ in UNITS)
    service.read(UNITS[0], encoding="utf-8")
    timer.read(UNITS[1], encoding="utf-8")

    assert service["Service"]["type"] == "oneshot"
    assert service["Service"]["execstart"].endswith("-m commands validate --environment production")
    assert (timer["Timer"]["persistent"], timer["Timer"]["oncalendar"]) == ("true", "*-*-* 03:30:00")
    if shutil.which("systemd-analyze"):
        for unit in UNITS:
            text = unit.read_text(encoding="utf-8").replace("/opt/longshore/.venv/bin/python", sys.executable)
            (tmp_path / unit.name).write_text(text, encoding="utf-8")
        argv = ["systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in UNITS)]
        ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("file", CI, ids=lambda file: file.name)
def test_the_ci_files_are_yaml_and_keep_the_journal(file: Path) -> None:
    """Without the journal there is nothing to compare tonight with; two runs never overlap."""
    text = file.read_text(encoding="utf-8")

    assert YAML(typ="safe").load(text)
    assert "state/" in text
    assert "longshore-validate" in text
    assert "clean: false" in text or "GIT_CLEAN_FLAGS" in text


def test_the_matrix_of_a_fleet_is_all_its_shards() -> None:
    """Each job of the matrix is one shard, together they are all; the report asks for the very run that the shards
    write, whatever became of them.
    """
    jobs = YAML(typ="safe").load(FLEET.read_text(encoding="utf-8"))
    looks, draws = jobs["longshore-preflight"], jobs["longshore-report"]
    argv = shlex.split(looks["script"][-1])[3:]
    matrix = looks["parallel"]["matrix"][0]["SHARD"]
    shards = []
    for shard in matrix:
        parser = argparse.ArgumentParser(allow_abbrev=False)
        add_flags(parser.add_argument)
        parsed = parser.parse_args([word.replace("$SHARD", shard) for word in argv[1:]])
        shards.append(read_shard(parsed.shard, parsed.run_name, {PIPELINE: "4711"}))

    assert argv[0] in READING_PHASES
    assert shards == [Shard(number, len(matrix), "pipeline-4711") for number in range(1, len(matrix) + 1)]
    assert f" report pipeline-${PIPELINE} " in draws["script"][-1]
    assert jobs["stages"].index(draws["stage"]) > jobs["stages"].index(looks["stage"])
    assert draws["when"] == "always"
