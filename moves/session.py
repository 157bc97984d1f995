"""One run from flags to evidence: files loaded, hosts opened, journal and book started, moves ready to be performed."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.book import JournalBook
from engine.environment import load_environment
from engine.errors import InputError
from engine.inventory import load_inventory
from engine.journal import Journal
from engine.model import Action
from engine.options import Options
from engine.plan import load_plan
from engine.product import VERSION
from engine.saga import RunningMove
from engine.scope import Scope, build_scope
from engine.secret import Redactor
from hosts.checkout import read_commit
from hosts.fleet import open_hosts
from moves.gates import check_gates
from moves.past import read_past
from moves.recipe import prepare_recipe, recipe
from moves.serving import collect_logs, judge_done, judge_source_serves
from moves.world import World


@dataclass
class Session:
    """A run in progress."""

    options: Options
    world: World
    book: JournalBook
    moves: dict[str, RunningMove]

    @property
    def scope(self) -> Scope:
        """Return what this run is about."""
        return self.world.scope


def load_scope(options: Options) -> Scope:
    """Load inventory, plan and environment and return what the run is about; raises InputError with all problems."""
    if not options.environment_file.exists():
        advice = "nox -s lab -- up" if options.environment == "lab" else f"nox -s pin -- --environment {options.environment}"
        raise InputError(f"{options.environment_file}: not there; it holds the identities of the hosts. Try: {advice}")
    inventory = load_inventory(options.inventory)
    plan = load_plan(options.plan, inventory)
    environment = load_environment(options.environment_file)
    return build_scope(inventory, plan, environment, services=options.services, waves=options.waves)


@contextmanager
def open_session(options: Options, command: str) -> Iterator[Session]:
    """Open a run of `command`; hosts are closed at the end, whatever happened.

    Raises InputError for wrong files and RefusedError when a gate says no: nothing is done then.
    """
    scope = load_scope(options)
    redactor = Redactor()
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
        )
        world = World(scope=scope, fleet=fleet, journal=journal, run=run, redactor=redactor)
        fleet.gather(scope.hosts)
        for text in scope.not_applicable:
            run.record("not_applicable", body={"text": text})
        book = JournalBook(
            journal=journal,
            run=run,
            command=command,
            environment=options.environment,
            subjects=tuple(move.service for move in scope.moves),
            apply=options.apply,
            folder=_folder(options.environment, command),
        )
        yield Session(options=options, world=world, book=book, moves=_moves(world, command, options))


def _folder(environment: str, command: str) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return Path("reports") / environment / f"{stamp}-{command}"


def _moves(world: World, command: str, options: Options) -> dict[str, RunningMove]:
    moves = {}
    for move in world.scope.moves:
        service = move.service
        past = read_past(world.journal, service)
        actions: tuple[Action, ...] = ()
        if command == "prepare":
            actions = prepare_recipe(world, move)
        elif command == "migrate":
            actions = recipe(world, move, past.attempt)
        moves[service] = RunningMove(
            service=service,
            recipe=actions,
            journal=world.run,
            apply=options.apply,
            past=past,
            on_change=world.forget_facts,
            before_undo=lambda reason, service=service: collect_logs(world, service, reason),
            prove_source=lambda service=service: judge_source_serves(world, service),
            prove_done=lambda service=service: judge_done(world, service),
            tracks_state=command == "migrate",
        )
    return moves
