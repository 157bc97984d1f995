"""The pytest side of own checks: their fixtures `host` and `service`, the hosts and services they run for, and their
declaration.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from testinfra.host import Host as TestinfraHost

from engine.config.inventory import ServiceEntry
from engine.contracts.phase import PHASES
from engine.finding import say
from engine.run.plugin import OWN, Endings
from engine.saga.outcomes import judgement_of_error
from engine.verdict import Effect, Judgement, Verdict, passed, unknown
from hosts.testinfra_backend import open_testinfra
from phases.context.own_checks import GUIDE, HOST, SERVICE, key_of
from phases.context.run_context import RunContext

ASKED: Final = pytest.StashKey[list[TestinfraHost]]()
SHOWN_LINES: Final = 20
DECLARED: Final = (*PHASES, *(effect.value for effect in Effect), "step")
"""Marks that an own check is given: where its file lies says its phase, it only reads, its name is its key."""


@dataclass(frozen=True)
class Service:
    """The service that a check is about, with the host where it is now."""

    name: str
    host: str
    entry: ServiceEntry

    @property
    def container(self) -> str:
        """Return its container's name."""
        return self.entry.container


class OwnChecks:
    """Gives the tests of a project's folder what the runbooks' steps declare by hand."""

    def __init__(self, folder: Path, phase: str, context: RunContext) -> None:
        """Take the folder of one phase's own checks."""
        self.folder, self.phase, self.context = folder.resolve(), phase, context
        self.unreadable: list[str] = []

    def _is_own(self, path: Path | None) -> bool:
        return path is not None and path.is_relative_to(self.folder)

    @pytest.fixture
    def machine(self, request: pytest.FixtureRequest) -> str:
        """Return the host that a check about a service asks: the one where the service is now."""
        return self.context.where()[request.getfixturevalue("move")]

    @pytest.fixture
    def host(self, machine: str, request: pytest.FixtureRequest) -> TestinfraHost:
        """Return the host that this check is about, over the run's own connection."""
        found = open_testinfra(self.context.fleet[machine])
        request.node.stash.setdefault(ASKED, []).append(found)
        return found

    @pytest.fixture
    def service(self, move: str) -> Service:
        """Return the service that this check is about."""
        return Service(move, self.context.where()[move], self.context.entry(move))

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a check once for each service or each host of the run."""
        if not self._is_own(metafunc.definition.path):
            return
        if SERVICE in metafunc.fixturenames:
            marks = [
                pytest.param(move.service, marks=[pytest.mark.service(move.service), pytest.mark.wave(move.wave)])
                for move in self.context.scope.moves
            ]
            metafunc.parametrize("move", marks)
        elif HOST in metafunc.fixturenames:
            metafunc.parametrize("machine", self._machines(metafunc.definition))

    def _machines(self, item: pytest.Item) -> tuple[str, ...]:
        moves = self.context.scope.moves
        if item.get_closest_marker("source_hosts"):
            return tuple(dict.fromkeys(move.source for move in moves))
        if item.get_closest_marker("target_hosts"):
            return tuple(dict.fromkeys(move.target for move in moves))
        return self.context.scope.hosts

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep why a file can't be imported."""
        if report.failed:
            self.unreadable.append(_last_line(str(report.longrepr)))

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Declare the checks; raises UsageError with all that is wrong with them: nothing is asked then."""
        items[:] = [item for item in items if not self._is_own(item.path) or self._is_asked(item)]
        own = [item for item in items if self._is_own(item.path)]
        problems = [
            *self.unreadable,
            *(problem for item in own for problem in _problems(item)),
            *self._unknown_services(own),
        ]
        for item in own if not problems else ():
            self._declare(item)
        rows = [(item.get_closest_marker("step"), _about(item)) for item in own] if not problems else []
        keys = [(mark.args[0], about) for mark, about in rows if mark]
        problems += [
            (f"{key}: two checks have this key for {about[0] or about[1] or 'all'}. Expected: names of their own")
            for key, about in sorted({one for one in keys if keys.count(one) > 1}, key=str)
        ]
        if problems:
            raise pytest.UsageError("\n".join([*dict.fromkeys(problems), GUIDE]))

    def _is_asked(self, item: pytest.Item) -> bool:
        """Return whether a check is for its service; one that names only services that do not exist stays, to be
        refused.
        """
        only = _only(item) & set(self.context.scope.services)
        return not only or _about(item)[0] in only

    def _unknown_services(self, own: list[pytest.Item]) -> Iterator[str]:
        known = self.context.scope.services
        for item in own:
            for name in sorted(_only(item) - set(known)):
                where = f'{item.nodeid.partition("[")[0]}: services("{name}")'
                yield f"{where}: no such service here. Expected: {', '.join(sorted(known))}"

    def _declare(self, item: pytest.Item) -> None:
        params = getattr(getattr(item, "callspec", None), "params", {})
        key = key_of(
            str(getattr(item, "originalname", item.name)),
            *(value for name, value in params.items() if name not in {"move", "machine"}),
        )
        for mark in (getattr(pytest.mark, self.phase), pytest.mark.read_only, pytest.mark.step(key)):
            item.add_marker(mark)
        if item.get_closest_marker("warning"):
            item.add_marker(pytest.mark.severity("warning"))
        item.stash[OWN] = _ending(item)


def _only(item: pytest.Item) -> set[str]:
    return {str(name) for mark in item.iter_markers("services") for name in mark.args}


def _about(item: pytest.Item) -> tuple[str | None, str | None]:
    params = getattr(getattr(item, "callspec", None), "params", {})
    return params.get("move"), params.get("machine")


def _ending(item: pytest.Item) -> Endings:
    return lambda call: judge_own(call.excinfo.value if call.excinfo else None, item.stash.get(ASKED, []))


def judge_own(error: BaseException | None, asked: list[TestinfraHost]) -> Judgement:
    """Return the judgement of an own check by how it ended; one that asked no host has measured nothing."""
    commands = sum(host.backend.commands for host in asked)
    where = ", ".join(dict.fromkeys(host.backend.hostname for host in asked))
    if error is None:
        if not commands:
            return unknown(
                say(
                    "this check asked no host anything, so it measured nothing. Expected: a test that uses the "
                    "fixture host"
                )
            )
        return passed(
            say("holds on {where}: {commands} commands asked", where=where, commands=commands), commands=commands
        )
    if isinstance(error, pytest.skip.Exception):
        return unknown(say("skipped: {msg}. Expected: a check that looks", msg=error.msg))
    ended = judgement_of_error(error)
    first, *rest = ended.text.removeprefix("the tool itself failed").strip().splitlines() or [type(error).__name__]
    own_fault = ended.text.startswith("the tool itself failed")
    text = (
        say("the check itself failed {first}", first=first)
        if own_fault
        else f"{where}: {first}"
        if where and ended.verdict is Verdict.FAILED
        else first
    )
    return Judgement(ended.verdict, text, {"commands": commands}, tuple(rest[:SHOWN_LINES]))


def _problems(item: pytest.Item) -> Iterator[str]:
    name = item.nodeid.partition("[")[0]
    if not (getattr(getattr(item, "function", None), "__doc__", None) or "").strip():
        yield f"{name}: no docstring. Expected: one; its first line is the check's sentence in the evidence"
    by_hand = [mark for mark in DECLARED if item.get_closest_marker(mark)]
    if by_hand:
        yield (
            f"{name}: marked {', '.join(by_hand)}. Expected: none of these; an own check only reads, in the phase "
            "of its folder, under its name"
        )
    info: Any = getattr(item, "_fixtureinfo", None)
    known = getattr(info, "name2fixturedefs", {})
    missing = [one for one in getattr(item, "fixturenames", ()) if one not in known and one != "request"]
    if missing:
        yield (
            f"{name}: no fixture {', '.join(missing)}. Expected: host, service, judge, pytest's own, or those of "
            "your conftest.py"
        )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    wrong = [line for line in lines if line.startswith("E ")]
    where = next((line for line in lines if ".py:" in line or '.py"' in line), lines[0] if lines else "?")
    return f"{where}: {(wrong or lines or ['?'])[-1].removeprefix('E').strip()}. Expected: a file that can be imported"
