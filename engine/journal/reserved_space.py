"""Room on the disk that is kept for the journal: what is undone is recorded also when the disk is full otherwise."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.errors import JournalError
from engine.finding import say

SIZE_BYTES: Final = 16 << 20
"""Far more than the records of a whole undo need, with SQLite's copies of its pages."""
CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Reserve:
    """A file next to the journal that takes up room until it is needed."""

    journal: Path

    @property
    def file(self) -> Path:
        """Return the file."""
        return self.journal.with_name(f"{self.journal.name}-reserve")

    def keep(self) -> None:
        """Take up the room, unless it is taken up; raises JournalError when there is none."""
        if self.file.exists() and self.file.stat().st_size >= SIZE_BYTES:
            return
        part = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        try:
            with part.open("wb") as file:
                for _ in range(SIZE_BYTES // CHUNK_BYTES):
                    file.write(os.urandom(CHUNK_BYTES))  # a file system that compresses would keep no room for zeros
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.file)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise JournalError(
                say(
                    "{file}: {size_bytes} MiB can't be kept for the journal: {error}. Expected: room for the records "
                    "of an undo. Make room first: df -h {parent}",
                    file=self.file,
                    size_bytes=SIZE_BYTES >> 20,
                    error=error,
                    parent=self.journal.parent,
                )
            ) from error

    def release(self) -> bool:
        """Give the room up; return whether there was some."""
        try:
            self.file.unlink()
        except OSError:
            return False
        return True
