"""The project is one directory: the flag, else the variable, else where the command was started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from commands.__main__ import main
from engine.errors import InputError
from engine.project import VARIABLE, enter_project, project_folder, project_words
from engine.run.options import read_options


@pytest.fixture(autouse=True)
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin elsewhere, with a shell that names no project, and put everything back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for name in (VARIABLE, "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.setenv(name, "")


@pytest.mark.parametrize("form", [("--project", "shop"), ("--project=shop",)])
def test_the_flag_makes_it_the_working_directory(tmp_path: Path, form: tuple[str, ...]) -> None:
    """Every relative path means the project's then; children find the tool's code, and its folder gets no byte code."""
    (tmp_path / "shop").mkdir()

    assert enter_project(["latest", *form, "--lab"]) == ["latest", "--lab"]

    assert project_folder() == tmp_path / "shop"
    assert os.environ[VARIABLE] == str(tmp_path / "shop")
    assert str(Path(__file__).resolve().parents[3]) in os.environ["PYTHONPATH"].split(os.pathsep)
    assert sys.dont_write_bytecode


def test_the_variable_names_it_too_and_the_flag_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with every other flag that has a variable."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "one"))

    enter_project([])
    assert project_folder() == tmp_path / "one"
    enter_project(["--project", str(tmp_path / "two")])
    assert project_folder() == tmp_path / "two"


def test_without_either_nothing_changes(tmp_path: Path) -> None:
    """The working directory is the project: the checkout, under nox."""
    assert enter_project(["--lab"]) == ["--lab"]
    assert (project_folder(), project_words(), sys.dont_write_bytecode) == (tmp_path, (), False)


def test_shown_commands_name_the_project(tmp_path: Path) -> None:
    """They work when they are pasted, from anywhere."""
    enter_project(["--project", str(tmp_path)])

    options = read_options(
        {"environment": "production", "inventory": "i", "plan": "p"}.get, ["--environment", "production"]
    )

    assert options.argv == ("--environment", "production", "--project", str(tmp_path))


@pytest.mark.parametrize("words", [["--project"], ["--project", "--lab"], ["--project="]])
def test_a_flag_without_a_directory_is_refused(words: list[str]) -> None:
    """The next flag is no directory."""
    with pytest.raises(InputError, match="--project: no directory given"):
        enter_project(words)


def test_a_directory_that_is_missing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the command that makes one, and exit status 4, by every command."""
    assert main(["plan", "--project", "nowhere", "--environment", "production"]) == 4
    assert (
        "--project nowhere: no such directory. Expected: a project. Try: python -m commands init nowhere"
        in capsys.readouterr().err
    )
