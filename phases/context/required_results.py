"""Which rows a phase must leave behind, read from the runbooks of this version: a row that is not there was not looked
at.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from engine.config.scope import PlannedMove, Scope
from engine.errors import NotObservedError
from engine.finding import joined, say
from engine.journal.kinds import RecordKind
from engine.journal.record import Record
from engine.project import project_folder
from hosts.local.git import ROOT
from phases.context.own_checks import own_checks

RUNBOOKS: Final = ROOT / "runbooks"
SERVICE: Final = "move"
HOST: Final = "machine"
"""The fixtures that make a step one of each service, or of each host."""

LISTED: Final = 6


@dataclass(frozen=True)
class Step:
    """One step of a runbook: its key, and whether it is about each service, each host (of some kind), or
    all together.
    """

    key: str
    about: str  # service | host | all
    marks: frozenset[str] = frozenset()

    def hosts(self, move: PlannedMove, others: Sequence[str]) -> tuple[str, ...]:
        """Return the hosts of a move that the step is about; `others` are those of the run that belong to no move."""
        if "source_hosts" in self.marks:
            return (move.source,)
        return (
            (move.target,)
            if "target_hosts" in self.marks
            else tuple(dict.fromkeys((move.source, move.target, *others)))
        )


@cache
def steps_of(phase: str, runbooks: Path = RUNBOOKS) -> tuple[Step, ...]:
    """Return the steps of a phase's runbooks; raises CouldNotLookError when they can't be read."""
    try:
        trees = [
            ast.parse(path.read_text(encoding="utf-8"))
            for path in (runbooks / "conftest.py", *sorted((runbooks / phase).glob("*.py")))
            if path.is_file()
        ]
    except (OSError, SyntaxError) as error:
        raise NotObservedError(
            say(
                "{runbooks}: the runbooks can't be read: {error}. Expected: those of this version. Look: git status",
                runbooks=runbooks / phase,
                error=error,
            )
        ) from error
    functions = [(tree, node) for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]
    fixtures = {
        node.name: _arguments(node)
        for _, node in functions
        if any(name == "fixture" for name, _ in _marks(node.decorator_list))
    }
    return tuple(_step(tree, node, fixtures) for tree, node in functions if _key(node))


def own_steps(own: Path, phase: str, service: str | None = None) -> tuple[Step, ...]:
    """Return the own checks of a phase, or those that can be about a service; those with parameters of their own have
    keys that only a run knows.
    """
    return tuple(
        Step(one.key, one.about, one.marks)
        for one in own_checks(own, phase)
        if not one.varies and (service is None or not one.only or service in one.only)
    )


def _step(tree: ast.Module, node: ast.FunctionDef, fixtures: Mapping[str, tuple[str, ...]]) -> Step:
    marks = dict((*_module_marks(tree), *_marks(node.decorator_list)))
    asked = (*_arguments(node), *(str(value) for value in marks.get("usefixtures", ())))
    needed = _closure(asked, fixtures)
    about = "service" if SERVICE in needed else "host" if HOST in needed else "all"
    return Step(_key(node), about, frozenset(marks))


def _key(node: ast.FunctionDef) -> str:
    return next((str(values[0]) for name, values in _marks(node.decorator_list) if name == "step" and values), "")


def _module_marks(tree: ast.Module) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
        ):
            yield from _marks(node.value.elts if isinstance(node.value, ast.List) else [node.value])


def _marks(nodes: Iterable[ast.expr]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the name and the plain arguments of each `pytest.mark.NAME(…)` or `pytest.fixture`."""
    for node in nodes:
        called, values = (node.func, node.args) if isinstance(node, ast.Call) else (node, [])
        if isinstance(called, ast.Attribute):
            yield called.attr, tuple(value.value for value in values if isinstance(value, ast.Constant))


def _arguments(node: ast.FunctionDef) -> tuple[str, ...]:
    return tuple(argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs))


def _closure(names: Iterable[str], fixtures: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Return these fixtures and all that they need."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += fixtures.get(name, ())
    return found


def keys_of(phase: str) -> list[str]:
    """Return the keys of a phase's steps, sorted: what a run of this version should have looked at."""
    return sorted({step.key for step in steps_of(phase)})


def missing_rows(phase: str, service: str, scope: Scope, records: Sequence[Record]) -> list[str]:
    """Return which rows of a service, of its hosts and of all together a run of a phase should have and has not."""
    move = next(move for move in scope.plan.moves if move.service == service)
    backup = scope.environment.backup
    rows = {
        (row.key, row.service, None if row.service else row.body.get("host"))
        for row in records
        if row.kind == RecordKind.RESULT and row.body.get("phase") == phase
    }
    left_out = [str(record.body.get("text", "")) for record in records if record.kind == RecordKind.STEP_SKIPPED]
    missing = []
    own = project_folder() / scope.environment.own_checks
    for step in (*steps_of(phase), *own_steps(own, phase, service)):
        if step.about == "service":
            there = (step.key, service, None) in rows or any(
                text.startswith(f"{service}: {step.key} (") for text in left_out
            )
            missing += [] if there else [step.key]
        elif step.about == "host":
            hosts = step.hosts(move, (backup.host,) if backup else ())
            missing += [
                say("{key} of {host}", key=step.key, host=host) for host in hosts if (step.key, None, host) not in rows
            ]
        elif (step.key, None, None) not in rows:
            missing.append(step.key)
    return missing


def first_missing(missing: Sequence[str]) -> str:
    """Return the first of what is missing, and how many more there are."""
    more = say(" and {count} more", count=len(missing) - LISTED) if len(missing) > LISTED else ""
    return joined(", ", missing[:LISTED]) + more
