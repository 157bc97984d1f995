"""What a volume holds, entry by entry, and the pure comparison of two of them."""

from __future__ import annotations

import gzip
import io
import json
import re
import stat
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Final

from engine.errors import NotObservedError
from engine.finding import say

SHOWN: Final = 20
KEPT: Final = 1000
"""So many different paths are kept, to be copied once more."""

CHMOD: Final = "{:04o}"
END: Final = b'{"end":true,'
BEGIN: Final = b'{"path":'
TYPE: Final = b'","type":'
VANISHED: Final = "vanished"
GONE: Final = b'","type":"vanished"'
SIZE: Final = re.compile(rb'"type":"file".*?"size":(\d+)')
GZIPPED: Final = b"\x1f\x8b"
READ_AHEAD: Final = 1 << 20
ESCAPE: Final = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def raw_path(text: str) -> bytes:
    """Return the bytes of a path that the program wrote as text: `\\xNN` is a byte, two backslashes are one."""
    if "\\" not in text:
        return text.encode()
    return ESCAPE.sub(lambda found: bytes([int(found[1], 16)]) if found[1] else b"\\", text.encode())


@dataclass
class Manifest:
    """The manifest of `place` on `host`: its lines as the program printed them (gzipped or not), read one by one.

    `lines` may be a stream, which is read once. `said` is the last line: entries, files, bytes, read, reused.
    """

    host: str
    place: str
    lines: bytes | IO[bytes] = field(repr=False)
    said: dict[str, int] = field(default_factory=dict, init=False)

    def raw_lines(self) -> Iterator[bytes]:
        """Yield the lines in path order, unparsed; raises CouldNotLookError when the manifest was cut off
        or is none.
        """
        count = 0
        try:
            for line in self._stream():
                if line.startswith(END) and line.endswith(b"\n"):
                    self._end(line, count)
                    return
                if not line.endswith(b"\n"):
                    break
                count += 1
                if not line.startswith(BEGIN) or TYPE not in line:
                    raise NotObservedError(
                        say(
                            "{where} has no entry in line {count}: {line}. Expected: a path. Try again",
                            where=self._where(),
                            count=count,
                            line=repr(line[:80]),
                        )
                    )
                yield line
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise NotObservedError(
                say(
                    "{where} was damaged on its way: {error}. Expected: a last line that says it is whole. Try again",
                    where=self._where(),
                    error=error,
                )
            ) from error
        raise NotObservedError(
            say("{where} ends in the middle. Expected: a last line that says so. Try again", where=self._where())
        )

    def _stream(self) -> IO[bytes]:
        plain: Any = io.BytesIO(self.lines) if isinstance(self.lines, bytes) else self.lines
        buffered = plain if hasattr(plain, "peek") else io.BufferedReader(plain, READ_AHEAD)
        packed = buffered.peek(2)[:2] == GZIPPED
        stream: Any = io.BufferedReader(gzip.GzipFile(fileobj=buffered), READ_AHEAD) if packed else buffered
        whole: IO[bytes] = stream
        return whole

    def _end(self, line: bytes, count: int) -> None:
        said = {name: int(value) for name, value in self.parsed(line).items()}
        if count and said.get("entries") != count:
            raise NotObservedError(
                say(
                    "{where} has {count:,} entries. Expected: {entries:,}, as it says itself. Try again",
                    where=self._where(),
                    count=count,
                    entries=said.get("entries", 0),
                )
            )
        self.said = said

    def parsed(self, line: bytes) -> dict[str, Any]:
        """Return the entry of a line; raises CouldNotLookError when it is none."""
        try:
            entry: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise NotObservedError(
                say(
                    "{where} has a line that can't be read ({error}): {line}. Expected: JSON. Try again",
                    where=self._where(),
                    error=error,
                    line=repr(line[:80]),
                )
            ) from error
        return entry

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the entries in path order; raises CouldNotLookError when the manifest was cut off."""
        return (self.parsed(line) for line in self.raw_lines())

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield (path, digest of the content) of each file; a hard link has the digest of the file that it is linked
        to.

        What vanished while it was read is left out: it is no longer there.
        """
        known: dict[str, str] = {}
        for entry in self.entries():
            if entry["type"] == "file":
                digest = entry.get("content") or known.get(entry.get("linked_to", ""))
                if digest is None:
                    raise NotObservedError(
                        say(
                            "{where}: {path}: the file that it is linked to vanished while it was read. Try again",
                            where=self._where(),
                            path=entry["path"],
                        )
                    )
                if "linked_to" in entry:
                    known[entry["path"]] = digest
                yield entry["path"], digest

    def _where(self) -> str:
        return say("{host}: the manifest of {place}", host=self.host, place=self.place)


