"""The checkout that runs is the one that was committed: whatever hides a difference, or keeps git from answering,
closes the gate.
"""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from hosts.local.git import is_committed, read_code_digest, read_commit, read_project_commit
from phases.gates.gates import Gates
from tests.fakes.project_files import make_environment
from tests.unit.phases.gates.test_gates import OPEN, Past, scope_of


def git(root: Path, *argv: str) -> None:
    """Run git as a person does."""
    identity = {
        "GIT_AUTHOR_NAME": "t",
        "GIT_AUTHOR_EMAIL": "t@example.org",
        "GIT_COMMITTER_NAME": "t",
        "GIT_COMMITTER_EMAIL": "t@example.org",
    }
    subprocess.run(
        ["git", "-C", str(root), *argv], check=True, capture_output=True, timeout=30, env={**os.environ, **identity}
    )


@pytest.fixture
def checkout(tmp_path: Path, local_program: None) -> Path:
    """Return a committed checkout with one runbook, ignored state, and approvals that were signed later."""
    root = tmp_path / "checkout"
    for name in (
        "runbooks/migrate/test_move.py",
        "engine/saga/saga.py",
        "pyproject.toml",
        "inventory.yaml",
        "notes.txt",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"# {name}\n")
    (root / ".gitignore").write_text("__pycache__/\n*.pyc\n/state/\nignored.py\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "all")
    return root


def test_what_was_committed_is_named_by_its_commit(checkout: Path) -> None:
    """Twelve digits; caches, state, notes and what people sign later are no change."""
    for name in (
        "approvals/production/x.txt",
        "state/production.sqlite",
        "engine/__pycache__/saga.pyc",
        "todo.txt",
        "waivers.yaml",
    ):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("later")

    assert is_committed(read_commit(checkout))
    assert len(read_commit(checkout)) == 12


@pytest.mark.parametrize("name", ["engine/saga/saga.py", "runbooks/migrate/test_move.py", "inventory.yaml"])
def test_a_changed_file_is_a_change(checkout: Path, name: str) -> None:
    """In the work tree, or already added to the index."""
    (checkout / name).write_text("changed")
    assert read_commit(checkout).endswith("+changes")

    git(checkout, "add", name)
    assert read_commit(checkout).endswith("+changes")


@pytest.mark.parametrize(
    "name",
    [
        "runbooks/migrate/conftest.py",
        "runbooks/migrate/ignored.py",
        "engine/ignored.py",
        "conftest.py",
        "pytest.ini",
        "yaml.py",
        "jinja2/__init__.py",
    ],
)
def test_a_file_that_git_does_not_know_is_a_change_where_it_is_loaded(checkout: Path, name: str) -> None:
    """Pytest loads every conftest.py, Python every module of the top folder: untracked or ignored, they run too."""
    (checkout / name).parent.mkdir(parents=True, exist_ok=True)
    (checkout / name).write_text("print('loaded')")

    assert read_commit(checkout).endswith("+changes")


@pytest.mark.parametrize("flag", ["--skip-worktree", "--assume-unchanged"])
def test_a_file_that_git_was_set_to_ignore_is_a_change(checkout: Path, flag: str) -> None:
    """Git status hides its difference; the flag itself is reason enough."""
    git(checkout, "update-index", flag, "engine/saga/saga.py")
    (checkout / "engine/saga/saga.py").write_text("changed")

    assert read_commit(checkout).endswith("+changes")


def test_variables_of_the_shell_lead_git_nowhere_else(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIT_DIR, GIT_WORK_TREE and GIT_INDEX_FILE of another, clean checkout."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    (checkout / "engine/saga/saga.py").write_text("changed")
    for name, value in (
        ("GIT_DIR", other / ".git"),
        ("GIT_WORK_TREE", other),
        ("GIT_INDEX_FILE", other / ".git" / "index"),
    ):
        monkeypatch.setenv(name, str(value))

    assert read_commit(checkout).endswith("+changes")


def test_a_folder_inside_another_checkout_has_no_commit(checkout: Path) -> None:
    """The commit would be that of something else."""
    inner = checkout / "state" / "copy"
    inner.mkdir(parents=True)

    assert read_commit(inner) == "unknown"


@pytest.mark.parametrize(
    ("answer", "ending"),
    [
        ("exit 128", "unknown"),
        ('case "$*" in *status*) exit 128;; *) exec GIT "$@";; esac', "+unknown"),
        ('case "$*" in *ls-files*) exit 1;; *) exec GIT "$@";; esac', "+unknown"),
    ],
)
def test_a_git_that_fails_does_not_say_clean(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, ending: str
) -> None:
    """Dubious ownership, a lock, a missing index: no answer is no clean checkout."""
    real = subprocess.run(
        ["sh", "-c", "command -v git"], capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\n{answer.replace('GIT', real)}\n")
    (folder / "git").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    assert read_commit(checkout).endswith(ending)
    assert not is_committed(read_commit(checkout))


def test_a_git_that_is_slow_does_not_say_clean(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its deadline is an answer too: none."""
    monkeypatch.setattr("hosts.local.git.GIT_S", 0.0001)

    assert not is_committed(read_commit(checkout))


@pytest.mark.parametrize("commit", ["unknown", "1234567890ab+unknown", "", "1234567890ab+changes"])
def test_the_gate_is_closed_by_every_answer_but_a_clean_commit(tmp_path: Path, commit: str) -> None:
    """Unknown, an error and a timeout close it as changes do; an environment may say that it does not matter."""
    journal = Past(tmp_path).journal

    assert not Gates(scope_of(), journal, commit).tree().passed
    assert Gates(scope_of(make_environment(OPEN, ("require_clean_checkout", False))), journal, commit).tree().passed


def test_the_code_has_a_digest_of_its_own(checkout: Path) -> None:
    """It is that of the files as they lie there: a commit that only adds an approval leaves it as it was."""
    before = read_code_digest(checkout)
    (checkout / "approvals").mkdir()
    (checkout / "approvals" / "one.txt").write_text("signed")
    (checkout / "engine" / "__pycache__").mkdir()
    (checkout / "engine" / "__pycache__" / "saga.pyc").write_bytes(b"\0")
    assert read_code_digest(checkout) == before

    (checkout / "engine" / "saga.py").write_text("changed")
    assert read_code_digest(checkout) != before


@pytest.mark.parametrize(
    "change",
    [
        ("require_clean_checkout", False),
        ("ssh_config", "/tmp/other_config"),
        ("backup", {"host": "wf002", "path": "/b", "password": "command:touch /tmp/x", "reason": "r"}),
    ],
)
def test_what_an_environment_allows_is_signed(change: tuple[str, object]) -> None:
    """Whether only committed runbooks may run, how hosts are reached, and each command that gives a secret are part of
    what people approve.
    """
    base = ("backup", {"host": "wf002", "path": "/b", "password": "env:ONE", "reason": "r"})

    assert scope_of(make_environment(OPEN, base)).digest != scope_of(make_environment(OPEN, base, change)).digest


@pytest.fixture
def project(tmp_path: Path, local_program: None) -> Path:
    """Return a project in a folder of a committed checkout that has other folders too."""
    folder = tmp_path / "ours" / "move"
    for name in ("inventory.yaml", "site/preflight/test_ours.py", "../other/readme.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("committed")
    (folder / ".gitignore").write_text("/state/\n/node_modules/\n/site/validate/\n")
    git(folder.parent, "init", "-q")
    git(folder.parent, "add", ".")
    git(folder.parent, "commit", "-qm", "all")
    return folder


def test_a_committed_project_is_named_by_its_commit(project: Path) -> None:
    """State, approvals, notes and what belongs to other folders of its checkout are no change."""
    for name in (
        "state/a.sqlite",
        "approvals/a.txt",
        "waivers.yaml",
        "node_modules/a.js",
        "notes.txt",
        "../other/readme.txt",
    ):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("later")

    assert is_committed(read_project_commit(project))


@pytest.mark.parametrize(
    "name",
    ["inventory.yaml", "site/preflight/test_ours.py", "site/preflight/test_new.py", "site/validate/test_ignored.py"],
)
def test_a_changed_file_of_a_project_is_a_change(project: Path, name: str) -> None:
    """So is an own check that git does not know, or ignores: it runs all the same."""
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text("changed")

    assert read_project_commit(project).endswith("+changes")


def test_a_project_without_a_checkout_of_its_own_has_no_commit(tmp_path: Path, checkout: Path) -> None:
    """It is in none, or in the tool's, which is judged by itself."""
    (tmp_path / "plain").mkdir()

    assert read_project_commit(tmp_path / "plain") == ""
    assert read_project_commit(checkout, root=checkout) == ""


def test_a_changed_project_closes_the_gate(tmp_path: Path) -> None:
    """With the command that shows what differs, even where the tool's own checkout is clean."""
    gates = Gates(scope_of(), Past(tmp_path).journal, "0123456789ab", project_commit="0123456789ab+changes")

    assert gates.tree().text.startswith(
        "project: files differ from the commit. Expected: what runs is what was reviewed. Look: git -C "
    )
