"""Which version of the runbooks this is: the git commit of the checkout, and the SHA-256 over the code that runs."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

import rfc8785

from engine.project import OWN_CHECKS

SIGNED_LATER: Final = (":!approvals", ":!waivers.yaml")
ROOT: Final = Path(__file__).resolve().parents[2]
CODE: Final = ("actions", "checks", "commands", "engine", "hosts", "phases", "runbooks", "services")
"""The packages that a run imports."""

SETTINGS: Final = ("conftest.py", "noxfile.py", "pyproject.toml", "requirements.lock")
"""Files of the top folder that decide what runs, and how."""

LOADED: Final = frozenset({".py", ".pyc", ".so", ".pth", ".ini", ".toml", ".cfg"})
"""What Python or pytest loads from the top folder when it lies there."""

OWN: Final = frozenset({".venv", ".nox", "state", "reports", "tests", "bench", "lab"})
"""Folders that are no part of a run's code; a rehearsal's own code is among them."""

CACHE: Final = "__pycache__"
GIT_S: Final = 30.0
UNKNOWN: Final = "unknown"
PLAIN: Final = ("-c", "core.fsmonitor=false", "-c", "core.excludesFile=/dev/null")
"""Settings of the operator's own git that would hide a file, or run a program."""


class _NoAnswerError(Exception):
    """Git did not answer, or said that it can't."""


def read_project_commit(project: Path, own: str = OWN_CHECKS, root: Path = ROOT) -> str:
    """Return the commit of a project that is a git checkout, or a folder of one, as `read_commit` does.

    It is "" for the tool's own checkout, which `read_commit` judges, and for a project that is in no checkout.
    """
    project = project.resolve()
    if not any((folder / ".git").exists() for folder in (project, *project.parents)):
        return ""
    try:
        top = Path(_git(project, "rev-parse", "--show-toplevel").strip()).resolve()
        if top == root.resolve():
            return ""
        commit = _git(project, "rev-parse", "--short=12", "HEAD").strip()
    except _NoAnswerError:
        return UNKNOWN
    try:
        return (
            f"{commit}+changes"
            if _differs(project, lambda path: _is_own_check(path, own), project.relative_to(top).as_posix())
            else commit
        )
    except _NoAnswerError:
        return f"{commit}+{UNKNOWN}"


def read_commit(root: Path = ROOT, own: str = OWN_CHECKS) -> str:
    """Return the commit, with "+changes" when the work tree differs from it; "unknown" outside a checkout.

    "+unknown" stands for a work tree that git could not compare. Approvals and waivers come after what they are about,
    so they don't count as changes. A file of the code that git does not know counts, also one that is ignored: Python
    and pytest load it all the same.
    """
    try:
        if Path(_git(root, "rev-parse", "--show-toplevel").strip()).resolve() != root.resolve():
            return UNKNOWN
        commit = _git(root, "rev-parse", "--short=12", "HEAD").strip()
    except _NoAnswerError:
        return UNKNOWN
    if not commit:
        return UNKNOWN
    try:
        return f"{commit}+changes" if _differs(root, lambda path: _is_loaded(path, own)) else commit
    except _NoAnswerError:
        return f"{commit}+{UNKNOWN}"


def is_committed(commit: str) -> bool:
    """Return whether `read_commit` saw a checkout that is what was committed."""
    return bool(commit) and all(one in "0123456789abcdef" for one in commit)


def read_code_digest(root: Path = ROOT, own: Path | None = None) -> str:
    """Return the SHA-256 over every file of the code as it lies on the disk, whatever git says of it; `own` is the
    folder of own checks.
    """
    digests = {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in _code_files(root)
    }
    digests |= {f"{OWN_CHECKS}/{name}": digest for name, digest in read_own_digests(own).items()} if own else {}
    return hashlib.sha256(rfc8785.dumps(dict(digests))).hexdigest()


def read_own_digests(own: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder of own checks, by its path in it; none where there is no
    such folder.
    """
    files = (
        sorted(path for path in own.rglob("*") if path.is_file() and CACHE not in path.parts) if own.is_dir() else []
    )
    return {path.relative_to(own).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _code_files(root: Path) -> Iterator[Path]:
    yield from (path for name in SETTINGS if (path := root / name).is_file())
    for folder in CODE:
        yield from (path for path in sorted((root / folder).rglob("*")) if path.is_file() and CACHE not in path.parts)


def _differs(root: Path, is_loaded: Callable[[str], bool], below: str = ".") -> bool:
    """Return whether a file differs from the commit: one that git knows, or one that a run loads and that git does not
    know.

    `below` is where `root` lies in its checkout: git lists paths from the top.
    """
    listed = _git(
        root,
        "status",
        "--porcelain",
        "-z",
        "--no-renames",
        "--untracked-files=all",
        "--ignored=matching",
        "--",
        ".",
        *SIGNED_LATER,
    )
    for line in filter(None, listed.split("\0")):
        kind, path = line[:2], line[3:] if below == "." else line[3:].removeprefix(f"{below}/")
        if kind not in {"??", "!!"} or is_loaded(path):
            return True
    hidden = _git(root, "ls-files", "-v", "-z", "--", ".", *SIGNED_LATER)
    return any(
        line and (line[0].islower() or line[0] == "S") for line in hidden.split("\0")
    )  # assume-unchanged, skip-worktree


def _is_own_check(path: str, own: str) -> bool:
    """Return whether a file, or a folder that git lists as a whole, holds own checks."""
    this, folder = PurePosixPath(path), PurePosixPath(own)
    return CACHE not in this.parts and (
        this.is_relative_to(folder) or (path.endswith("/") and folder.is_relative_to(this))
    )


def _is_loaded(path: str, own: str) -> bool:
    """Return whether a file (or a folder, its path ends with "/") that git does not know could be loaded by a run."""
    if _is_own_check(path, own):
        return True
    parts = PurePosixPath(path).parts
    if CACHE in parts or parts[0] in OWN or (parts[0].startswith(".") and not path.endswith(tuple(LOADED))):
        return False
    return parts[0] in CODE or path.endswith("/") or PurePosixPath(path).suffix in LOADED


def _git(root: Path, *arguments: str) -> str:
    """Return what git printed; variables of the operator's shell (GIT_DIR, GIT_INDEX_FILE, …) have no effect."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    argv = ["git", "-C", str(root), *PLAIN, *arguments]
    try:
        answer = subprocess.run(
            argv,
            capture_output=True,
            timeout=GIT_S,
            check=False,
            env={**environ, "GIT_NO_REPLACE_OBJECTS": "1", "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _NoAnswerError(str(error)) from error
    if answer.returncode:
        raise _NoAnswerError(answer.stderr.decode("utf-8", "replace"))
    return answer.stdout.decode("utf-8", "surrogateescape")
