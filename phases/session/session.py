"""One run from flags to evidence: files loaded, hosts opened, journal and book started, moves ready to be performed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from engine.config.scope import Scope
from engine.errors import InputError
from engine.evidence import folder_name
from engine.evidence.next_steps import where_words
from engine.evidence.seal.sealed_folder import PRIVATE
from engine.i18n.language import language_of
from engine.journal.journal import Journal, Run
from engine.journal.kinds import RecordKind
from engine.project import REPORTS, project_folder
from engine.redaction.guarded_console import console_redactor
from engine.run.options import Options
from engine.run.progress import Progress, open_console
from engine.run.recorder import RunRecorder
from engine.run.shard_recorder import ShardRecorder
from engine.run.xdist_worker import BufferedRun, WorkerRecorder
from engine.sharding.shard import refuse_shard
from engine.signoff.waiver import Waivers
from hosts.coordination.audit_log import append_lines
from hosts.fleet import Fleet, open_hosts
from hosts.local.git import read_commit, read_project_commit
from phases.context.attempt import must_be_undone, read_return
from phases.context.audit_mirror import AuditMirror
from phases.context.frozen_plan import as_begun, changed_since, refuse_other_than_approved
from phases.context.link_state import REPOINT_STEPS, as_repointed, links_of, refuse_what_cannot_be, with_their_hosts
from phases.context.link_state import UNDO_STEP as UNDO_REFERENCES
from phases.context.locks import lock_environment, lock_hosts
from phases.context.open_journal import open_journal
from phases.context.own_checks import refuse_wrong, table_of
from phases.context.plain_progress import plain_progress
from phases.context.relay_hosts import with_relay_hosts
from phases.context.run_context import RunContext
from phases.context.scope_files import load_scope, ssh_config_of
from phases.gates.dead_target import exclude_lost_hosts, record_lost, stop_recovered
from phases.gates.deadline import Deadline
from phases.gates.gates import Gates
from phases.migrate.data_strategy import copies_live
from phases.migrate.recipe import AFTER_COMMIT, BEFORE_HOLD
from phases.prepare.backup_drill import steps_left_out
from phases.prepare.recipe import carrier_of
from phases.prepare.toolbox import use_recorded_toolboxes
from phases.rollback.recipe import CLEAN_SOURCE, DATA_STEPS, DEAD_STEPS, RETURN_STEPS, UNDO_STEP
from phases.session.moves import Moves
from phases.session.notifications import notify
from phases.session.parallel import HostQueues
from phases.session.plan_records import record_plan
from phases.session.run_records import record_looked_at, record_scope
from phases.session.work_split import WorkShare, start_run, work_share
from phases.signoff.manual_steps import steps_not_asked
from phases.signoff.waivers import load_waivers, record_waivers

DEPENDANTS: Final = ("dependants-work", "dependants-returned")
"""Steps that ask the services that depend on one."""
LINKS_STEP: Final = "relay-dependencies"


@dataclass
class Session:
    """A run in progress."""

    options: Options
    world: RunContext
    book: RunRecorder | WorkerRecorder
    moves: Moves
    beside: HostQueues
    gates: Gates
    waivers: Waivers
    share: WorkShare

    @property
    def scope(self) -> Scope:
        """Return what this run is about."""
        return self.world.scope

    def only_for_some(self, service: str) -> dict[str, str]:
        """Return the steps that do not apply to a service, with the reason; "" for what nobody expects, such as a hook that is not there."""
        environment = self.scope.environment.environment
        reasons = (
            {}
            if self.scope.dependants_of(service)
            else dict.fromkeys(DEPENDANTS, f"nothing in environment {environment} depends on it")
        )
        if not self.scope.providers_of(service):
            reasons |= {LINKS_STEP: f"it needs nothing by name in environment {environment}"}
        reasons |= steps_not_asked(self.scope, service)
        reasons |= (
            {}
            if copies_live(self.world.move_of(service))
            else {"precopy": "strategy stop_copy: all is copied once it is stopped"}
        )
        if self.book.command == "prepare":
            reasons |= steps_left_out(self.world, service)
        if self.book.command == "rollback":
            reasons |= self._rollback_reasons(service)
        if self.book.command == "repoint":
            reasons |= self._repoint_reasons(service)
        hooks = self.world.entry(service).hooks
        given = {BEFORE_HOLD: hooks.before_hold, AFTER_COMMIT: hooks.after_commit}
        return reasons | dict.fromkeys((key for key, hook in given.items() if hook is None), "")

    def _repoint_reasons(self, service: str) -> dict[str, str]:
        if not links_of(self.scope, self.world.journal, service):
            return dict.fromkeys(
                (UNDO_REFERENCES, *REPOINT_STEPS), "no link of it that crosses hosts says how it is re-pointed"
            )
        if self.options.revert:
            return dict.fromkeys(REPOINT_STEPS, "its references are put back (--revert)")
        return {UNDO_REFERENCES: "its references are rewritten, not put back"}

    def _rollback_reasons(self, service: str) -> dict[str, str]:
        undone = must_be_undone(read_return(self.world.journal, service)) and not self.moves.found_committed(service)
        if undone:
            return dict.fromkeys(RETURN_STEPS, "its move is not committed: what it did is undone")
        undo = {UNDO_STEP: "its move is committed: it is brought back"}
        undo |= (
            dict.fromkeys(DEAD_STEPS, "its new host is declared lost")
            if self.options.target_lost
            else {CLEAN_SOURCE: "its new host is not lost: what is left is removed with the moved service"}
        )
        return undo | (
            dict.fromkeys(
                DATA_STEPS, f"the source's data is used as it was (--discard-target-writes: {self.options.discard})"
            )
            if self.options.discard
            else {}
        )


@contextmanager
def open_session(options: Options, command: str, *, spread: bool = False) -> Iterator[Session]:
    """Open a run of `command`; hosts are closed at the end, whatever happened. `spread`: workers look, this process writes.

    Raises InputError for wrong files and RefusedError when a gate or a lock says no: nothing is done then.
    """
    refuse_shard(options.shard, command)
    scope = load_scope(options)
    refuse_wrong(project_folder() / scope.environment.own_checks, project_folder())
    waivers = load_waivers(options, scope)
    redactor = console_redactor()
    redactor.publish(*scope.services, *scope.hosts)
    journal = open_journal(options, redactor, scope)
    own = scope.environment.own_checks
    commits = (read_commit(own=own), read_project_commit(project_folder(), own))
    gates = Gates(
        scope,
        journal,
        commits[0],
        options.outside_window,
        frozenset(options.retry),
        undo=options.revert,
        project_commit=commits[1],
    )
    _refuse_misused(options, command, scope, journal)
    with ExitStack() as stack:
        token = stack.enter_context(lock_environment(options.environment)) if options.apply else ""
        if options.apply or command == "rollback":
            gates.check(command)
        begun = _carried_out(options, command, scope, journal, gates)
        fleet = use_recorded_toolboxes(
            stack.enter_context(open_hosts(begun.known_hosts, scope.environment, ssh_config_of(options, scope))),
            journal,
            command,
        )
        lost_hosts = (
            exclude_lost_hosts(fleet, begun, journal, options, command)
            if options.target_lost is not None
            else frozenset[str]()
        )
        begun = replace(begun, hosts=tuple(host for host in begun.hosts if host not in lost_hosts), dead=lost_hosts)
        broken = {}
        if options.apply:
            broken = stack.enter_context(
                lock_hosts(
                    fleet, begun, journal, token=token, command=command, break_reason=options.break_lock, tell=_say
                )
            )
        run = start_run(
            journal,
            begun,
            waivers,
            options,
            command=command,
            commit=gates.commit,
            project_commit=gates.project_commit,
            digest=scope.digest,
        )
        if options.apply:
            stop_recovered(fleet, begun, journal, run)
        record_lost(run, begun, journal, lost_hosts, options)
        for host, holder in broken.items():
            run.record(
                RecordKind.LOCK_BROKEN, body={"host": host, "held_by": holder.text(), "reason": options.break_lock}
            )
        if changed := changed_since(scope, journal, frozenset(options.retry)):
            run.record(RecordKind.PLAN_CHANGE_IGNORED, body={"services": changed})
        services, language = tuple(move.service for move in begun.moves), language_of(options.lang)
        console = open_console()
        progress = Progress(console, services, language)
        stack.callback(progress.end)
        stack.enter_context(notify(begun, run, command, apply=options.apply, console=console, language=language))
        writer = stack.enter_context(_mirrored(run, begun, fleet, command)) if options.apply else run
        world = RunContext(
            begun,
            fleet,
            journal,
            writer,
            redactor,
            waits=progress.wait,
            tells=_tells(progress),
            private=_folder(journal, run, options) / PRIVATE,
        )
        share = work_share(begun, command, options.shard, spread=spread)
        fleet.gather(share.hosts_at_start)
        if share.is_first:
            _record_files(world, scope, waivers)
        record_looked_at(world, command, share.hosts_described, share.services)
        moves = _moves(world, command, options, lost_hosts)
        _look_which_way(moves, command)
        book = _book(moves, run, progress, options, command)
        beside = _beside(moves, fleet)
        stack.callback(beside.end)
        yield Session(options, world, book, moves, beside, gates, waivers, share)


def _refuse_misused(options: Options, command: str, scope: Scope, journal: Journal) -> None:
    """Raise InputError for flags of another phase, and for references that can't be rewritten now."""
    if options.revert and command != "repoint":
        back = scope.command("rollback", service="SERVICE")
        raise InputError(
            f"--revert: only repoint takes it. Expected: {command} without it; to take a move back: {back}"
        )
    if command == "repoint":
        refuse_what_cannot_be(scope, journal)


