"""How a run opens, from flags to the first step, and closes in reverse: files, gates, locks, hosts, journal, moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
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
from engine.redaction.redactor import Redactor
from engine.run.options import Options
from engine.run.progress import Progress, open_console
from engine.run.recorder import RunRecorder
from engine.run.shard_recorder import ShardRecorder
from engine.sharding.shard import refuse_shard
from engine.signoff.waiver import Waivers
from hosts.coordination.audit_log import append_lines
from hosts.coordination.lock import Holder
from hosts.fleet import Fleet, open_hosts
from hosts.local.git import read_commit, read_project_commit
from phases.context.audit_mirror import AuditMirror
from phases.context.frozen_plan import as_begun, changed_since, refuse_other_than_approved
from phases.context.link_state import as_repointed, refuse_what_cannot_be, with_their_hosts
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
from phases.prepare.recipe import carrier_of
from phases.prepare.toolbox import use_recorded_toolboxes
from phases.session.moves import Moves
from phases.session.notifications import notify
from phases.session.parallel import HostQueues
from phases.session.plan_records import record_plan
from phases.session.run_records import record_looked_at, record_scope
from phases.session.session import Session
from phases.session.work_split import WorkShare, start_run, work_share
from phases.signoff.waivers import load_waivers, record_waivers


@dataclass
class Opening:
    """A run while it opens: each step adds what it is named for, and rests on what the steps before it have added."""

    options: Options
    command: str
    spread: bool = False
    scope: Scope = field(init=False)
    """The files as they are now; the gates judge these."""
    waivers: Waivers = field(init=False)
    redactor: Redactor = field(init=False)
    journal: Journal = field(init=False)
    gates: Gates = field(init=False)
    token: str = field(default="", init=False)
    """What the locks of this machine on hosts carry."""
    carried_out: Scope = field(init=False)
    """What this run is about: moves that have begun as they began, all others as the files have them."""
    fleet: Fleet = field(init=False)
    lost_hosts: frozenset[str] = field(default=frozenset(), init=False)
    broken_locks: Mapping[str, Holder] = field(default_factory=dict, init=False)
    run: Run = field(init=False)
    progress: Progress = field(init=False)
    writer: Run | AuditMirror = field(init=False)
    context: RunContext = field(init=False)
    share: WorkShare = field(init=False)
    moves: Moves = field(init=False)
    book: RunRecorder = field(init=False)
    queues: HostQueues = field(init=False)

    def session(self) -> Session:
        """Return the run, ready to be performed."""
        return Session(
            self.options, self.context, self.book, self.moves, self.queues, self.gates, self.waivers, self.share
        )


@contextmanager
def read_files(opening: Opening) -> Iterator[None]:
    """Read inventory, plan, environment, own checks and waivers. First of all: wrong files end a run that has opened
    nothing, and the names in them are known before anything is printed.
    """
    options = opening.options
    refuse_shard(options.shard, opening.command)
    opening.scope = load_scope(options)
    refuse_wrong(project_folder() / opening.scope.environment.own_checks, project_folder())
    opening.waivers = load_waivers(options, opening.scope)
    opening.redactor = console_redactor()
    opening.redactor.publish(*opening.scope.services, *opening.scope.hosts)
    yield


@contextmanager
def read_history(opening: Opening) -> Iterator[None]:
    """Open the journal and ask git for the commits. After the files, which say where the journal lies; before the
    gates, which judge by it. Flags that make no sense for the phase, or for what is on record, are refused here.
    """
    options, scope = opening.options, opening.scope
    opening.journal = open_journal(options, opening.redactor, scope)
    own = scope.environment.own_checks
    commits = (read_commit(own=own), read_project_commit(project_folder(), own))
    opening.gates = Gates(
        scope,
        opening.journal,
        commits[0],
        options.outside_window,
        frozenset(options.retry),
        undo=options.revert,
        project_commit=commits[1],
    )
    _refuse_misused(options, opening.command, scope, opening.journal)
    yield


@contextmanager
def lock_machine(opening: Opening) -> Iterator[None]:
    """Keep other runs of this environment on this machine out, when hosts will be changed. Before the gates: what they
    see must not change until the run is over.
    """
    if not opening.options.apply:
        yield
        return
    with lock_environment(opening.options.environment) as opening.token:
        yield


@contextmanager
def pass_gates(opening: Opening) -> Iterator[None]:
    """Let the gates say whether this may be done now. Under the machine's lock, and before any host is asked: a refused
    run has connected to nothing.
    """
    if opening.options.apply or opening.command == "rollback":
        opening.gates.check(opening.command)
    yield


@contextmanager
def settle_scope(opening: Opening) -> Iterator[None]:
    """Settle which moves this run carries out, and on which hosts. After the gates, so that what begins now is held
    against what they judged; before the hosts are opened, since it says which.
    """
    opening.carried_out = _carried_out(opening.options, opening.command, opening.scope, opening.journal, opening.gates)
    yield


@contextmanager
def connect_hosts(opening: Opening) -> Iterator[None]:
    """Open the hosts. Their connections close after everything that still asks them: locks, mirror, queues."""
    scope = opening.carried_out
    with open_hosts(scope.known_hosts, scope.environment, ssh_config_of(opening.options, opening.scope)) as fleet:
        opening.fleet = use_recorded_toolboxes(fleet, opening.journal, opening.command)
        yield


@contextmanager
def leave_out_lost_hosts(opening: Opening) -> Iterator[None]:
    """Leave out hosts that the operator declares lost, once each was seen to be dead. Before the hosts are locked: a
    lost one can't be.
    """
    options, scope = opening.options, opening.carried_out
    if options.target_lost is not None:
        opening.lost_hosts = exclude_lost_hosts(opening.fleet, scope, opening.journal, options, opening.command)
    hosts = tuple(host for host in scope.hosts if host not in opening.lost_hosts)
    opening.carried_out = replace(scope, hosts=hosts, dead=opening.lost_hosts)
    yield


@contextmanager
def lock_all_hosts(opening: Opening) -> Iterator[None]:
    """Lock every host of the run, when hosts will be changed. Before the run is on record: one that another operator
    keeps out has not begun. Given back once the last record is mirrored.
    """
    options = opening.options
    if not options.apply:
        yield
        return
    with lock_hosts(
        opening.fleet,
        opening.carried_out,
        opening.journal,
        token=opening.token,
        command=opening.command,
        break_reason=options.break_lock,
        report=_say,
    ) as opening.broken_locks:
        yield


@contextmanager
def begin_record(opening: Opening) -> Iterator[None]:
    """Write into the journal that the run has started, with its plan, commit and waivers. From here on everything that
    happens is on record.
    """
    opening.run = start_run(
        opening.journal,
        opening.carried_out,
        opening.waivers,
        opening.options,
        command=opening.command,
        commit=opening.gates.commit,
        project_commit=opening.gates.project_commit,
        digest=opening.scope.digest,
    )
    yield


@contextmanager
def stop_recovered_targets(opening: Opening) -> Iterator[None]:
    """Stop what runs again on a host that was declared lost. Before any other change: two copies of a service must not
    serve.
    """
    if opening.options.apply:
        stop_recovered(opening.fleet, opening.carried_out, opening.journal, opening.run)
    yield


@contextmanager
def record_exceptions(opening: Opening) -> Iterator[None]:
    """Write down what the operator decided for this run alone: hosts declared lost, locks broken, changed files that a
    move which has begun does not follow. Before the first step, so that it is on record whatever happens next.
    """
    run, options = opening.run, opening.options
    record_lost(run, opening.carried_out, opening.journal, opening.lost_hosts, options)
    for host, holder in opening.broken_locks.items():
        run.record(RecordKind.LOCK_BROKEN, body={"host": host, "held_by": holder.text(), "reason": options.break_lock})
    if changed := changed_since(opening.scope, opening.journal, frozenset(options.retry)):
        run.record(RecordKind.PLAN_CHANGE_IGNORED, body={"services": changed})
    yield


@contextmanager
def show_progress(opening: Opening) -> Iterator[None]:
    """Show how far the run is. Before the team gets its message and hosts are read, which both may take long; its line
    leaves the console last of these.
    """
    services = tuple(move.service for move in opening.carried_out.moves)
    opening.progress = Progress(open_console(), services, language_of(opening.options.lang))
    try:
        yield
    finally:
        opening.progress.end()


@contextmanager
def notify_team(opening: Opening) -> Iterator[None]:
    """Send the team the start, and the end with its result. After all that may still refuse the run: nobody gets
    a message about a run that has not begun.
    """
    progress, options = opening.progress, opening.options
    with notify(
        opening.carried_out,
        opening.run,
        opening.command,
        apply=options.apply,
        console=progress.console,
        language=progress.language,
    ):
        yield


@contextmanager
def mirror_records(opening: Opening) -> Iterator[None]:
    """Write the records of each move to its two hosts too (to one where the other is dead), and the heads of the run's
    chains at its end. While the hosts are locked, since the log of a host belongs to who holds it.
    """
    if not opening.options.apply:
        opening.writer = opening.run
        yield
        return
    scope, fleet = opening.carried_out, opening.fleet
    opening.writer = mirror = AuditMirror(
        opening.run,
        {"environment": scope.environment.environment, "command": opening.command},
        {
            move.service: tuple(host for host in (move.source, move.target) if host in scope.hosts)
            for move in scope.moves
        },
        lambda host, lines: append_lines(fleet[host], lines, token=fleet.token),
    )
    try:
        yield
    finally:
        mirror.close()


@contextmanager
def describe_run(opening: Opening) -> Iterator[None]:
    """Gather the facts of the hosts and write down what the run rests on: files, hosts, containers. Through the mirror,
    so that the hosts have it too.
    """
    options, command, scope = opening.options, opening.command, opening.carried_out
    opening.context = RunContext(
        scope,
        opening.fleet,
        opening.journal,
        opening.writer,
        opening.redactor,
        waits=opening.progress.wait,
        reporters=_reporters(opening.progress),
        private=_folder(opening.journal, opening.run, options) / PRIVATE,
    )
    opening.share = share = work_share(scope, command, options.shard, spread=opening.spread)
    opening.fleet.gather(share.hosts_at_start)
    if share.is_first:
        _record_files(opening.context, opening.scope, opening.waivers)
    record_looked_at(opening.context, command, share.hosts_described, share.services)
    yield


@contextmanager
def prepare_moves(opening: Opening) -> Iterator[None]:
    """Put the moves and the run's book together; a rollback looks now which way each move goes back. After the facts
    are gathered, before the first step.
    """
    options, command = opening.options, opening.command
    opening.moves = moves_of(opening.context, command, options, opening.lost_hosts)
    _look_which_way(opening.moves, command)
    opening.book = _book(opening.moves, opening.run, opening.progress, options, command)
    yield


@contextmanager
def work_in_parallel(opening: Opening) -> Iterator[None]:
    """Make the queues that work on several hosts at once. Last, so that they end first: what they do needs hosts, locks
    and journal.
    """
    opening.queues = queues_of(opening.moves)
    try:
        yield
    finally:
        opening.queues.end()


OPENING: Final[tuple[Callable[[Opening], AbstractContextManager[None]], ...]] = (
    read_files,
    read_history,
    lock_machine,
    pass_gates,
    settle_scope,
    connect_hosts,
    leave_out_lost_hosts,
    lock_all_hosts,
    begin_record,
    stop_recovered_targets,
    record_exceptions,
    show_progress,
    notify_team,
    mirror_records,
    describe_run,
    prepare_moves,
    work_in_parallel,
)
"""How a run opens, in order; it closes in reverse. The docstring of each step says why it has its place."""


@contextmanager
def open_session(options: Options, command: str, *, spread: bool = False) -> Iterator[Session]:
    """Open a run of `command`; hosts are closed at the end, whatever happened. `spread`: workers look, this process
    writes.

    Raises InputError for wrong files and RefusedError when a gate or a lock says no: nothing is done then.
    """
    opening = Opening(options, command, spread)
    with ExitStack() as stack:
        for step in OPENING:
            stack.enter_context(step(opening))
        yield opening.session()


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
    """Return what a run is about: moves that have begun as they began, all others as the files and the gates have them;
    in its order.
    """
    begun = as_repointed(as_begun(scope, journal, frozenset(options.retry)), journal)
    if options.apply and command == "migrate":
        refuse_other_than_approved(scope, begun, gates.new_moves())
    begun = with_relay_hosts(with_their_hosts(begun, journal) if command == "repoint" else begun, journal)
    backwards = command == "rollback" or options.revert
    return replace(begun, moves=begun.moves[::-1]) if backwards else begun  # what moved last goes back first


def _record_files(context: RunContext, scope: Scope, waivers: Waivers) -> None:
    """Write down what the run rests on: the plan as the files have it now, waivers, and what it is about."""
    record_plan(context, scope, waivers)
    record_waivers(context.run, waivers)
    record_scope(context)
    own = table_of(project_folder() / scope.environment.own_checks)
    if own:
        context.run.record(RecordKind.REPORT_TABLE, body=own.body())


def _look_which_way(moves: Moves, command: str) -> None:
    """Look before the first row whether each move goes back as a committed one: no answer ends a run that has done
    nothing.
    """
    for move in moves.context.scope.moves if command == "rollback" else ():
        moves.found_committed(move.service)


def _say(text: str) -> None:
    """Say something that is known only once a run's book is closed."""
    open_console().print(text, markup=False, highlight=False)


