"""The plan as a person reads it before signing: the moves in order, what runs as root, what stays behind, when, what
could go wrong.

Each text of a file is shown in one line and without control characters: none can pose as another line of what is
signed.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from engine.config.inventory import Hook, ServiceEntry
from engine.config.scope import PlannedMove, Scope, commands_of
from engine.evidence.formatting import visible
from engine.signoff.signed_text import one_line

VERIFICATIONS = {
    "full": "every byte compared",
    "sampled": "three parts of each file compared",
    "metadata": "no content compared, names and sizes only",
}


def render_plan(scope: Scope, privileges: Mapping[str, Sequence[str]] | None = None) -> str:
    """Return the plan of a scope as plain text; `privileges` are those of each source's container as
    preflight saw it.
    """
    return "\n".join(_lines(scope, privileges or {})) + "\n"


def plain(text: object) -> str:
    """Return a text of a file or of a host in one line that shows each character that a screen would obey."""
    return visible(one_line(visible(text).replace("\n", " ").replace("\t", " ")))


def _lines(scope: Scope, privileges: Mapping[str, Sequence[str]]) -> Iterator[str]:
    plan, window, environment = scope.plan, scope.window, scope.environment
    yield plain(plan.title)
    yield f"Environment {environment.environment}: " + ", ".join(
        f"{host} is {_address(scope, host)}" for host in scope.hosts
    )
    yield (
        f"Window: {window.starts_at:%a %Y-%m-%d %H:%M %z} to {window.ends_at:%a %Y-%m-%d %H:%M %z} "
        f"({plain(window.time_zone)}), {window.status}"
    )
    yield "Approvals needed: " + (", ".join(f"{one.count} x {one.role}" for one in plan.approvals) or "none")
    yield f"Between hosts relays are {_encryption(scope)}"
    yield (
        f"When a move fails: {plan.on_failure.replace('_', ' ')}; preflight and backups are at most "
        f"{plan.evidence_max_age_h:g} h old"
    )
    limit = f"{plan.bandwidth_limit_mb_s:g} MB/s" if plan.bandwidth_limit_mb_s else "none"
    yield (
        f"Outage budget: {plan.outage_budget_s:g} s; bandwidth limit: {limit}; capacity by at least "
        f"{plan.baseline_min_h:g} h of samples"
    )
    yield from _about_environment(scope)
    yield ""
    yield "Moves, in this order:"
    for number, move in enumerate(_here(scope), start=1):
        entry = scope.services[move.service]
        yield (
            f"{number:3}. {move.service} ({plain(entry.image)}), {move.source} -> {move.target}, {move.wave}, "
            f"{move.strategy}"
        )
        yield from (f"     {line}" for line in _about_move(scope, move, entry, privileges.get(move.service, ())))
    yield from _below("References rewritten for good by repoint:", _rewrites(scope))
    yield from _below("Risks:", (f"{risk.level}: {plain(risk.risk)}. {plain(risk.mitigation)}" for risk in plan.risks))
    yield from _below("Depends on others:", map(plain, plan.external_dependencies))
    yield from _below("Does not apply here:", map(plain, scope.not_applicable))


def _about_environment(scope: Scope) -> Iterator[str]:
    environment = scope.environment
    if environment.backup:
        yield f"Backups: on {environment.backup.host}, {plain(environment.backup.path)}"
    if not environment.require_clean_checkout:
        yield (
            "Code: uncommitted runbooks may run here (require_clean_checkout: false); what runs is not bound by "
            "this approval"
        )
    if environment.ssh_config:
        yield f"Hosts are reached with ssh_config {plain(environment.ssh_config)}"
    if environment.simulated:
        yield f"Played by stand-ins: {', '.join(environment.simulated)}"
    yield from (
        f"Runs on the operator's machine for {name}: {plain(command)}"
        for name, command in commands_of(environment).items()
    )


def _about_move(scope: Scope, move: PlannedMove, entry: ServiceEntry, privileges: Sequence[str]) -> Iterator[str]:
    copied = [mount.source or mount.path for mount in entry.mounts if mount.rule == "copy"]
    yield f"data: {', '.join(map(plain, copied)) or 'none on mounts'}; needed by: {_dependants(scope, move.service)}"
    if early := _reached_on_start(scope, move):
        yield (
            f"its start on {move.target} is its commit, nothing is undone automatically after it: {early} on that "
            "host can reach it by name then"
        )
    budget = f"{move.outage_budget_s:g} s" if move.outage_budget_s else "the plan's"
    yield f"verify: {move.verify} ({VERIFICATIONS[move.verify]}); outage budget: {budget}"
    for mount in entry.mounts:
        if mount.rule != "copy" and mount.kind != "tmpfs":
            what = "stays behind (drop)" if mount.rule == "drop" else "is taken as it is on the target (same_on_target)"
            yield f"NOT COPIED: {plain(mount.source or 'anonymous volume')} at {plain(mount.path)} {what}"
    if entry.ignore_writable_layer_because:
        yield (
            "NOT COPIED: changes outside its mounts (ignore_writable_layer_because: "
            f"{plain(entry.ignore_writable_layer_because)})"
        )
    for port, landed in move.ports.items():
        yield f"published {port} becomes {landed} on {move.target}"
    yield from _hook("before its hold", move.source, entry.hooks.before_hold)
    yield from _hook("after its commit", move.target, entry.hooks.after_commit)
    for name, reference in entry.secrets.items():
        if reference.startswith("command:"):
            yield f"runs on the operator's machine for {name}: {plain(reference)}"
    for kind, how in entry.restart_guards.items():
        yield f"could be started by {plain(kind)}, held: {plain(how)}"
    yield from (f"on its host: {plain(privilege)}" for privilege in privileges)
    if move.notes:
        yield f"note: {plain(move.notes)}"


def _reached_on_start(scope: Scope, move: PlannedMove) -> str:
    """Return the dependants that are on the target when it is this service's turn, as the plan orders the moves."""
    where = {name: entry.host for name, entry in scope.services.items()}
    for one in scope.plan.moves:
        if one.service == move.service:
            break
        where[one.service] = one.target
    return ", ".join(
        sorted({link.from_ for link in scope.dependants_of(move.service) if where.get(link.from_) == move.target})
    )


