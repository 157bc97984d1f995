"""The real parser of a command accepts every call of it that a message or a page asks people to type, with its
environment.

Messages of the code are read as syntax: a string that holds `nox -s …` is typed as it stands, with the values that are
put in replaced by samples; a call of `typed_command`, or of a `command` method of a scope or a route, is made with
samples and the result typed.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import commands.phase
from commands import command_names
from engine.command_line import ANY, typed_command
from engine.contracts.phase import BY_NAME
from engine.errors import InputError
from engine.saga.state import FORWARD, PREPARING, REPOINTING, UNDOING, UNDOING_REFERENCES, MoveState, backward
from phases.gates.dead_target import FLAG

ROOT: Final = Path(__file__).parents[3]
ROOMS: Final = ("actions", "checks", "commands", "engine", "hosts", "phases", "runbooks", "services")
PAGES: Final = sorted(
    [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "docs").rglob("*.yml"),
        *(ROOT / "docs").rglob("*.service"),
    ]
)
TYPED: Final = re.compile(
    r"(?:nox -s|python -m commands|\./longshore) ([a-z_]+)(?: -- | )?((?:-|[a-zA-Z0-9_./{<\"'$…])[^`;\n|#,()]*)?"
)
TEMPLATES: Final = frozenset({"engine/saga/state.py"})
"""Their commands are typed by a test of their own: flags are put in later."""

NUMBERS: Final = {"SECONDS": "1"}
PROSE: Final = frozenset({"-", "--"})
NO_ENVIRONMENT: Final = frozenset({"verify", "schema", "catalogue", "bench", "demo", "lab", "init"})
DEVELOPERS: Final = frozenset(
    {"lint", "types", "tests", "page_tests", "lab_tests", "lab_full", "chaos", "simulate", "lock_dependencies"}
)
WORKERS: Final = re.compile(r" -n \d+")
"""pytest's own flag, which a reading phase takes too."""

BUILDERS: Final = frozenset({"typed_command", "command"})
VALUES: Final = {"where": "--lab", "_where": "--lab", "self.where": "--lab", "FLAG": FLAG}
SAMPLES: Final = {"--role": "technical", "--as": "tess@example.org"}


class ParsedError(Exception):
    """The parser took the words; carries what it made of them."""

    def __init__(self, found: argparse.Namespace) -> None:
        """Keep it."""
        super().__init__("parsed")
        self.found = found


