"""A table of the evidence: a title, columns and rows of texts, drawn wherever a run's record is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

TABLE: Final = "table"
"""The kind of the journal's record."""


@dataclass(frozen=True)
class Table:
    """What a person reads row by row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def body(self) -> dict[str, Any]:
        """Return the body of its record in the journal."""
        return {"title": self.title, "columns": list(self.columns), "rows": [list(row) for row in self.rows]}
