"""A project's own checks: which files hold them, under which keys they are recorded, and what is wrong with them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.contracts.phase import PHASES, WRITING_PHASES
from engine.errors import InputError
from engine.finding import joined, say
from engine.i18n.language import term
from engine.project import CHECKOUT
from engine.report_sections import Table
from hosts.local.git import read_own_digests

PREFIX: Final = "site-"
"""How the key of an own check begins: none of ours begins so."""

READING: Final = tuple(phase for phase in PHASES if phase not in WRITING_PHASES)
CONFTEST: Final = "conftest.py"
TEST_FILE: Final = re.compile(r"test_.*\.py|.*_test\.py")
SERVICE: Final = "service"
HOST: Final = "host"
GUIDE: Final = say("See docs/own-checks.md")


@dataclass(frozen=True)
class OwnCheck:
    """One test function: its key, and whether it is about each service, each host or all together; `varies`:
    parametrized further.
    """

    key: str
    about: str  # service | host | all
    marks: frozenset[str]
    varies: bool
    only: frozenset[str] = frozenset()
    """The services that it is for; all without any."""


def key_of(name: str, *values: object) -> str:
    """Return the key of a check by its function's name, and by the values of its own parameters."""
    return PREFIX + "-".join(
        filter(None, (_plain(name.removeprefix("test_")), *(_plain(str(value)) for value in values)))
    )


def _plain(text: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))


def check_files(own: Path, phase: str) -> tuple[Path, ...]:
    """Return the files with a phase's own checks."""
    return tuple(sorted(path for path in (own / phase).rglob("*.py") if TEST_FILE.fullmatch(path.name)))


def refuse_wrong(own: Path, project: Path) -> None:
    """Raise InputError with everything that is wrong with the folder of own checks, of all phases."""
    problems = list(_problems(own, project)) if own.exists() else []
    if problems:
        raise InputError("\n".join([*problems, GUIDE]))


def _problems(own: Path, project: Path) -> Iterator[str]:
    if not own.is_dir():
        yield say(
            "{own}: is no folder. Expected: a folder with {reading}",
            own=own,
            reading=", ".join(f"{phase}/" for phase in READING),
        )
        return
    for above in sorted({project, *project.resolve().parents, *own.resolve().parents} - {CHECKOUT, *CHECKOUT.parents}):
        if (above / CONFTEST).is_file():
            yield say(
                "{above}: pytest loads it into every phase, and no approval covers it. Expected: in {own}/. Try: mv "
                "{conftest} {own}/",
                above=above / CONFTEST,
                own=own,
                conftest=CONFTEST,
            )
    for path in sorted(own.iterdir()):
        if path.is_dir() and path.name not in READING and path.name != "__pycache__" and not path.name.startswith("."):
            yield _wrong_folder(path)
        if path.suffix == ".py" and path.name != CONFTEST:
            yield say(
                "{path}: belongs to no phase, so it never runs. Expected: in {reading}",
                path=path,
                reading=joined(say(" or "), (f"{own}/{phase}/" for phase in READING)),
            )
    for phase in READING:
        seen: dict[str, str] = {}
        for path in sorted((own / phase).rglob("*.py")):
            if path.name != CONFTEST and not TEST_FILE.fullmatch(path.name):
                yield say(
                    "{path}: pytest does not collect it. Expected: test_*.py for checks, {conftest} for fixtures",
                    path=path,
                    conftest=CONFTEST,
                )
            else:
                yield from _file_problems(path, seen)


def _wrong_folder(path: Path) -> str:
    if path.name in WRITING_PHASES:
        advice = say(
            "Own checks only read, so they run in {reading}; a failed one in preflight closes the gate of migrate",
            reading=joined(say(" and "), READING),
        )
        return say(
            "{path}: {name} changes hosts. {advice}. Try: mv {path} {with_name}",
            path=path,
            name=path.name,
            advice=advice,
            with_name=path.with_name("preflight"),
        )
    return say("{path}: is no phase. Expected: {reading}", path=path, reading=joined(say(" or "), READING))


def _file_problems(path: Path, seen: dict[str, str]) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        yield say(
            "{path}:{lineno}: {msg}. Expected: Python. Try: python -m py_compile {path}",
            path=path,
            lineno=error.lineno,
            msg=error.msg,
        )
        return
    except (OSError, ValueError) as error:
        yield say("{path}: can't be read: {error}. Expected: Python in UTF-8", path=path, error=error)
        return
    for node in _tests(tree) if path.name != CONFTEST else ():
        where, key = f"{path}:{node.lineno}: {node.name}", key_of(node.name)
        if not (ast.get_docstring(node) or "").strip():
            yield say(
                "{where}: no docstring. Expected: one; its first line is the check's sentence in the evidence",
                where=where,
            )
        if isinstance(node, ast.AsyncFunctionDef):
            yield say(
                "{where}: is async, so pytest does not run it. Expected: def {name}(…)", where=where, name=node.name
            )
        if key in seen:
            yield say(
                "{where}: has the key {key}, as {seen}. Expected: a name of its own",
                where=where,
                key=key,
                seen=seen[key],
            )
        seen.setdefault(key, f"{path}:{node.lineno}")


def _tests(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in tree.body:
        inner = node.body if isinstance(node, ast.ClassDef) and node.name.startswith("Test") else [node]
        yield from (
            one
            for one in inner
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name.startswith("test")
        )


def own_checks(own: Path, phase: str) -> tuple[OwnCheck, ...]:
    """Return a phase's own checks; raises InputError for a file that is no Python."""
    found: list[OwnCheck] = []
    for path in check_files(own, phase):
        problems = list(_file_problems(path, {}))
        if problems:
            raise InputError("\n".join([*problems, GUIDE]))
        tree = ast.parse(path.read_text(encoding="utf-8"))
        shared = _module_marks(tree)
        found += [_check(node, shared) for node in _tests(tree)]
    return tuple(found)


def _check(node: ast.FunctionDef | ast.AsyncFunctionDef, shared: frozenset[str]) -> OwnCheck:
    names = {argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
    marks = shared | {mark for one in node.decorator_list if (mark := _mark(one))}
    about = "service" if SERVICE in names else "host" if HOST in names else "all"
    only = frozenset(name for one in node.decorator_list if _mark(one) == "services" for name in _words(one))
    return OwnCheck(key_of(node.name), about, marks, "parametrize" in marks, only)


def _module_marks(tree: ast.Module) -> frozenset[str]:
    values = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and any(getattr(one, "id", "") == "pytestmark" for one in node.targets)
    ]
    marks = [one for value in values for one in (value.elts if isinstance(value, ast.List | ast.Tuple) else [value])]
    return frozenset(mark for one in marks if (mark := _mark(one)))


def _words(node: ast.expr) -> Iterator[str]:
    yield from (str(one.value) for one in getattr(node, "args", ()) if isinstance(one, ast.Constant))


def _mark(node: ast.expr) -> str:
    called = node.func if isinstance(node, ast.Call) else node
    return called.attr if isinstance(called, ast.Attribute) else ""


def table_of(own: Path) -> Table | None:
    """Return the files of own checks with their SHA-256, None when there are none."""
    digests = read_own_digests(own)
    return Table(term("Own checks"), ("file", "SHA-256"), tuple(digests.items())) if digests else None