def _carried_out(options: Options, command: str, scope: Scope, journal: Journal, gates: Gates) -> Scope:
    """Return what a run is about: moves that have begun as they began, all others as the files and the gates have them; in its order."""
    begun = as_repointed(as_begun(scope, journal, frozenset(options.retry)), journal)
    if options.apply and command == "migrate":
        refuse_other_than_approved(scope, begun, gates.new_moves())
    begun = with_relay_hosts(with_their_hosts(begun, journal) if command == "repoint" else begun, journal)
    backwards = command == "rollback" or options.revert
    return replace(begun, moves=begun.moves[::-1]) if backwards else begun  # what moved last goes back first


def _record_files(world: RunContext, scope: Scope, waivers: Waivers) -> None:
    """Write down what the run rests on: the plan as the files have it now, waivers, and what it is about."""
    record_plan(world, scope, waivers)
    record_waivers(world.run, waivers)
    record_scope(world)
    own = table_of(project_folder() / scope.environment.own_checks)
    if own:
        world.run.record(RecordKind.REPORT_TABLE, body=own.body())


def _look_which_way(moves: Moves, command: str) -> None:
    """Look before the first row whether each move goes back as a committed one: no answer ends a run that has done nothing."""
    for move in moves.world.scope.moves if command == "rollback" else ():
        moves.found_committed(move.service)


