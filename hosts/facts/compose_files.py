"""The compose files of a host and the files next to them, fetched in one trip."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.contracts.host import Host
from engine.errors import NotObservedError
from engine.finding import say

SCRIPT: Final = (Path(__file__).parent / "compose_files.sh").read_bytes()
DEEPEST: Final = 7
"""How far below / a compose file is looked for: /home/somebody/projects/shop/deploy/compose.yml is six."""
LARGEST_BYTES: Final = 1024 * 1024
SEARCH_S: Final = 30
TRIP_S: Final = 60.0
TIMED_OUT: Final = 124
USUAL_EPHEMERAL: Final = (32_768, 60_999)
"""From which Linux takes the ports of connections by default (Documentation/networking/ip-sysctl)."""
REASONS: Final = {
    "odd": "is no file; expected a text file",
    "closed": "can't be read: permission denied; expected a text file",
    "large": f"larger than {LARGEST_BYTES // 1024} KiB; expected a text file",
}


@dataclass(frozen=True)
class FoundFiles:
    """What a host returned: contents by path (None: asked for and not there), and why some could not be had."""

    host: str
    compose: tuple[str, ...]
    contents: Mapping[str, bytes | None]
    unreadable: Mapping[str, str]
    ephemeral: tuple[int, int] = USUAL_EPHEMERAL

    def with_more(self, more: FoundFiles) -> FoundFiles:
        """Return these files and those of another trip."""
        return FoundFiles(
            self.host,
            tuple(sorted({*self.compose, *more.compose})),
            {**self.contents, **more.contents},
            {**self.unreadable, **more.unreadable},
            self.ephemeral,
        )


def search_compose_files(host: Host, docker_root: str, also: Iterable[str] = ()) -> FoundFiles:
    """Search a host for compose files, and fetch the texts at the paths in `also`.

    Raises CouldNotLookError when the host does not answer or its search did not end in time: files not seen may say
    anything.
    """
    return _ask(host, DEEPEST, docker_root, also)


def fetch_files(host: Host, paths: Iterable[str]) -> FoundFiles:
    """Fetch texts by their paths, in one trip; raises CouldNotLookError."""
    return _ask(host, 0, "", paths)


def _ask(host: Host, depth: int, docker_root: str, paths: Iterable[str]) -> FoundFiles:
    argv = [
        "sh",
        "-s",
        "--",
        str(SEARCH_S),
        "/",
        str(depth),
        str(LARGEST_BYTES),
        docker_root or "/var/lib/docker",
        *paths,
    ]
    answer = host.run(argv, stdin=SCRIPT, timeout_s=TRIP_S)
    if answer.exit_code:
        raise NotObservedError(
            say(
                "{name}: its compose files could not be read: {error_text}. Try: ssh {name} find / -maxdepth "
                "{deepest} -name '*compose*.yml'",
                name=host.name,
                error_text=answer.error_text or say("exit status {exit_code}", exit_code=answer.exit_code),
                deepest=DEEPEST,
            )
        )
    found, status = parse_found(host.name, answer.stdout)
    if depth and status is None:
        raise NotObservedError(
            say(
                "{name}: its answer on compose files is cut off. Expected: the whole of it. Run this again",
                name=host.name,
            )
        )
    if status == TIMED_OUT:
        raise NotObservedError(
            say(
                "{name}: the search for compose files did not end within {search_s} s ({count} seen by then). "
                "Expected: all of its disks searched. Look which disk is slow: ssh {name} df",
                name=host.name,
                search_s=SEARCH_S,
                count=len(found.compose),
            )
        )
    return found


def parse_found(host: str, output: bytes) -> tuple[FoundFiles, int | None]:
    """Return what the script printed, and how its search ended: None when it was not asked or is cut off.

    A compose file that is seen under two paths, because its folder is mounted twice, counts under the shorter one.
    """
    fields = output.split(b"\0")
    contents: dict[str, bytes | None] = {}
    unreadable: dict[str, str] = {}
    compose, status, ephemeral = list[str](), None, USUAL_EPHEMERAL
    nodes: dict[bytes, list[str]] = {}
    for kind_bytes, path_bytes, encoded in zip(fields[0::3], fields[1::3], fields[2::3], strict=False):
        kind, path = kind_bytes.decode("ascii", "replace"), path_bytes.decode("utf-8", "surrogateescape")
        content = _decoded(encoded)
        if kind in REASONS or content is None:
            unreadable[path] = REASONS.get(kind, "its content was cut off on the way; expected the whole of it")
        elif kind == "absent":
            contents[path] = None
        elif kind == "ports":
            ephemeral = _ephemeral(content)
        elif kind == "searched":
            status = int(content)
        elif kind == "same":
            nodes.setdefault(content.strip() or path_bytes, []).append(path)
        else:
            contents[path] = content
        if kind == "compose" or (kind in REASONS and "compose" in path):
            compose.append(path)
    twice = {path for paths in nodes.values() for path in sorted(paths, key=lambda one: (len(one), one))[1:]}
    once = {path: content for path, content in contents.items() if path not in twice}
    return FoundFiles(host, tuple(sorted({*compose} - twice)), once, unreadable, ephemeral), status


def _decoded(encoded: bytes) -> bytes | None:
    try:
        return base64.b64decode(encoded)
    except binascii.Error:
        return None


def _ephemeral(content: bytes) -> tuple[int, int]:
    words = content.split()
    return (
        (int(words[0]), int(words[1]))
        if len(words) > 1 and words[0].isdigit() and words[1].isdigit()
        else USUAL_EPHEMERAL
    )
