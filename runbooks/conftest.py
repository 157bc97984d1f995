"""The composition root of the runbooks: flags, the run's session, and who each step is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from checks.dependencies.graph import DependencyGraph
from checks.hosts.network import Matrix
from checks.ports.tables import tables_of
from engine.config.scope import Scope
from engine.contracts.phase import BY_NAME, WRITING_PHASES
from engine.errors import InputError, JournalError, LongshoreError, NotObservedError, RefusedError
from engine.evidence.formats.pytest_html import move_appendix
from engine.evidence.seal.seal import seal
from engine.evidence.seal.sealed_folder import APPENDIX, PRIVATE, RECORDS
from engine.finding import recorded, say
from engine.journal.kinds import RecordKind
from engine.project import project_folder
from engine.run.options import FLAGS, add_flags, read_options
from engine.run.plugin import BOOK, SHARE, WAIVERS, group_of, worker_group_of
from engine.run.xdist_scheduler import is_spread, is_worker
from engine.saga.saga import RunningMove
from engine.verdict import ExitCode, Judgement
from hosts.facts.model import HostFacts
from hosts.local.ssh_signing import KeySigner
from phases.context.own_checks import READING, check_files
from phases.context.run_context import RunContext
from phases.context.service_move import ServiceMove
from phases.gates.gates import Gates
from phases.preflight.capacity import Capacity, read_capacity, targets_of
from phases.preflight.network import look_at_network
from phases.preflight.port_scan import PortScan, scan_ports, scanned_hosts
from phases.preflight.target_fitness import find_references
from phases.prepare.host_configuration import backup_table
from phases.session.opening import open_session
from phases.session.own_checks import OwnChecks
from phases.session.prefetch import Prefetch
from phases.session.run_records import record_looked_at
from phases.session.session import Session
from phases.session.work_split import FIRST
from phases.session.worker import open_worker
from phases.signoff.attestations import judge_manual
from phases.signoff.manual_steps import asked, since_when
from phases.signoff.signatures import signer_of
from phases.validate.service_checks import refuse_unmoved

Found = TypeVar("Found", Capacity, DependencyGraph, Matrix)

SESSION = pytest.StashKey[Session]()
DESCRIBED = pytest.StashKey[set[str]]()
STACK = pytest.StashKey[ExitStack]()
SIGNER = pytest.StashKey[KeySigner | None]()
GIVEN: Final = "longshore"
"""What a worker gets from the process that started it."""


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare longshore's flags; testinfra brings --ssh-config of its own, with the same meaning."""
    theirs = {"--ssh-config"} if any("testinfra" in name for name, _ in pluginmanager.list_name_plugin()) else set()
    add_flags(parser.getgroup("longshore").addoption, *(flag.name for flag in FLAGS if flag.name not in theirs))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Open the run; wrong input and a refusing gate end it before anything is looked at."""
    command, given = _phase(config), getattr(config, "workerinput", {}).get(GIVEN)
    stack = ExitStack()
    config.stash[STACK] = stack
    try:
        if is_spread(config):
            _spread(config, command)
        options = read_options(config.getoption, [str(argument) for argument in config.invocation_params.args])
        config.stash[SIGNER] = signer_of(None)
        opening = (
            open_worker(options, command, given["run"], Path(given["folder"]))
            if given
            else open_session(options, command, spread=is_spread(config))
        )
        session = stack.enter_context(opening)
    except InputError as error:
        pytest.exit(str(error), returncode=ExitCode.INVALID_INPUT)
    except RefusedError as error:
        pytest.exit(str(error), returncode=ExitCode.REFUSED)
    except (NotObservedError, JournalError) as error:
        pytest.exit(f"{command}: not started, nothing was done\n  {error}", returncode=ExitCode.INCOMPLETE)
    config.stash[SESSION] = session
    config.stash[BOOK] = session.book
    config.stash[WAIVERS] = session.waivers
    config.stash[SHARE] = session.share
    _add_own_checks(config, session)
    if given or options.shard:  # who draws the page draws no appendix of one part
        config.option.htmlpath = None
        return
    # pytest-html's own page is the technical appendix next to ours; it gets there without secrets.
    raw = session.book.folder / PRIVATE / APPENDIX
    raw.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    config.option.htmlpath = str(raw)
    config.option.self_contained_html = True


def _add_own_checks(config: pytest.Config, session: Session) -> None:
    """Collect the project's own checks of this phase together with the runbooks."""
    own = project_folder() / session.scope.environment.own_checks
    folder, command = own / session.book.command, session.book.command
    if command in READING and check_files(own, command):
        config.pluginmanager.register(OwnChecks(folder, command, session.context), "longshore-own-checks")
        config.args[:] = [*dict.fromkeys((*config.args, str(folder)))]
        config.option.inifilename = str(config.inipath)  # a worker looks for it from the folders that it is given


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End what runs in parallel with the steps before the evidence is drawn: its last actions belong into it."""
    if SESSION in session.config.stash:
        session.config.stash[SESSION].queues.end()


def _spread(config: pytest.Config, command: str) -> None:
    """Let xdist give all steps of a host to one worker; raises InputError where workers can't be right."""
    if command in WRITING_PHASES:
        raise InputError(
            f"-n (xdist): {command} changes hosts, in one order, in one process. Expected: none. Choose with "
            "--service or --wave"
        )
    if any(not str(one).endswith("popen") for one in config.option.tx):
        raise InputError(
            f"--tx {config.option.tx[0]}: workers on other machines are not used. Expected: -n there, and "
            "--shard I/N for several machines"
        )
    config.option.dist = "loadscope"  # with a host for a scope


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass a worker the run that it looks for."""
    session = node.config.stash[SESSION]
    node.workerinput[GIVEN] = {"run": session.context.run.id, "folder": str(session.book.folder)}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let a worker describe a host before its first step; what is about all hosts together is gathered side by side."""
    if not is_worker(item.config):
        return
    session, seen = item.config.stash[SESSION], item.config.stash.setdefault(DESCRIBED, set())
    group = worker_group_of(item, session.share)
    if group in seen:
        return
    seen.add(group)
    if group:
        hosts = (group,) if group in session.scope.hosts else ()
        record_looked_at(session.context, session.book.command, hosts, session.share.split.services_of((group,)))
    elif session.book.command == FIRST:
        session.context.fleet.gather(session.scope.hosts)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the connections, and seal the folder once pytest-html has written its page too."""
    if STACK in config.stash:
        config.stash[STACK].close()
    if SESSION in config.stash and config.stash[SESSION].options.shard is None and not is_worker(config):
        _seal(config.stash[SESSION], config.stash[SIGNER])


def _seal(session: Session, signer: KeySigner | None) -> None:
    """Put the appendix into the folder and seal it; a run without evidence (no room, killed) has nothing to seal."""
    folder = session.book.folder
    move_appendix(folder / PRIVATE / APPENDIX, folder / APPENDIX, session.context.redactor)
    if not (folder / RECORDS).exists():
        return
    try:
        seal(folder, signer)
    except LongshoreError as error:
        again = session.scope.command("report", folder.name, "--sign-key", "FILE")
        session.book.report(say("not signed: {error}\nTo sign it later: {command}", error=error, command=again))


def _phase(config: pytest.Config) -> str:
    return Path(str(config.args[0]).partition("::")[0]).name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each step its subjects: the hosts, or the plan's moves in order."""
    scope = metafunc.config.stash[SESSION].scope
    if "machine" in metafunc.fixturenames:
        metafunc.parametrize("machine", _machines(metafunc.definition, scope))
    if "move" in metafunc.fixturenames:
        marks = [
            pytest.param(move.service, marks=[pytest.mark.service(move.service), pytest.mark.wave(move.wave)])
            for move in scope.moves
        ]
        metafunc.parametrize("move", marks, indirect=True)


