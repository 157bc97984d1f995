"""Where a page's records come from: a journal, or a run's folder."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from engine.journal.record import Record


class Reader(Protocol):
    """Where a page's records come from: a journal, or a run's folder."""

    def records(
        self,
        *,
        run_id: str | None = None,
        kind: str | Collection[str] | None = None,
        service: str | None = None,
        until: int | None = None,
    ) -> list[Record]:
        """Return records in the order in which they were written."""

    def last(
        self, kind: str, *, service: str | None = None, key: str | None = None, until: int | None = None
    ) -> Record | None:
        """Return the newest record of a kind."""