@dataclass(frozen=True)
class Drift:
    """The differences between two manifests: the first ones in words, how many in all, over how many entries and bytes.

    `read_bytes` and `reused` (files whose earlier digest still holds) are those of the side that read less.
    """

    differences: tuple[str, ...]
    count: int
    compared: int
    compared_bytes: int = 0
    read_bytes: int = 0
    reused: int = 0
    files: int = 0
    paths: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Return True when there is any difference."""
        return self.count > 0


def compare_manifests(source: Manifest, target: Manifest, ignore: Collection[str] = ()) -> Drift:
    """Compare two manifests entry by entry; both are merged in path order, never held as a whole.

    Lines that are equal byte by byte are not parsed: of a million files nearly all are. Raises CouldNotLookError when a
    side is empty: nothing compared is not a pass.
    """
    ignored = {_encoded(path) for path in ignore}
    differences: list[str] = []
    paths: list[str] = []
    count = compared = size = 0
    for one, other in _merged(source, target):
        line = one or other or b""
        if ignored and _path_of(line) in ignored:
            continue
        compared += 1
        size += _size_of(one)
        text = "" if one == other and GONE not in line else _difference(_parsed(source, one), _parsed(target, other))
        if text:
            count += 1
            if len(paths) < KEPT:
                paths.append(str(source.parsed(line)["path"]))
            if len(differences) < SHOWN:
                differences.append(f"{paths[-1]}: {text}")
    said = min(source.said, target.said, key=lambda side: side.get("read", 0))
    return Drift(
        tuple(differences),
        count,
        compared,
        size,
        said.get("read", 0),
        said.get("reused", 0),
        said.get("files", 0),
        tuple(paths),
    )


def _parsed(manifest: Manifest, line: bytes | None) -> dict[str, Any] | None:
    return None if line is None else manifest.parsed(line)


def _encoded(path: str) -> bytes:
    """Return a path as it is in a line."""
    return json.dumps(path, ensure_ascii=True)[1:-1].encode()


def _path_of(line: bytes) -> bytes:
    """Return the path as it is in a line: a quote within it has a backslash, so it ends before the
    first bare one.
    """
    return line[len(BEGIN) + 1 : line.index(TYPE)]


def _size_of(line: bytes | None) -> int:
    found = SIZE.search(line, len(BEGIN)) if line else None
    return int(found[1]) if found else 0


def _key(manifest: Manifest, line: bytes) -> bytes:
    """Return the order of the program's walk: by components, as bytes; no name has a zero byte."""
    path = str(manifest.parsed(line)["path"])
    return b"" if path == "." else raw_path(path).replace(b"/", b"\0")


def _merged(source: Manifest, target: Manifest) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Yield pairs of lines of one path, None for a side that does not have it."""
    ours, theirs = source.raw_lines(), target.raw_lines()
    one: bytes | None = _first(source, ours)
    other: bytes | None = _first(target, theirs)
    while one is not None or other is not None:
        order = _order(source, one, target, other)
        yield (one if order <= 0 else None), (other if order >= 0 else None)
        one, other = next(ours, None) if order <= 0 else one, next(theirs, None) if order >= 0 else other


def _order(source: Manifest, one: bytes | None, target: Manifest, other: bytes | None) -> int:
    """Return which line comes first: -1 ours, 1 theirs, 0 when both are of one path."""
    if one is None or other is None:
        return 1 if one is None else -1
    if one == other or _path_of(one) == _path_of(other):
        return 0
    return -1 if _key(source, one) < _key(target, other) else 1


def _first(manifest: Manifest, lines: Iterator[bytes]) -> bytes:
    first = next(lines, None)
    if first is None:
        raise NotObservedError(
            say(
                "{host}: the manifest of {place} is empty. Expected: at least the place itself",
                host=manifest.host,
                place=manifest.place,
            )
        )
    return first


def _difference(one: dict[str, Any] | None, other: dict[str, Any] | None) -> str:
    if one is None or other is None:
        return "extra on target" if one is None else "missing on target"
    if VANISHED in {one["type"], other["type"]}:
        sides = [side for side, entry in (("source", one), ("target", other)) if entry["type"] == VANISHED]
        return f"vanished on {' and '.join(sides)} while it was read"
    if one["type"] != other["type"]:
        return f"{one['type']} → {other['type']}"
    return ", ".join(_details(one, other))


def _details(one: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    if one.get("size") != other.get("size"):
        yield f"size {one['size']:,} → {other['size']:,}"
    elif one.get("content") != other.get("content") and one.get("linked_to") == other.get("linked_to"):
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