def _machines(item: pytest.Item, scope: Scope) -> tuple[str, ...]:
    """Return the hosts that a step is about: those of the plan, all of the inventory, or only those that services go to
    or leave.
    """
    if item.get_closest_marker("every_host"):
        return scanned_hosts(scope)
    if item.get_closest_marker("source_hosts"):
        return tuple(dict.fromkeys(move.source for move in scope.moves))
    return targets_of(scope) if item.get_closest_marker("target_hosts") else scope.hosts


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out steps that do not apply to a service; the page says so."""
    session = config.stash[SESSION]
    session.context.redactor.publish(*(marker.args[0] for item in items if (marker := item.get_closest_marker("step"))))
    reasons: dict[str, dict[str, str]] = {}
    for item in list(items):
        reason = _does_not_apply(session, item, reasons)
        if reason is not None:
            items.remove(item)
        if reason is not None and not is_worker(config) and session.share.is_mine(group_of(item, session.share)):
            marker = item.get_closest_marker("step")
            key = str(marker.args[0]) if marker else ""
            session.context.run.record(RecordKind.STEP_SKIPPED, body={**recorded(reason), "step": key})


def _does_not_apply(session: Session, item: pytest.Item, reasons: dict[str, dict[str, str]]) -> str | None:
    """Return why a step is left out, None when it is not; `reasons` keeps what was asked about each service."""
    service = getattr(getattr(item, "callspec", None), "params", {}).get("move")
    marker = item.get_closest_marker("step")
    if service is None or marker is None:
        return None
    if service not in reasons:
        reasons[service] = session.only_for_some(service)
    if marker.args[0] not in reasons[service]:
        return None
    reason = reasons[service][marker.args[0]]
    return f"{service}: {marker.args[0]} ({reason})" if reason else ""


@pytest.fixture
def session(pytestconfig: pytest.Config) -> Session:
    """Return this run."""
    return pytestconfig.stash[SESSION]


@pytest.fixture
def context(session: Session) -> RunContext:
    """Return the hosts, services and journal of this run."""
    return session.context


@pytest.fixture
def manual(request: pytest.FixtureRequest, session: Session) -> Callable[..., Judgement]:
    """Return the question whether a person attested exactly this step, of a service if it is given one."""
    step = f"{session.book.command}/{request.node.get_closest_marker('step').args[0]}"

    def judged(service: str | None = None) -> Judgement:
        one = asked(step, service)
        since = since_when(one, session.context.journal, (move.service for move in session.scope.moves))
        return judge_manual(session.scope, session.context.run, session.book.folder, one, since)

    return judged


@pytest.fixture
def gates(session: Session) -> Gates:
    """Return the gates of this run."""
    return session.gates


@pytest.fixture
def move(request: pytest.FixtureRequest, session: Session) -> RunningMove:
    """Return the move that this step is about; a validation asks nothing about a service that was not moved."""
    if BY_NAME[session.book.command].moved_only:
        refuse_unmoved(session.context.journal, request.param)
    return session.moves[request.param]


@pytest.fixture
def service_move(move: RunningMove, session: Session) -> ServiceMove:
    """Return what is known of the move that this step is about: its service, product, hosts and facts."""
    return session.moves.move_of(move.service)


@pytest.fixture
def facts(machine: str, context: RunContext) -> HostFacts:
    """Return the facts of the host that this step is about."""
    return context.facts(machine)


@pytest.fixture(scope="session")
def port_scan(pytestconfig: pytest.Config) -> PortScan:
    """Scan the ports of all hosts once, and write the tables into the evidence."""
    context = pytestconfig.stash[SESSION].context
    scan = scan_ports(context.scope, context.fleet, context.where())
    for host in scan.hosts.values():
        for container in host.facts.containers if host.facts else ():
            context.register(container)
    for table in tables_of(scan.report):
        context.run.record(RecordKind.REPORT_TABLE, body=table.body())
    return scan


@pytest.fixture(scope="session")
def ahead(request: pytest.FixtureRequest) -> Iterator[Prefetch]:
    """Ask about the services that rows ask for side by side, from the first row on: they take longest."""
    session, share = request.config.stash[SESSION], request.config.stash[SESSION].share
    found = Prefetch(session.moves.move_of, lambda service: share.split.services_of((share.group_of(service, None),)))
    if not is_worker(request.config):  # a worker does not know yet which of them it will be asked for
        asking = [item for item in request.session.items if "ahead" in getattr(item, "fixturenames", ())]
        params = [getattr(getattr(item, "callspec", None), "params", {}) for item in asking]
        found.ask(str(given["move"]) for given in params if "move" in given)
    yield found
    found.end()


def _with_table(context: RunContext, found: Found) -> Found:
    """Write the table of what was found once for the whole run into the evidence."""
    context.run.record(RecordKind.REPORT_TABLE, body=found.table().body())
    return found


@pytest.fixture(scope="session")
def capacity(pytestconfig: pytest.Config) -> Capacity:
    """Read the samples of the targets once, and write the table into the evidence."""
    session = pytestconfig.stash[SESSION]
    return _with_table(session.context, read_capacity(session.context, session.share.hosts))


@pytest.fixture(scope="session")
def references(pytestconfig: pytest.Config) -> DependencyGraph:
    """Find who depends on whom once, and write the table into the evidence."""
    context = pytestconfig.stash[SESSION].context
    found = _with_table(context, find_references(context))
    if found.edges:
        context.run.record(RecordKind.REPORT_GRAPH, body=found.graph(context.where()).body())
    return found


@pytest.fixture(scope="session")
def network(pytestconfig: pytest.Config) -> Matrix:
    """Try every port that hosts need of each other once, and write the requirements into the evidence."""
    session = pytestconfig.stash[SESSION]
    return _with_table(session.context, look_at_network(session.context, session.share.hosts))


@pytest.fixture(scope="session")
def backups(pytestconfig: pytest.Config) -> None:
    """Write the table of all backups into the evidence."""
    session = pytestconfig.stash[SESSION]
    context, share = session.context, session.share
    context.run.record(
        RecordKind.REPORT_TABLE, body=backup_table(context, datetime.now(UTC), share.hosts, share.services).body()
    )
