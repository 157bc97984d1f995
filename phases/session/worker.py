"""A worker's part of a run: it looks, and another process on this machine writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.evidence.seal.sealed_folder import PRIVATE
from engine.redaction.guarded_console import console_redactor
from engine.run.options import Options
from engine.run.xdist_worker import BufferedRun, WorkerRecorder
from engine.signoff.waiver import Waivers
from hosts.fleet import open_hosts
from hosts.local.git import read_commit
from phases.context.frozen_plan import as_begun
from phases.context.link_state import as_repointed
from phases.context.open_journal import open_journal
from phases.context.relay_hosts import with_relay_hosts
from phases.context.run_context import RunContext
from phases.context.scope_files import load_scope, ssh_config_of
from phases.gates.gates import Gates
from phases.prepare.toolbox import use_recorded_toolboxes
from phases.session.opening import moves_of, queues_of
from phases.session.session import Session
from phases.session.work_split import work_share


@contextmanager
def open_worker(options: Options, command: str, run_id: str, folder: Path) -> Iterator[Session]:
    """Open a worker's part of a run that another process on this machine started and writes: it looks, and records
    nothing itself.
    """
    scope = load_scope(options)
    redactor = console_redactor()
    redactor.publish(*scope.services, *scope.hosts)
    journal = open_journal(options, redactor, scope)
    gates, scope = (
        Gates(scope, journal, read_commit()),
        with_relay_hosts(as_repointed(as_begun(scope, journal), journal), journal),
    )
    with open_hosts(scope.known_hosts, scope.environment, ssh_config_of(options, scope)) as opened:
        fleet = use_recorded_toolboxes(opened, journal, command)
        run = BufferedRun(run_id, redactor)
        context = RunContext(
            scope=scope, fleet=fleet, journal=journal, run=run, redactor=redactor, private=folder / PRIVATE
        )
        book = WorkerRecorder(run, command, tuple(move.service for move in scope.moves), folder)
        share = work_share(scope, command, options.shard, spread=False)
        moves = moves_of(context, command, options, frozenset())
        yield Session(options, context, book, moves, queues_of(moves), gates, Waivers(), share)
