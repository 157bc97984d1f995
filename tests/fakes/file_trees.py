"""Trees of files for the tests of manifests, and their manifests."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from hosts.manifest import program
from hosts.manifest.manifest import Drift, Manifest, compare_manifests

END: Final = b'{"end":true,"entries":7,"files":4,"bytes":0,"read":0,"reused":0}\n'


class Inline:
    """Workers that work at once, in this process."""

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do it now."""
        answer = work(*arguments)
        return SimpleNamespace(result=lambda: answer, done=lambda: True)


def printed(root: Path, **options: str) -> bytes:
    """Return what the program prints about a tree, hashed in this process."""
    out = io.StringIO()
    program.print_manifest(os.fsencode(root), out, Inline(), **options)
    return out.getvalue().encode()


def manifest(root: Path, host: str = "wf005", **options: str) -> Manifest:
    """Return the manifest of a tree."""
    return Manifest(host, str(root), printed(root, **options))


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
