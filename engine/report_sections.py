"""A table of the evidence: a title, columns and rows of texts (any of them a finding), drawn wherever a run's record
is shown.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from engine.finding import Finding, recorded


@dataclass(frozen=True)
class Table:
    """What a person reads row by row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def body(self) -> dict[str, Any]:
        """Return the body of its record in the journal."""
        rows = [[_recorded(cell) for cell in row] for row in self.rows]
        return {"title": _recorded(self.title), "columns": list(self.columns), "rows": rows}


Kind = Literal["declared", "unseen", "undeclared"]


@dataclass(frozen=True, order=True)
class Node:
    """One node, in the column of its host."""

    name: str
    column: str


@dataclass(frozen=True, order=True)
class Line:
    """One edge between two nodes by their names."""

    start: str
    end: str
    words: str
    kind: Kind


@dataclass(frozen=True)
class Graph:
    """Nodes and edges, and the title under which they are shown."""

    title: str
    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]

    def body(self) -> dict[str, Any]:
        """Return the body of its record in the journal."""
        return {
            "title": _recorded(self.title),
            "nodes": [asdict(node) for node in self.nodes],
            "lines": [{**asdict(line), "words": _recorded(line.words)} for line in self.lines],
        }


def _recorded(text: str) -> str | dict[str, Any]:
    """Return a text as a record keeps it; a finding with its template and fields."""
    return recorded(text) if isinstance(text, Finding) else text
