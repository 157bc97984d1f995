"""List declared and observed dependencies: links --lab | --environment NAME [--watch SECONDS] [--svg FILE] [--dot]
[--json].
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Final

from rich.table import Table as Drawn

from checks.dependencies.graph import DependencyGraph, merge_references, read_references
from engine.config.scope import Scope
from engine.errors import NotObservedError
from engine.evidence.page.graph_svg import figure_of, svg_of
from engine.redaction.guarded_console import open_screen
from engine.run.options import add_flags, read_options
from engine.verdict import ExitCode
from hosts.facts.model import HostFacts
from hosts.fleet import Fleet, open_hosts
from phases.context.open_journal import find_journal
from phases.context.run_context import where_now
from phases.context.scope_files import load_scope, ssh_config_of

BETWEEN_S: Final = 5.0
"""Between two looks: many connections live no longer."""


def main(argv: list[str]) -> int:
    """Read the settings and connections of all containers; exit 1 for an undeclared one, 2 when a host could not be
    read completely.
    """
    parser = argparse.ArgumentParser(prog="links", description=__doc__)
    parser.add_argument(
        "--watch",
        dest="seconds",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="keep watching for this many seconds",
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write a drawing to a file")
    parser.add_argument("--dot", action="store_true", help="print Graphviz input")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_flags(parser.add_argument, "--environment", "--lab", "--inventory", "--plan", "--ssh-config", "--state")
    parsed = parser.parse_args(argv)
    options = read_options(lambda name: getattr(parsed, name, None), argv)
    scope = load_scope(options, ports_taken=False)
    where = where_now(scope, find_journal(options))
    with open_hosts(scope.hosts, scope.environment, ssh_config_of(options, scope)) as fleet:
        found = look(fleet, scope, where, parsed.seconds)
    if parsed.svg:
        parsed.svg.write_text(svg_of(figure_of(found.graph(where).body())), encoding="utf-8")
        print(f"written: {parsed.svg}")
    print(_text(found, where, dot=parsed.dot, as_json=parsed.json), end="")
    if found.undeclared:
        return ExitCode.FAILED
    return ExitCode.INCOMPLETE if found.blind else ExitCode.OK


def look(fleet: Fleet, scope: Scope, where: dict[str, str], seconds: float) -> DependencyGraph:
    """Look once, or again and again for some seconds, and return all that was seen in any look."""
    services = {(where[name], entry.container): name for name, entry in scope.services.items()}
    addresses = {identity.address: host for host, identity in scope.environment.hosts.items()}
    looks: list[DependencyGraph] = []
    deadline = time.monotonic() + seconds
    while True:
        answers = fleet.gather(scope.hosts)
        seen = [one for one in answers.values() if isinstance(one, HostFacts)]
        blind = {host: str(error) for host, error in answers.items() if isinstance(error, NotObservedError)}
        looks.append(read_references(seen, scope.links, services, addresses).with_unreachable(blind))
        if time.monotonic() + BETWEEN_S > deadline:
            return merge_references(looks)
        time.sleep(BETWEEN_S)
        for host in scope.hosts:
            fleet.forget_facts(host)


def _text(found: DependencyGraph, where: dict[str, str], *, dot: bool, as_json: bool) -> str:
    if as_json:
        return (
            json.dumps({**found.graph(where).body(), "table": found.table().body()}, indent=1, ensure_ascii=False)
            + "\n"
        )
    if dot:
        return dot_of(found)
    table = found.table()
    drawn = Drawn(*table.columns, title=table.title)
    for row in table.rows:
        drawn.add_row(*row)
    console = open_screen()
    with console.capture() as captured:
        console.print(drawn)
    return captured.get()


def dot_of(found: DependencyGraph) -> str:
    """Return the graph in Graphviz' language: dashed where it was not seen, bold where it is not declared."""
    lines = ["digraph links {", "  rankdir=LR; node [shape=box];"]
    for edge in found.edges:
        style = "bold" if edge in found.undeclared else "solid" if edge in found.seen else "dashed"
        lines.append(
            f"  {json.dumps(edge.from_)} -> {json.dumps(edge.to)} [label={json.dumps(str(edge.port))}, style={style}];"
        )
    return "\n".join([*lines, "}"]) + "\n"
