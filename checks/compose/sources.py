"""Where the texts of compose files come from: this machine's disk, or what was fetched from a host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from engine.errors import UnsupportedSyntaxError
from engine.finding import say

LARGEST_BYTES: Final = 1024 * 1024
TOO_LARGE: Final = say("larger than {largest_bytes} KiB; expected a compose file", largest_bytes=LARGEST_BYTES // 1024)


class Sources(Protocol):
    """Texts by their absolute path."""

    def read(self, path: str) -> bytes | None:
        """Return a file's content, None when it is not there; raises NotUnderstoodError when it can't be read."""


@dataclass(frozen=True)
class LocalSources:
    """Files of this machine."""

    def read(self, path: str) -> bytes | None:
        """Return a file's content, None when it is not there."""
        try:
            with Path(path).open("rb") as file:
                content = file.read(LARGEST_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else say("no file's name")
            raise UnsupportedSyntaxError(
                path, 0, say("can't be read: {reason}; expected a text file", reason=reason)
            ) from None
        if len(content) > LARGEST_BYTES:
            raise UnsupportedSyntaxError(path, 0, TOO_LARGE)
        return content


@dataclass(frozen=True)
class FetchedSources:
    """Files fetched from a host; what is asked for and was not fetched is remembered, so that it can be."""

    files: Mapping[str, bytes | None]  # None: known not to be there
    unreadable: Mapping[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)

    def read(self, path: str) -> bytes | None:
        """Return a file's content, None when it is not there or not fetched yet."""
        if path in self.unreadable:
            raise UnsupportedSyntaxError(path, 0, self.unreadable[path])
        if path not in self.files:
            self.missing.add(path)
        return self.files.get(path)
