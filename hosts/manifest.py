"""What a volume holds, entry by entry, and the pure comparison of two of them."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from engine.errors import CouldNotLookError

SHOWN: Final = 20
CHMOD: Final = "{:04o}"
ESCAPE: Final = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def raw_path(text: str) -> bytes:
    """Return the bytes of a path that the program wrote as text: `\\xNN` is a byte, two backslashes are one."""
    if "\\" not in text:
        return text.encode()
    return ESCAPE.sub(lambda found: bytes([int(found[1], 16)]) if found[1] else b"\\", text.encode())


@dataclass(frozen=True)
class Manifest:
    """The manifest of `place` on `host`: its lines as the program printed them, parsed only when needed."""

    host: str
    place: str
    lines: bytes = field(repr=False)

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the entries in path order; raises CouldNotLookError when the manifest was cut off."""
        ended = False
        for line in self.lines.splitlines():
            entry: dict[str, Any] = json.loads(line)
            if "end" in entry:
                ended = True
                break
            yield entry
        if not ended:
            raise CouldNotLookError(f"{self.host}: the manifest of {self.place} ends in the middle. Expected: a last line that says so. Try again")

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield (path, SHA-256) of each file; a hard link has the digest of the file that it is linked to."""
        known: dict[str, str] = {}
        for entry in self.entries():
            if entry["type"] == "file":
                digest = entry.get("sha256") or known[entry["linked_to"]]
                known[entry["path"]] = digest
                yield entry["path"], digest


@dataclass(frozen=True)
class Drift:
    """The differences between two manifests: the first ones in words, how many in all, over how many entries and bytes."""

    differences: tuple[str, ...]
    count: int
    compared: int
    compared_bytes: int = 0

    def __bool__(self) -> bool:
        """Return True when there is any difference."""
        return self.count > 0


def compare_manifests(source: Manifest, target: Manifest, ignore: Collection[str] = ()) -> Drift:
    """Compare two manifests entry by entry; both are merged in path order, never held as a whole.

    Raises CouldNotLookError when a side is empty: nothing compared is not a pass.
    """
    differences: list[str] = []
    count = compared = size = 0
    for one, other in _merged(source, target):
        seen = one or other or {}
        if seen["path"] in ignore:
            continue
        compared += 1
        size += int((one or {}).get("size", 0))
        text = _difference(one, other)
        if text:
            count += 1
            if len(differences) < SHOWN:
                differences.append(f"{seen['path']}: {text}")
    return Drift(tuple(differences), count, compared, size)


def _key(entry: dict[str, Any]) -> tuple[bytes, ...]:
    """Return the order of the program's walk: by components, as bytes."""
    path = str(entry["path"])
    return () if path == "." else tuple(raw_path(path).split(b"/"))


def _merged(source: Manifest, target: Manifest) -> Iterator[tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    ours, theirs = source.entries(), target.entries()
    one: dict[str, Any] | None = _first(source, ours)
    other: dict[str, Any] | None = _first(target, theirs)
    while one is not None or other is not None:
        if other is None or (one is not None and _key(one) < _key(other)):
            yield one, None
            one = next(ours, None)
        elif one is None or _key(other) < _key(one):
            yield None, other
            other = next(theirs, None)
        else:
            yield one, other
            one, other = next(ours, None), next(theirs, None)


def _first(manifest: Manifest, entries: Iterator[dict[str, Any]]) -> dict[str, Any]:
    first = next(entries, None)
    if first is None:
        raise CouldNotLookError(f"{manifest.host}: the manifest of {manifest.place} is empty. Expected: at least the place itself")
    return first


def _difference(one: dict[str, Any] | None, other: dict[str, Any] | None) -> str:
    if other is None:
        return "missing on target"
    if one is None:
        return "extra on target"
    if one["type"] != other["type"]:
        return f"{one['type']} → {other['type']}"
    return ", ".join(_details(one, other))


def _details(one: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    if one.get("size") != other.get("size"):
        yield f"size {one['size']:,} → {other['size']:,}"
    elif one.get("sha256") != other.get("sha256") and one.get("linked_to") == other.get("linked_to"):
        yield "content differs"
    if one["mode"] != other["mode"]:
        yield f"mode {_mode(one)} → {_mode(other)}"
    if (one["uid"], one["gid"]) != (other["uid"], other["gid"]):
        yield f"owner {one['uid']}:{one['gid']} → {other['uid']}:{other['gid']}"
    if one["mtime_ns"] != other["mtime_ns"]:
        yield f"mtime {one['mtime_ns']} → {other['mtime_ns']} ns"
    if one["xattrs"] != other["xattrs"]:
        yield "extended attributes differ"
    if one.get("linked_to") != other.get("linked_to"):
        yield f"hard link to {one.get('linked_to', 'nothing')} → {other.get('linked_to', 'nothing')}"
    for name in ("target", "device"):
        if one.get(name) != other.get(name):
            yield f"{name} {one.get(name)} → {other.get(name)}"


def _mode(entry: dict[str, Any]) -> str:
    return CHMOD.format(stat.S_IMODE(int(entry["mode"])))
