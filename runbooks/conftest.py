"""The composition root of the runbooks: flags, the run's session, and who each step is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from engine.errors import InputError, RefusedError
from engine.options import add_flags, read_options
from engine.plugin import BOOK
from engine.saga import RunningMove
from engine.verdict import ExitCode
from hosts.facts import HostFacts
from moves.serving import refuse_after_failure
from moves.session import Session, open_session
from moves.world import World

SESSION = pytest.StashKey[Session]()
STACK = pytest.StashKey[ExitStack]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare longshore's flags."""
    add_flags(parser.getgroup("longshore").addoption)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Open the run; wrong input and a refusing gate end it before anything is looked at."""
    command = _phase(config)
    stack = ExitStack()
    config.stash[STACK] = stack
    try:
        options = read_options(config.getoption, [str(argument) for argument in config.invocation_params.args])
        session = stack.enter_context(open_session(options, command))
    except InputError as error:
        pytest.exit(str(error), returncode=ExitCode.WRONG_INPUT)
    except RefusedError as error:
        pytest.exit(str(error), returncode=ExitCode.REFUSED)
    config.stash[SESSION] = session
    config.stash[BOOK] = session.book


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the connections."""
    if STACK in config.stash:
        config.stash[STACK].close()


def _phase(config: pytest.Config) -> str:
    return Path(str(config.args[0]).partition("::")[0]).name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each step its subjects: the hosts, or the plan's moves in order."""
    scope = metafunc.config.stash[SESSION].scope
    if "machine" in metafunc.fixturenames:
        metafunc.parametrize("machine", scope.hosts)
    if "move" in metafunc.fixturenames:
        marks = [
            pytest.param(move.service, marks=[pytest.mark.service(move.service), pytest.mark.wave(move.wave)])
            for move in scope.moves
        ]
        metafunc.parametrize("move", marks, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out steps that do not apply to a service; the page says so."""
    session = config.stash[SESSION]
    for item in list(items):
        reason = _does_not_apply(session, item)
        if reason:
            items.remove(item)
            session.world.run.record("not_applicable", body={"text": reason})


def _does_not_apply(session: Session, item: pytest.Item) -> str | None:
    service = getattr(getattr(item, "callspec", None), "params", {}).get("move")
    marker = item.get_closest_marker("step")
    if service is None or marker is None:
        return None
    key, recipe = marker.args[0], session.moves[service].recipe
    if recipe and key not in {action.key for action in recipe}:
        return f"{service}: {key} (not a step of its move)"
    if key == "dependants-work" and not session.scope.dependants_of(service):
        return f"{service}: {key} (no dependant in environment {session.scope.environment.environment})"
    return None


@pytest.fixture
def session(pytestconfig: pytest.Config) -> Session:
    """Return this run."""
    return pytestconfig.stash[SESSION]


@pytest.fixture
def world(session: Session) -> World:
    """Return the hosts, services and journal of this run."""
    return session.world


@pytest.fixture
def move(request: pytest.FixtureRequest, session: Session) -> Iterator[RunningMove]:
    """Return the move that this step is about, stopped when an earlier move's failure stops the line."""
    running = session.moves[request.param]
    reason = refuse_after_failure(session.moves, request.param, session.scope.plan.on_failure)
    if reason and running.stopped_because is None:
        running.stopped_because = reason
    yield running


@pytest.fixture
def facts(machine: str, world: World) -> HostFacts:
    """Return the facts of the host that this step is about."""
    return world.facts(machine)
