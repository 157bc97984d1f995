"""Which settings file and plugins a phase may be started with: those of the checkout itself, wherever pytest sees its
root.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.run.admitted_options import COLLECTED, refused_options

ROOT = Path(__file__).resolve().parents[4]


def refused(*args: str, root: Path = ROOT) -> list[str]:
    """Return what is said to options on the command line; `root` is what pytest takes for its root directory."""
    config: Any = SimpleNamespace(
        invocation_params=SimpleNamespace(args=args),
        rootpath=root,
        inipath=root / "pyproject.toml",
        getini=lambda name: COLLECTED[name],
    )
    return list(refused_options(config))


FORMS = [("-c", "{}"), ("-c{}",), ("--config-file={}",), ("--config-file", "{}")]


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing in the shell that changes pytest, and begin in the checkout."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTEST_PLUGINS", raising=False)
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("file", ["pyproject.toml", "./pyproject.toml", str(ROOT / "pyproject.toml")])
def test_the_checkouts_own_settings_file_is_taken(form: tuple[str, ...], file: str) -> None:
    """It is what pytest reads without the option."""
    assert refused(*(word.format(file) for word in form), "runbooks/migrate") == []


@pytest.mark.parametrize("form", FORMS)
def test_another_settings_file_is_refused(form: tuple[str, ...], tmp_path: Path) -> None:
    """It could leave out steps or load other code; that pytest makes its folder the root directory does not make it the
    checkout's.
    """
    other = tmp_path / "pyproject.toml"
    other.write_bytes((ROOT / "pyproject.toml").read_bytes())
    (message,) = refused(*(word.format(other) for word in form), "runbooks/migrate", root=tmp_path)

    assert str(other) in message
    assert (
        "not an option that a phase takes: it could leave out steps or load other code. Choose with --service or --wave"
        in message
    )


def test_a_settings_file_in_the_shell_is_refused_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PYTEST_ADDOPTS is no way around it."""
    monkeypatch.setenv("PYTEST_ADDOPTS", f"-c {tmp_path}/pyproject.toml")
    (message,) = refused("runbooks/migrate", root=tmp_path)
    assert message.startswith("PYTEST_ADDOPTS: ")
    monkeypatch.setenv("PYTEST_ADDOPTS", f"-c {ROOT}/pyproject.toml")
    assert refused("runbooks/migrate") == []


def test_a_plugin_next_to_another_settings_file_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin is ours by where it lies, whatever the root directory is."""
    (tmp_path / "leaves_out.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert refused("-p", "leaves_out", root=tmp_path)
    assert refused("-p", "engine.run.plugin", root=tmp_path) == []


def test_a_python_without_assert_statements_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """PYTHONOPTIMIZE in the operator's shell: what an own check's helper asserts would hold always."""
    monkeypatch.setattr("engine.run.admitted_options.sys", SimpleNamespace(flags=SimpleNamespace(optimize=1)))
    (message,) = refused("runbooks/migrate")
    assert "unset PYTHONOPTIMIZE" in message


def test_a_failed_judgement_fails_without_assert_statements(local_program: None) -> None:
    """It did become UNKNOWN: a failure that only warns when it could not be seen then stopped nobody."""
    program = (
        "from engine.contracts.step import Judge; from engine.verdict import failed; "
        "Judge()(failed('the disk is full'))"
    )
    ended = subprocess.run([sys.executable, "-O", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.stderr.strip().endswith("AssertionError: the disk is full")