def _folder(journal: Journal, run: Run, options: Options) -> Path:
    """Return where a run's evidence and its private part lie."""
    return REPORTS / options.environment / folder_name(journal.records(run_id=run.id)[0])


def _book(moves: Moves, run: Run, progress: Progress, options: Options, command: str) -> RunRecorder:
    """Return the book of a run; a shard's draws no page of its own."""
    context = moves.context
    first = context.journal.records(run_id=run.id)[0]
    about: dict[str, Any] = {
        "journal": context.journal,
        "run": run,
        "command": command,
        "environment": options.environment,
        "subjects": progress.subjects,
        "apply": options.apply,
        "folder": _folder(context.journal, run, options),
        "about": first.body,
        "standing": moves.standing,
        "console": progress.console,
        "language": progress.language,
        "progress": progress,
        "simulated": frozenset(context.scope.environment.simulated),
    }
    return ShardRecorder(**about, shard=options.shard, argv=options.argv) if options.shard else RunRecorder(**about)


def queues_of(moves: Moves) -> HostQueues:
    """Return the queues that work on several hosts at once."""
    return HostQueues(moves, lambda service, key: carrier_of(moves.context.move_of(service), key))


def _reporters(progress: Progress) -> Callable[[str], Callable[[str], None]]:
    """Return who shows how far a copy is: the foot line of a terminal, else plain lines."""
    return (lambda _service: progress.report) if progress.console.is_terminal else plain_progress


def moves_of(context: RunContext, command: str, options: Options, lost_hosts: frozenset[str]) -> Moves:
    """Return the moves of a run."""
    deadline = None if options.outside_window else Deadline(context.scope.window)
    where = where_words(options.environment, options.argv)
    return Moves(
        context,
        command,
        options.apply,
        deadline,
        frozenset(options.retry),
        options.discard,
        options.revert,
        lost_hosts,
        where,
    )