def _say(text: str) -> None:
    """Say something that is known only once a run's book is closed."""
    open_console().print(text, markup=False, highlight=False)


def _folder(journal: Journal, run: Run, options: Options) -> Path:
    """Return where a run's evidence and its private part lie."""
    return REPORTS / options.environment / folder_name(journal.records(run_id=run.id)[0])


def _book(moves: Moves, run: Run, progress: Progress, options: Options, command: str) -> RunRecorder:
    """Return the book of a run; a shard's draws no page of its own."""
    world = moves.world
    first = world.journal.records(run_id=run.id)[0]
    about: dict[str, Any] = {
        "journal": world.journal,
        "run": run,
        "command": command,
        "environment": options.environment,
        "subjects": progress.subjects,
        "apply": options.apply,
        "folder": _folder(world.journal, run, options),
        "about": first.body,
        "standing": moves.standing,
        "console": progress.console,
        "language": progress.language,
        "progress": progress,
        "simulated": frozenset(world.scope.environment.simulated),
    }
    return ShardRecorder(**about, shard=options.shard, argv=options.argv) if options.shard else RunRecorder(**about)


@contextmanager
def open_worker(options: Options, command: str, run_id: str, folder: Path) -> Iterator[Session]:
    """Open a worker's part of a run that another process on this machine started and writes: it looks, and records nothing itself."""
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
        world = RunContext(
            scope=scope, fleet=fleet, journal=journal, run=run, redactor=redactor, private=folder / PRIVATE
        )
        book = WorkerRecorder(run, command, tuple(move.service for move in scope.moves), folder)
        share = work_share(scope, command, options.shard, spread=False)
        moves = _moves(world, command, options, frozenset())
        yield Session(options, world, book, moves, _beside(moves, fleet), gates, Waivers(), share)


def _beside(moves: Moves, fleet: Fleet) -> HostQueues:
    return HostQueues(moves, lambda service, key: carrier_of(moves.world.move_of(service), key), fleet.cut)


def _tells(progress: Progress) -> Callable[[str], Callable[[str], None]]:
    """Return who shows how far a copy is: the foot line of a terminal, else plain lines."""
    return (lambda _service: progress.tell) if progress.console.is_terminal else plain_progress


@contextmanager
def _mirrored(run: Run, scope: Scope, fleet: Fleet, command: str) -> Iterator[AuditMirror]:
    """Write the records of each move to its two hosts too (to one where the other is dead), and the heads of the run's chains at its end."""
    mirror = AuditMirror(
        run,
        {"environment": scope.environment.environment, "command": command},
        {
            move.service: tuple(host for host in (move.source, move.target) if host in scope.hosts)
            for move in scope.moves
        },
        lambda host, lines: append_lines(fleet[host], lines, token=fleet.token),
    )
    try:
        yield mirror
    finally:
        mirror.close()


def _moves(world: RunContext, command: str, options: Options, lost_hosts: frozenset[str]) -> Moves:
    deadline = None if options.outside_window else Deadline(world.scope.window)
    where = where_words(options.environment, options.argv)
    return Moves(
        world,
        command,
        options.apply,
        deadline,
        frozenset(options.retry),
        options.discard,
        options.revert,
        lost_hosts,
        where,
    )
