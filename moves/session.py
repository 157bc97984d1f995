"""One run from flags to evidence: files loaded, hosts opened, journal and book started, moves ready to be performed."""

from __future__ import annotations

import base64
import getpass
import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine.book import JournalBook
from engine.errors import CouldNotLookError, InputError
from engine.evidence import folder_name
from engine.files import load_files
from engine.journal import Journal
from engine.model import Action
from engine.options import Options
from engine.product import VERSION
from engine.saga import Past, RunningMove
from engine.scope import PlannedMove, Scope, build_scope
from engine.secret import Redactor
from hosts.checkout import read_commit
from hosts.fleet import open_hosts
from moves.gates import check_gates
from moves.past import read_past
from moves.recipe import prepare_recipe, recipe
from moves.serving import collect_logs, judge_done, judge_source_serves
from moves.world import World


@dataclass
class Moves:
    """The run's moves by service, each built when its turn comes: earlier moves change where services are."""

    world: World
    command: str
    apply: bool
    started: dict[str, RunningMove] = field(default_factory=dict)

    def __getitem__(self, service: str) -> RunningMove:
        """Return a move, ready to be performed."""
        if service not in self.started:
            self.started[service] = self._start(service)
        return self.started[service]

    def _start(self, service: str) -> RunningMove:
        world, move = self.world, self.world.move_of(service)
        past = read_past(world.journal, service)
        running = RunningMove(
            service=service,
            recipe=self._recipe(move, past.attempt),
            journal=world.run,
            apply=self.apply,
            past=past if self.command == "migrate" else Past(),
            on_change=world.forget_facts,
            before_undo=lambda reason: collect_logs(world, service, reason),
            prove_source=lambda: judge_source_serves(world, service),
            prove_done=lambda: judge_done(world, service),
            tracks_state=self.command == "migrate",
        )
        running.stopped_because = self._stopped_by_another()
        return running

    def _recipe(self, move: PlannedMove, attempt: int) -> tuple[Action, ...]:
        if self.command == "prepare":
            return prepare_recipe(self.world, move)
        return recipe(self.world, move, attempt) if self.command == "migrate" else ()

    def _stopped_by_another(self) -> str | None:
        """Return why this move must not start, after the failure of an earlier one."""
        if self.world.scope.plan.on_failure != "stop" or self.command != "migrate":
            return None
        failed = [(name, move) for name, move in self.started.items() if move.stopped_because]
        return f"the move of {failed[0][0]} stopped: {failed[0][1].stopped_because}" if failed else None


@dataclass
class Session:
    """A run in progress."""

    options: Options
    world: World
    book: JournalBook
    moves: Moves

    @property
    def scope(self) -> Scope:
        """Return what this run is about."""
        return self.world.scope

    def only_for_some(self, service: str) -> dict[str, str]:
        """Return the steps that do not apply to a service, with the reason."""
        environment = self.scope.environment.environment
        if not self.scope.dependants_of(service):
            return {"dependants-work": f"nothing in environment {environment} depends on it"}
        return {}


def load_scope(options: Options) -> Scope:
    """Load inventory, plan and environment and return what the run is about; raises InputError with all problems."""
    if not options.environment_file.exists():
        advice = "nox -s lab -- up" if options.environment == "lab" else f"nox -s pin -- --environment {options.environment}"
        raise InputError(f"{options.environment_file}: not there; it holds the identities of the hosts. Try: {advice}")
    files = load_files(options.inventory, options.plan, options.environment_file)
    return build_scope(files.inventory, files.plan, files.environment, services=options.services, waves=options.waves)


@contextmanager
def open_session(options: Options, command: str) -> Iterator[Session]:
    """Open a run of `command`; hosts are closed at the end, whatever happened.

    Raises InputError for wrong files and RefusedError when a gate says no: nothing is done then.
    """
    scope = load_scope(options)
    redactor = Redactor()
    redactor.publish(*scope.services, *scope.hosts)
    journal = Journal.open(Path("state") / f"{options.environment}.sqlite", redactor=redactor)
    if options.apply:
        check_gates(command, scope, journal)
    ssh_config = options.ssh_config or (Path(scope.environment.ssh_config) if scope.environment.ssh_config else None)
    with open_hosts(scope.hosts, scope.environment, ssh_config) as fleet:
        run = journal.start_run(
            command=command,
            environment=options.environment,
            plan_digest=scope.digest,
            operator=f"{getpass.getuser()}@{socket.gethostname()}",
            version=VERSION,
            commit=read_commit(),
            argv=list(options.argv),
            apply=options.apply,
        )
        world = World(scope=scope, fleet=fleet, journal=journal, run=run, redactor=redactor)
        fleet.gather(scope.hosts)
        _record_scope(world)
        book = JournalBook(
            journal=journal,
            run=run,
            command=command,
            environment=options.environment,
            subjects=tuple(move.service for move in scope.moves),
            apply=options.apply,
            folder=Path("reports") / options.environment / folder_name(journal.records(run_id=run.id)[0]),
        )
        yield Session(options=options, world=world, book=book, moves=Moves(world, command, options.apply))


def _record_scope(world: World) -> None:
    """Write what this run is about into the journal: the page is drawn from there alone."""
    scope, run = world.scope, world.run
    moves = [move.model_dump(mode="json", include={"service", "source", "target", "wave", "strategy", "hold"}) for move in scope.moves]
    run.record("scope", body={"title": scope.plan.title, "moves": moves, "stand_ins": list(scope.environment.stand_ins)})
    for host, found in world.fleet.gather(scope.hosts).items():
        facts = {} if isinstance(found, CouldNotLookError) else {
            "docker_version": found.docker_version, "os": found.os_name, "kernel": found.kernel, "containers": len(found.containers),
        }  # fmt: skip
        error = str(found) if isinstance(found, CouldNotLookError) else ""
        identity = scope.environment.hosts[host]
        key = hashlib.sha256(base64.b64decode(identity.ssh_host_key.split()[1])).digest()
        fingerprint = "SHA256:" + base64.b64encode(key).decode().rstrip("=")
        run.record("host", body={"name": host, "address": identity.address, "ssh_key_fingerprint": fingerprint, "error": error, **facts})
    for text in scope.not_applicable:
        run.record("not_applicable", body={"text": text})
