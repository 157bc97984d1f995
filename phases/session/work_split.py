"""Which hosts and services a process looks at: all of a run, those of its shard, or what the processes of one machine
leave to it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import rfc8785

from engine.config.scope import Scope
from engine.constants import VERSION
from engine.contracts.phase import PHASES
from engine.journal.journal import Journal, Run
from engine.project import project_folder
from engine.run.options import Options
from engine.sharding.merged_run import join_run
from engine.sharding.shard import Shard, Split
from engine.signoff.waiver import Waivers
from hosts.local.operator import operator_name
from phases.context.required_results import keys_of, own_steps
from phases.preflight.port_scan import scanned_hosts
from phases.signoff.approvals import code_digest

FIRST: Final = "preflight"
"""The phase that asks about all hosts together; its services are where they come from. Validate asks where they went.
"""


@dataclass(frozen=True)
class WorkShare:
    """One process' part of a run. `spread`: workers on this machine look, this process only writes down."""

    scope: Scope
    command: str
    split: Split
    shard: Shard | None = None
    spread: bool = False

    @property
    def is_first(self) -> bool:
        """Return whether this process writes down what concerns the run as a whole."""
        return self.shard is None or self.shard.number == 1

    def group_of(self, service: str | None, host: str | None, *, together: bool = False) -> str:
        """Return the host that a row belongs to; see Split."""
        return self.split.group_of(service, host, together=together)

    def is_mine(self, group: str) -> bool:
        """Return whether the rows of a host, or those about all together, are asked by this process or its workers."""
        return self.shard is None or self.split.shard_of(group, self.shard.of) == self.shard.number

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the hosts whose rows are asked here."""
        return self.split.hosts if self.shard is None else self.split.hosts_of(self.shard)

    @property
    def services(self) -> tuple[str, ...]:
        """Return the moved services whose rows are asked here."""
        return self.split.services_of(self.hosts)

    @property
    def hosts_described(self) -> tuple[str, ...]:
        """Return the hosts of the run that this process itself describes: of those that have rows, workers do."""
        busy = set(self.split.homes.values()) | (set(self.split.hosts) if self.command == FIRST else set())
        return tuple(host for host in self.hosts if host in self.scope.hosts and not (self.spread and host in busy))

    @property
    def hosts_at_start(self) -> tuple[str, ...]:
        """Return the hosts whose facts are needed for sure, to be gathered side by side."""
        if self.spread:
            return self.hosts_described
        if self.shard is None or (self.is_first and self.command == FIRST):
            return self.scope.hosts
        mine = set(self.hosts)
        ends = {
            host
            for move in self.scope.moves
            for host in (move.source, move.target)
            if mine & {move.source, move.target}
        }
        return tuple(host for host in self.scope.hosts if host in mine | ends)


def work_share(scope: Scope, command: str, shard: Shard | None, *, spread: bool) -> WorkShare:
    """Return what a process looks at in a phase."""
    homes = {move.service: move.source if command == FIRST else move.target for move in scope.moves}
    pairs = tuple((move.source, move.target) for move in scope.moves)
    return WorkShare(
        scope, command, Split(tuple(dict.fromkeys((*scope.hosts, *scanned_hosts(scope)))), homes, pairs), shard, spread
    )


def start_run(
    journal: Journal,
    scope: Scope,
    waivers: Waivers,
    options: Options,
    *,
    command: str,
    commit: str,
    digest: str,
    project_commit: str = "",
) -> Run:
    """Start a run, or join the one of this shard's name; raises InputError when that is another run."""
    own = project_folder() / scope.environment.own_checks
    about: dict[str, Any] = {
        "command": command,
        "environment": options.environment,
        "plan_digest": digest,
        "operator": operator_name(),
        "version": VERSION,
        "commit": commit,
        **({"project_commit": project_commit} if project_commit else {}),
        "code": code_digest(scope.environment.own_checks),
        "steps": [*keys_of(command), *(step.key for step in own_steps(own, command))] if command in PHASES else [],
        "argv": list(options.argv),
        "apply": options.apply,
        "lang": options.lang,
    }
    if options.shard is None:
        return journal.start_run(**about)
    return join_run(journal, options.shard, {**about, "asked": _asked(scope, waivers, options)})


def _asked(scope: Scope, waivers: Waivers, options: Options) -> str:
    """Return the SHA-256 over what decides, as well as the plan, which rows there are and how they count."""
    content: dict[str, Any] = {
        "services": sorted(options.services),
        "waves": sorted(options.waves),
        "hosts": sorted(scanned_hosts(scope)),
        "moves": [[move.service, move.source, move.target] for move in scope.moves],
        "waivers": sorted(one.digest for one in waivers.waivers),
    }
    return hashlib.sha256(rfc8785.dumps(content)).hexdigest()
