"""A sealed folder in memory: every file's bytes, and what does not belong into one; read from a folder or from an
archive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engine.errors import InputError, NotObservedError

SUMS: Final = "SHA256SUMS"
SIGNATURE: Final = "SHA256SUMS.sig"
STATEMENT: Final = "evidence.json"
RECORDS: Final = "journal.jsonl"
OTHERS: Final = "others.jsonl"
"""Records of other runs that the page shows too."""

JUNIT: Final = "junit.xml"
PAGE: Final = "report.html"
SUMMARY: Final = "summary.md"
APPENDIX: Final = "pytest.html"
APPROVALS: Final = "approvals"
WAIVERS: Final = "waivers"
ATTACHMENTS: Final = "attachments"
PLAN: Final = "plan"
PRIVATE: Final = "private"
"""Full logs and the like, for the operator alone: neither sealed nor packed."""

SEALS: Final = frozenset({SUMS, SIGNATURE, STATEMENT})


@dataclass(frozen=True)
class Sealed:
    """The files by their path below the run's folder; `odd` says what is there and is no plain file."""

    name: str
    files: Mapping[str, bytes] = field(repr=False)
    odd: tuple[str, ...] = ()

    def text(self, name: str) -> str:
        """Return a file as text; bytes that are no UTF-8 are shown as such, so that they differ from what
        was written.
        """
        return self.files.get(name, b"").decode("utf-8", "backslashreplace")

    def digests(self, *, without: frozenset[str] = frozenset()) -> dict[str, str]:
        """Return each file's SHA-256, in order of their names."""
        return {name: digest_of(content) for name, content in sorted(self.files.items()) if name not in without}


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def read_folder(folder: Path) -> Sealed:
    """Return what is in a run's folder, without its private part; raises InputError when there is none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: not there. Expected: a run's folder, or a bundle of one. Look: ls reports/*")
    found = sorted(path for path in folder.rglob("*") if path.relative_to(folder).parts[0] != PRIVATE)
    plain = [path for path in found if path.is_file() and not path.is_symlink()]
    parents = {parent for path in plain for parent in path.parents}
    odd = [path for path in found if path not in plain and path not in parents]
    try:
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in plain}
    except OSError as error:
        raise NotObservedError(
            f"{folder}: can't be read: {error}. Expected: your own files. Look: ls -l {folder}"
        ) from error
    return Sealed(
        folder.resolve().name, files, tuple(f"{path.relative_to(folder).as_posix()}: {_kind(path)}" for path in odd)
    )


def _kind(path: Path) -> str:
    kind = "a link" if path.is_symlink() else "an empty folder" if path.is_dir() else "no plain file"
    return f"is {kind}. Expected: plain files only"
