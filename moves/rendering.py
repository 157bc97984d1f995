"""The plan as a person reads it before signing: the moves in order, when, who depends on what, what could go wrong."""

from __future__ import annotations

from collections.abc import Iterator

from engine.scope import PlannedMove, Scope


def render_plan(scope: Scope) -> str:
    """Return the plan of a scope as plain text."""
    return "\n".join(_lines(scope)) + "\n"


def _lines(scope: Scope) -> Iterator[str]:
    plan, window = scope.plan, scope.window
    yield plan.title
    yield f"Environment {scope.environment.environment}: " + ", ".join(f"{host} is {_address(scope, host)}" for host in scope.hosts)
    yield f"Window: {window.starts_at:%a %Y-%m-%d %H:%M %z} to {window.ends_at:%a %Y-%m-%d %H:%M %z} ({window.time_zone}), {window.status}"
    yield "Approvals needed: " + ", ".join(f"{one.count} x {one.role}" for one in plan.approvals)
    yield f"Between hosts relays are {_encryption(scope)}"
    yield f"When a move fails: {plan.on_failure.replace('_', ' ')}; preflight and backups are at most {plan.evidence_max_age_h:g} h old"
    yield ""
    yield "Moves, in this order:"
    for number, move in enumerate(_here(scope), start=1):
        entry = scope.services[move.service]
        yield f"{number:3}. {move.service} ({entry.image}), {move.source} -> {move.target}, {move.wave}, {move.strategy}, hold {move.hold}"
        copied = [mount.source for mount in entry.mounts if mount.rule == "copy"]
        yield f"     data: {', '.join(copied) or 'none on mounts'}; needed by: {_dependants(scope, move.service)}"
        for port, landed in move.ports.items():
            yield f"     published {port} becomes {landed} on {move.target}"
        if move.notes:
            yield f"     note: {move.notes}"
    yield from _below("Risks:", (f"{risk.level}: {risk.risk}. {risk.answer}" for risk in plan.risks))
    yield from _below("Depends on others:", iter(plan.external))
    yield from _below("Does not apply here:", iter(scope.not_applicable))


def _encryption(scope: Scope) -> str:
    relays = scope.plan.relays
    return "encrypted, each with keys of its own" if relays.encrypt else f"NOT ENCRYPTED. The reason: {relays.reason}"


def _here(scope: Scope) -> Iterator[PlannedMove]:
    return (move for move in scope.plan.moves if move.service in scope.services)


def _address(scope: Scope, host: str) -> str:
    return scope.environment.hosts[host].address


def _dependants(scope: Scope, service: str) -> str:
    return ", ".join(f"{link.from_} (as {link.name}:{link.port})" for link in scope.dependants_of(service)) or "nothing here"


def _below(title: str, lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if not number:
            yield ""
            yield title
        yield f"  - {line}"
