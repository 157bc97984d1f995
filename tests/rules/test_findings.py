"""What reaches people through a judgement or an error is a finding: its template can be shown in any language."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = ("engine", "hosts", "services", "checks", "actions", "phases", "commands", "runbooks")
JUDGEMENTS: Final = frozenset({"passed", "failed", "unknown", "waiting"})
ERRORS: Final = re.compile(
    r"(?!Undefined|UnsupportedAlgorithm|Validation|Value|Type|Lookup|Assertion|Usage|Runtime|Attribute|OS)[A-Z]\w+Error$"
)
WORD: Final = re.compile(r"[^\W\d_]{2,}")
COMMAND: Final = re.compile(r"\S*\.\w+$|\s*(ssh|nox|docker|sudo|git|curl|df|ls|cat) |[-/]|[\w.-]+=")
EXCEPTIONS: Final = frozenset(
    {
        "engine/evidence/seal",  # what verify prints about files that others wrote
        "engine/journal/migrations",
        "engine/finding.py",
        "commands/catalogue.py",  # for those who work on the tool
        "commands/schema.py",
    }
)


def findings_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of what is given to a judgement or an error as words without a template."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        for call in ast.walk(function):
            for text in _texts_given(call):
                yield from _words(text, function, set())


def _texts_given(node: ast.AST) -> Iterator[ast.expr]:
    if not isinstance(node, ast.Call):
        return
    name = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
    if name in JUDGEMENTS and isinstance(node.func, ast.Name):
        yield from node.args[:2]
    elif name == "Judgement":
        yield from (*node.args[1:2], *node.args[3:4])
        yield from (word.value for word in node.keywords if word.arg in {"text", "details"})
    elif ERRORS.match(name) and name != "UnsupportedSyntaxError":
        yield from node.args[:1]
    elif name == "UnsupportedSyntaxError":
        yield from node.args[2:3]


def _words(node: ast.expr, function: ast.FunctionDef, seen: set[str]) -> Iterator[tuple[int, str]]:
    """Yield the words that an expression puts into a text by itself; what other functions return is theirs."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if WORD.search(node.value) and not COMMAND.match(node.value) and not node.value.isupper():
            yield node.lineno, node.value
    elif isinstance(node, ast.JoinedStr):
        literal = "".join(part.value for part in node.values if isinstance(part, ast.Constant))
        if WORD.search(literal) and not COMMAND.match(literal):
            yield node.lineno, literal
    elif isinstance(node, ast.Name) and node.id not in seen:
        for value in _values_of(node.id, function):
            yield from _words(value, function, seen | {node.id})
    elif isinstance(node, ast.Call):
        name = getattr(node.func, "id", "")
        for value in [word.value for word in node.keywords] if name == "say" else node.args if name == "joined" else ():
            yield from _words(value, function, seen)
    else:
        for child in _parts_of(node):
            yield from _words(child, function, seen)


def _parts_of(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)
    elif isinstance(node, ast.BoolOp):
        yield from node.values
    elif isinstance(node, ast.BinOp):
        yield from (node.left, node.right)
    elif isinstance(node, ast.List | ast.Tuple):
        yield from node.elts
    elif isinstance(node, ast.ListComp | ast.GeneratorExp):
        yield node.elt
    elif isinstance(node, ast.Starred | ast.NamedExpr):
        yield node.value


def _values_of(name: str, function: ast.FunctionDef) -> Iterator[ast.expr]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == name for one in node.targets):
            yield node.value
        elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            yield from [node.value] * (isinstance(node.target, ast.Name) and node.target.id == name)


def test_every_text_of_a_judgement_or_an_error_is_a_finding() -> None:
    """In the call itself, and in what a variable of the same function holds; helpers give findings too."""
    files = [
        file
        for room in ROOMS
        for file in sorted((ROOT / room).rglob("*.py"))
        if not any(str(file.relative_to(ROOT)).startswith(one) for one in EXCEPTIONS) and "_program" not in file.name
    ]
    found = [
        f"{file.relative_to(ROOT)}:{line}: {text[:60]}"
        for file in files
        for line, text in findings_of(file.read_text(encoding="utf-8"))
    ]

    assert len(files) > 100
    assert sorted(set(found)) == []


def test_the_rule_finds_words_without_a_template() -> None:
    """As an argument, in a condition, in a variable, in what a finding holds, in an error."""
    source = """
def judge(x):
    detail = "some words" if x else f"no {x}"
    detail += "; and more"
    seen = [f"{one} is wrong" for one in x]
    if x:
        return failed(f"{x} is wrong", ("more words",))
    if detail:
        raise RefusedError("nothing to do")
    return passed(say("{x}: {detail}, {seen}", x=x or "nobody", detail=detail, seen=joined(", ", seen)))
"""
    assert sorted(text for _, text in findings_of(source)) == sorted(
        ["some words", "no ", "; and more", " is wrong", " is wrong", "more words", "nothing to do", "nobody"]
    )
    assert (
        list(findings_of('def judge(x):\n    return passed(say("{x} is fine: {look}", x=x, look=f"ssh {x} df"))\n'))
        == []
    )


def test_names_and_fields_of_each_finding_are_the_same() -> None:
    """A field that a template lacks would be lost, and one that is not given would break the sentence."""
    wrong = []
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            source = file.read_text(encoding="utf-8")
            if "from engine.finding import" not in source:
                continue
            for call in ast.walk(ast.parse(source)):
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "say" and call.args:
                    template = call.args[0]
                    if isinstance(template, ast.Constant) and all(word.arg for word in call.keywords):
                        holes = set(re.findall(r"(?<!\{)(?:\{\{)*\{(\w+)(?::[^}]*)?\}", str(template.value)))
                        if holes != {word.arg for word in call.keywords}:
                            wrong.append(f"{file.relative_to(ROOT)}:{call.lineno}")

    assert wrong == []
