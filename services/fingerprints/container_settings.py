"""What a container was started with, as far as it says where its state lies: the words of its command, and the values
of flags.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from engine.contracts.container import ContainerFacts

RANGE: Final = re.compile(r"\{(\d+)\.\.\.(\d+)\}")


def words_of(container: ContainerFacts) -> tuple[str, ...]:
    """Return entrypoint and command (Docker Engine API, ContainerInspect: Config)."""
    config = container.raw.get("Config") or {}
    return tuple(str(word) for key in ("Entrypoint", "Cmd") for word in config.get(key) or ())


def value_of(words: Sequence[str], *flags: str) -> str:
    """Return the last value of a flag given as `--flag=value` or `--flag value`, empty without one."""
    found = ""
    for word, following in zip(words, [*words[1:], ""], strict=False):
        name, equals, value = word.partition("=")
        if name in flags:
            found = value if equals else following
    return found


def below_work(container: ContainerFacts, path: str) -> str:
    """Return a path as the container's process sees it: a relative one is below its working directory."""
    return posixpath.normpath(posixpath.join(str((container.raw.get("Config") or {}).get("WorkingDir") or "/"), path))


def spread(paths: Iterable[str]) -> Iterator[str]:
    """Yield paths with their ranges written out: `/disk{1...3}` is three (MinIO's documentation, "Erasure Coding")."""
    for path in paths:
        found = RANGE.search(path)
        if found is None:
            yield path
            continue
        yield from spread(
            f"{path[: found.start()]}{number}{path[found.end() :]}"
            for number in range(int(found[1]), int(found[2]) + 1)
        )
