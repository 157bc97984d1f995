"""Where the nodes and edges of a graph lie, in SVG units; and the graph as an SVG file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from engine.evidence.formatting import visible

COLUMN: Final = 320
WIDTH: Final = 200
HEIGHT: Final = 28
ROW: Final = 46
TOP: Final = 44
MARGIN: Final = 70
BEND: Final = 56
STYLE: Final = (
    "svg{background:#fff}text{font:13px "
    "system-ui,sans-serif;fill:#1b1f24}.lane{font-weight:600}.box{fill:#f4f6f8;stroke:#9aa4af}"
    ".link{fill:none;stroke:#57606a;stroke-width:1.5}.link.unseen{stroke-dasharray:5 "
    "4}.link.undeclared{stroke:#b42318;stroke-width:2.5}"
)


@dataclass(frozen=True)
class Placed:
    """One node's box."""

    name: str
    x: float
    y: float


@dataclass(frozen=True)
class Curve:
    """One edge as a path of SVG, with what it stands for."""

    path: str
    kind: str
    title: str


@dataclass(frozen=True)
class Figure:
    """A graph as it is drawn."""

    title: str
    width: int
    height: int
    columns: tuple[tuple[float, str], ...]
    boxes: tuple[Placed, ...]
    curves: tuple[Curve, ...]
    words: str


def figure_of(body: Mapping[str, Any]) -> Figure:
    """Return where everything of a graph's record lies: a column per host, its nodes below each other."""
    columns = list(dict.fromkeys(str(node["column"]) for node in body["nodes"]))
    boxes: dict[str, Placed] = {}
    filled = dict.fromkeys(columns, 0)
    for node in body["nodes"]:
        column = str(node["column"])
        boxes[str(node["name"])] = Placed(
            str(node["name"]), MARGIN + columns.index(column) * COLUMN, TOP + filled[column] * ROW
        )
        filled[column] += 1
    drawn = [line for line in body["lines"] if {line["start"], line["end"]} <= set(boxes)]
    curves = tuple(_curve(boxes[line["start"]], boxes[line["end"]], line) for line in drawn)
    height = TOP + max(filled.values(), default=0) * ROW
    width = MARGIN * 2 + max(0, len(columns) - 1) * COLUMN + WIDTH
    places = tuple((float(MARGIN + number * COLUMN), name) for number, name in enumerate(columns))
    return Figure(
        str(body["title"]),
        width,
        height,
        places,
        tuple(boxes.values()),
        curves,
        "; ".join(curve.title for curve in curves),
    )


def _curve(start: Placed, end: Placed, line: Mapping[str, Any]) -> Curve:
    """Return the path between two boxes: across from side to side, or around within a column."""
    y1, y2 = start.y + HEIGHT / 2, end.y + HEIGHT / 2
    if start.x == end.x:
        x1 = x2 = start.x + WIDTH
        bends = (x1 + BEND, x2 + BEND)
    elif start.x < end.x:
        x1, x2 = start.x + WIDTH, end.x
        bends = (x1 + BEND, x2 - BEND)
    else:
        x1, x2 = start.x, end.x + WIDTH
        bends = (x1 - BEND, x2 + BEND)
    path = f"M{x1:g} {y1:g}C{bends[0]:g} {y1:g} {bends[1]:g} {y2:g} {x2:g} {y2:g}"
    return Curve(path, str(line["kind"]), f"{line['start']} → {line['end']}: {line['words']}")


def svg_of(figure: Figure) -> str:
    """Return a graph as an SVG file; names from servers are text, never markup."""
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {figure.width} {figure.height}" '
            f'width="{figure.width}" role="img">'
        ),
        f"<title>{_text(figure.title)}</title><style>{STYLE}</style>",
        (
            '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto"><path d="M0 '
            '0L8 4L0 8z"/></marker></defs>'
        ),
        *(f'<text class="lane" x="{x:g}" y="24">{_text(name)}</text>' for x, name in figure.columns),
        *(
            f'<path class="link {c.kind}" marker-end="url(#tip)" d="{c.path}"><title>{_text(c.title)}</title></path>'
            for c in figure.curves
        ),
        *(
            f'<rect class="box" x="{b.x:g}" y="{b.y:g}" width="{WIDTH}" height="{HEIGHT}" rx="4"/>'
            f'<text x="{b.x + 10:g}" y="{b.y + 19:g}">{_text(b.name)}</text>'
            for b in figure.boxes
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _text(text: str) -> str:
    return escape(visible(text))