def refused(name: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Return why a command does not take these words, "" when it does; nothing is run."""
    if name in DEVELOPERS:
        return ""
    if name not in command_names():
        return f"{name}: no such command"
    try:
        found = _parsed(name, words, monkeypatch)
    except (InputError, SystemExit) as error:
        return f"{name} {' '.join(words)}: {error}"
    if (
        name not in NO_ENVIRONMENT
        and not getattr(found, "paths", None)
        and not getattr(found, "environment", None)
        and not getattr(found, "lab", False)
    ):
        local = name == "bundle" and "/" in str(found.run)
        return "" if local else f"{name} {' '.join(words)}: no environment"
    return ""


def _parsed(name: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    if name in BY_NAME:
        phase = BY_NAME[name]
        commands.phase.refuse_foreign_flags(phase, words)
        words = commands.phase.services_first(words) if phase.by_service else words
        if phase.needs_service and "--service" not in words:
            raise InputError("no service named")
        return commands.phase.parser_of(phase).parse_args(words)
    if name in {"demo", "bench", "schema", "catalogue"}:
        return argparse.Namespace()
    module = importlib.import_module("lab.__main__" if name == "lab" else f"commands.{name}")
    real = argparse.ArgumentParser.parse_args

    def parse(parser: argparse.ArgumentParser, *args: Any, **more: Any) -> argparse.Namespace:
        raise ParsedError(real(parser, *args, **more))

    with monkeypatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", parse)
        try:
            module.main(words)
        except ParsedError as parsed:
            return parsed.found
    raise InputError("not taken")


def typed(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command in a text with its words."""
    for match in TYPED.finditer(text):
        yield match[1], _words(match[2] or "")


def _words(text: str) -> list[str]:
    text = re.split(r"…|\. [A-Z]|\.$|: | and | && |\)| \(| >", text)[0].strip().rstrip(".:")
    try:
        words = shlex.split(text)
    except ValueError:  # a quoted value that continues in the next line
        words = shlex.split(text[: text.rindex(' "')].rpartition(" --")[0])
    return [NUMBERS.get(word, word) for word in words if word not in PROSE]


def strings(tree: ast.AST) -> Iterator[str]:
    """Yield every string of a module but docstrings; the values put into one are samples."""
    docs = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(_sample(part) for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | inside:
            yield node.value


def _sample(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    source = ast.unparse(node.value) if isinstance(node, ast.FormattedValue) else ast.unparse(node)
    return VALUES.get(source.partition("(")[0], "SAMPLE")


def built(tree: ast.AST) -> Iterator[str]:
    """Yield what each call that builds a command returns for samples of the values that are not written there."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and getattr(node.func, "id", getattr(node.func, "attr", "")) in BUILDERS
            and node.args
        ):
            for name in _names(node.args[0]):
                words = [_word(word) for word in node.args[1:] if not isinstance(word, ast.Starred)]
                words = [
                    SAMPLES.get(before, word) if word == "SAMPLE" else word
                    for before, word in zip(["", *words], words, strict=False)
                ]
                given = {keyword.arg: keyword.value for keyword in node.keywords}
                environment = None if _is_none(given.get("environment")) else "lab" if name != "pin" else ANY
                method = getattr(node.func, "attr", "") == "command"
                apply = "apply" in given or (
                    method and ast.unparse(node.func) in {"route.command", "self.route.command"}
                )
                service = "redis" if "service" in given or (method and apply and "apply" not in given) else ""
                yield typed_command(name, *words, environment=environment, service=service, apply=apply)


def _names(node: ast.expr) -> list[str]:
    if isinstance(node, ast.IfExp):
        return [*_names(node.body), *_names(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def _word(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else "SAMPLE"


def _is_none(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def modules() -> list[Path]:
    """Return the files whose messages people see."""
    return sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))


def test_every_command_in_a_message_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is pasted from a message starts: the command exists, takes the flags and has its environment."""
    wrong, count = [], 0
    for file in modules():
        name = str(file.relative_to(ROOT))
        tree = ast.parse(file.read_text(encoding="utf-8"))
        texts = [*built(tree), *(() if name in TEMPLATES else strings(tree))]
        found = [one for text in texts for one in typed(text) if "usage:" not in text]
        count += len(found)
        wrong += [f"{name}: {why}" for command, words in found if (why := refused(command, words, monkeypatch))]

    assert not wrong, "\n".join(wrong)
    assert count > 60


@pytest.mark.parametrize(
    "stages",
    [FORWARD, PREPARING, REPOINTING, UNDOING, UNDOING_REFERENCES, *(backward(was) for was in MoveState)],
    ids=lambda stages: stages.again,
)
def test_the_commands_after_a_failed_move_are_taken(stages: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry and way back, with the flags of the run."""
    for text in (
        stages.retry("redis", "--lab"),
        stages.go_back("redis", "--lab"),
        f"{stages.go_back('redis', '--lab')} {stages.admitting}",
    ):
        assert [refused(name, words, monkeypatch) for name, words in typed(text)] == [""]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Try: nox -s toolbox", "no such command"),
        ("Retry: nox -s migrate -- --service redis --apply", "no environment"),
        ("Back: nox -s rollback -- --lab --apply", "no service named"),
        ("Look: nox -s preflight -- --lab --apply", "not a flag of preflight"),
        ("Look: nox -s lock -- stats --lab", "2"),
        ("Sign again: nox -s approve -- --lab --rolle technical", "2"),
    ],
)
def test_a_command_that_cannot_run_is_found(text: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search itself: each kind of wrong advice is reported."""
    assert [why in refused(name, words, monkeypatch) for name, words in typed(text)] == [True]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_on_a_page_is_taken(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its flags; a page may name a command alone, and say elsewhere in which environment it is typed."""
    text = WORKERS.sub("", page.read_text(encoding="utf-8"))
    found = [(name, words) for name, words in typed(text) if words]
    wrong = [
        why
        for name, words in found
        if (why := refused(name, words, monkeypatch))
        and why not in {f"{name}: no environment", f"{name} {' '.join(words)}: no environment"}
    ]

    assert not wrong, "\n".join(wrong)


def test_a_message_in_code_is_read() -> None:
    """Joined strings and calls of the builders alike."""
    source = (
        'raise X(f"{a}: no. Try: nox -s lock -- status {where}")\nscope.command("rollback", service=name, apply=True)'
    )
    tree = ast.parse(source)

    assert [one for text in strings(tree) for one in typed(text)] == [("lock", ["status", "--lab"])]
    assert list(built(tree)) == ["nox -s rollback -- redis --lab --apply"]