def _hook(when: str, host: str, hook: Hook | None) -> Iterator[str]:
    if hook is not None:
        undo = f"; to undo: {plain(shlex.join(hook.undo_argv))}" if hook.undo_argv else ""
        yield f"runs as root on {host} {when} (hook): {plain(shlex.join(hook.argv))}{undo}"


def _rewrites(scope: Scope) -> Iterator[str]:
    for link in scope.links:
        for rewrite in link.rewrite:
            changes = ", ".join(
                f"{name} {plain(value)}"
                for name, value in rewrite.model_dump(mode="json", exclude_none=True, exclude_defaults=True).items()
            )
            yield f"{link.from_} to {link.to} ({plain(link.name)}:{link.port}): {changes}"


def _encryption(scope: Scope) -> str:
    relays = scope.plan.relays
    return (
        "encrypted, each with keys of its own"
        if relays.encrypt
        else f"NOT ENCRYPTED. The reason: {plain(relays.reason)}"
    )


def _here(scope: Scope) -> Iterator[PlannedMove]:
    return (move for move in scope.plan.moves if move.service in scope.services)


def _address(scope: Scope, host: str) -> str:
    return scope.environment.hosts[host].address


def _dependants(scope: Scope, service: str) -> str:
    return (
        ", ".join(f"{link.from_} (as {plain(link.name)}:{link.port})" for link in scope.dependants_of(service))
        or "nothing here"
    )


def _below(title: str, lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if not number:
            yield ""
            yield title
        yield f"  - {line}"
