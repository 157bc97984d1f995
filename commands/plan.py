"""Validate inventory, plan and environment, and print what would be signed: plan --lab | --environment NAME."""

from __future__ import annotations

import argparse

from rich.table import Table

from engine.redaction.guarded_console import open_screen
from engine.run.options import add_flags, read_options
from phases.context.scope_files import load_scope


def main(argv: list[str]) -> int:
    """Print the moves in order, the window, the approvals, the risks and the digest over all of it."""
    parser = argparse.ArgumentParser(prog="plan", description=__doc__)
    add_flags(parser.add_argument)
    parsed = parser.parse_args(argv)
    scope = load_scope(read_options(lambda name: getattr(parsed, name), argv))
    plan, console = scope.plan, open_screen()
    console.print(f"{plan.title} (environment {scope.environment.environment})", style="bold")
    console.print(
        f"window: {plan.window.starts_at:%a %Y-%m-%d %H:%M %z} to {plan.window.ends_at:%a %Y-%m-%d %H:%M %z}, "
        f"{plan.window.status}"
    )
    console.print("approvals: " + ", ".join(f"{approval.count} × {approval.role}" for approval in plan.approvals))
    table = Table("#", "service", "wave", "from", "to", "strategy", "who depends on it here")
    for number, move in enumerate(scope.moves, start=1):
        dependants = ", ".join(link.from_ for link in scope.dependants_of(move.service)) or "–"
        table.add_row(str(number), move.service, move.wave, move.source, move.target, move.strategy, dependants)
    console.print(table)
    for move in scope.moves:
        for port, landed in move.ports.items():
            console.print(f"remap: {move.service} publishes {port} as {landed} on {move.target}")
    for risk in plan.risks:
        console.print(f"risk ({risk.level}): {risk.risk}. {risk.mitigation}")
    for text in scope.not_applicable:
        console.print(f"does not apply: {text}", style="dim")
    console.print(f"digest: {scope.digest}")
    return 0
