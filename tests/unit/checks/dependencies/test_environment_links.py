"""The graph of who depends on whom: drawn in the page, as a file, for Graphviz, and on the console."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from checks.dependencies.graph import Dependency, DependencyGraph, merge_references
from commands import links
from engine.errors import UnreachableError
from engine.evidence.page.graph_svg import figure_of, svg_of
from engine.evidence.page.html import render
from engine.journal.kinds import RecordKind
from engine.report_sections import Graph, Line, Node
from hosts.facts.system import Connection
from tests.fakes.run_on_record import Night
from tests.unit.checks.dependencies.test_graph import ADDRESSES, LINK, hosts

WHERE = {"n8n": "wf005", "redis": "wf005", "loki": "wf001"}
SEEN = DependencyGraph(
    {Dependency("n8n", "redis", 6379): ("2 connections",), Dependency("n8n", "loki", 3100): ("settings of n8n",)},
    frozenset({Dependency("n8n", "redis", 6379), Dependency("redis", "loki", 3100)}),
)


def test_each_kind_of_edge_is_drawn_as_its_own() -> None:
    """Declared and seen, declared only, seen only; each service in the column of its host."""
    graph = SEEN.graph(WHERE)

    assert {(line.start, line.end): line.kind for line in graph.lines} == {
        ("n8n", "redis"): "declared", ("n8n", "loki"): "undeclared", ("redis", "loki"): "unseen",
    }  # fmt: skip
    assert [(node.name, node.column) for node in graph.nodes] == [
        ("loki", "wf001"),
        ("n8n", "wf005"),
        ("redis", "wf005"),
    ]


def test_a_container_that_is_no_service_stands_in_its_hosts_column() -> None:
    """Its name carries the host."""
    graph = DependencyGraph({Dependency("spy@wf009", "redis", 6379): ("1 connections",)}).graph(WHERE)

    assert Node("spy@wf009", "wf009") in graph.nodes


def test_the_drawing_has_every_node_and_edge() -> None:
    """Boxes do not overlap, edges begin and end at boxes, and the words say it for those who can't see it."""
    figure = figure_of(SEEN.graph(WHERE).body())

    assert len({(box.x, box.y) for box in figure.boxes}) == 3
    assert [curve.kind for curve in figure.curves] == ["undeclared", "declared", "unseen"]
    assert "n8n → redis: 6379, declared" in figure.words
    assert all(box.y + 28 <= figure.height and box.x + 200 <= figure.width for box in figure.boxes)


def test_a_file_is_well_formed_whatever_containers_are_called() -> None:
    """A name is text, never markup."""
    nasty = Graph(
        "<b>", (Node("</svg><script>", "wf005"), Node('"&', "wf001")), (Line("</svg><script>", '"&', "1", "declared"),)
    )
    drawn = ET.fromstring(svg_of(figure_of(nasty.body())))  # noqa: S314 our own text

    assert not list(drawn.iter("{http://www.w3.org/2000/svg}script"))
    assert any(text.text == "</svg><script>" for text in drawn.iter("{http://www.w3.org/2000/svg}text"))


def test_the_page_draws_a_graph_that_the_journal_holds(tmp_path: Path) -> None:
    """Its own section, every name escaped, and what the lines mean below it."""
    night = Night(tmp_path, "preflight", apply=False)
    night.row()
    night.run.record(
        RecordKind.REPORT_GRAPH,
        body=Graph(
            "Drawn", (Node("<b>n8n", "wf005"), Node("redis", "wf005")), (Line("<b>n8n", "redis", "6379", "unseen"),)
        ).body(),
    )
    html = render(night.page())

    assert '<path class="link unseen"' in html
    assert "&lt;b&gt;n8n → redis: 6379" in html
    assert "<b>n8n" not in html
    assert "dashed: declared, not seen at that moment" in html


def test_an_edge_to_nowhere_is_left_out() -> None:
    """A record that was written by another version is still drawn."""
    assert (
        figure_of(
            {"title": "x", "nodes": [], "lines": [{"start": "a", "end": "b", "words": "", "kind": "declared"}]}
        ).curves
        == ()
    )


def test_graphviz_gets_quoted_names() -> None:
    """And a style for each kind."""
    assert links.dot_of(SEEN).splitlines()[2:-1] == [
        '  "n8n" -> "loki" [label="3100", style=bold];',
        '  "n8n" -> "redis" [label="6379", style=solid];',
        '  "redis" -> "loki" [label="3100", style=dashed];',
    ]


def test_several_looks_see_more_than_one() -> None:
    """What was open at any of them counts, and the most at once."""
    other = DependencyGraph(
        {Dependency("n8n", "redis", 6379): ("5 connections",)},
        frozenset(),
        {("n8n", "203.0.113.9", 443): 1},
        {"wf001": "dead"},
    )
    merged = merge_references([SEEN, other])

    assert merged.seen[Dependency("n8n", "redis", 6379)] == ("5 connections",)
    assert (merged.outside, merged.blind) == ({("n8n", "203.0.113.9", 443): 1}, {"wf001": "dead"})


def test_all_hosts_are_looked_at_until_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts are gathered anew each time; a host that does not answer is blind, not empty."""
    clock = iter([0.0, 0.0, 6.0, 20.0])
    monkeypatch.setattr(links.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(links.time, "sleep", lambda seconds: None)
    forgotten: list[str] = []
    seen = hosts(("n8n", Connection("172.18.0.2", 40000, "172.18.0.3", 6379)))
    answers = {"wf005": seen[0], "wf001": UnreachableError("wf001: ssh failed")}
    fleet: Any = SimpleNamespace(gather=lambda names: answers, forget_facts=forgotten.append)
    entries = {name: SimpleNamespace(container=name) for name in WHERE}
    identities = {host: SimpleNamespace(address=address) for address, host in ADDRESSES.items()}
    scope: Any = SimpleNamespace(
        services=entries, links=[LINK], hosts=("wf005", "wf001"), environment=SimpleNamespace(hosts=identities)
    )
    found = links.look(fleet, scope, WHERE, 12.0)

    assert forgotten == ["wf005", "wf001"] * 2
    assert found.blind == {"wf001": "wf001: ssh failed"}
    assert found.seen == {Dependency("n8n", "redis", 6379): ("1 connections",)}
