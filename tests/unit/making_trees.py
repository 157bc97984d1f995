"""Trees of files for the tests of manifests, and their manifests."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final

from hosts import manifest_program as program
from hosts.manifest import Drift, Manifest, compare_manifests

END: Final = b'{"end":true}\n'


class Now:
    """A future that is there at once."""

    def __init__(self, value: list[str | None]) -> None:
        """Hold the value."""
        self.value = value

    def result(self) -> list[str | None]:
        """Return it."""
        return self.value


def manifest(root: Path, host: str = "wf005") -> Manifest:
    """Return what the program prints about a tree, hashed in this process."""
    out = io.StringIO()
    with redirect_stdout(out):
        for batch in program.batches(os.fsencode(root)):
            program.show((batch, Now(program.digests([path for _, path in program.files_of(batch)]))))
    return Manifest(host, str(root), out.getvalue().encode() + END)


def compared(one: Path, other: Path, ignore: tuple[str, ...] = ()) -> Drift:
    """Compare two trees."""
    return compare_manifests(manifest(one), manifest(other, "wf001"), ignore)


def entries(root: Path) -> dict[str, dict[str, Any]]:
    """Return a tree's entries by path."""
    return {entry["path"]: entry for entry in manifest(root).entries()}


def fill(root: Path) -> Path:
    """Make a tree with a file, a folder with a file, a link, a pair of hard links, all of one time."""
    (root / "folder").mkdir(parents=True)
    (root / "file").write_bytes(b"content")
    (root / "folder" / "inner").write_bytes(b"inner")
    (root / "link").symlink_to("folder/inner")
    (root / "pair-a").write_bytes(b"shared")
    os.link(root / "pair-a", root / "pair-b")
    return calm(root)


def calm(root: Path) -> Path:
    """Give everything one time and one mode."""
    for path in [*root.rglob("*"), root]:
        os.utime(path, ns=(10**18, 10**18), follow_symlinks=False)
    return root
