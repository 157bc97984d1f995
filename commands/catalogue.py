"""Update the translation catalogues with new texts: catalogue [--check]."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from engine.constants import NAME, VERSION
from engine.errors import InputError
from engine.finding import has_words
from engine.i18n.language import LANGUAGES, LOCALES, ORIGINAL, catalogue_file
from engine.i18n.marking import summary_of

ROOT: Final = Path(__file__).resolve().parent.parent
ROOMS: Final = ("engine", "hosts", "services", "checks", "actions", "phases", "commands", "runbooks")
KEYWORDS: Final = {"say": None, "term": None, "several": (1, 2), "terms": (1, 2)}
"""The functions whose first texts are for people: see engine/i18n/language.py."""

CALLED: Final = re.compile(rf"\b(?:{'|'.join(KEYWORDS)})\b")
"""A module without these names has no text for people: it need not be parsed."""

METHODS: Final = [("**.j2", "jinja2.ext:babel_extract")]
FINDINGS: Final = "engine.finding"
"""The module whose `say` makes findings: its template must be there, or no language but English has it."""
FORMS: Final = 2
"""One and many: what the languages so far need."""

Text = str | tuple[str, ...]


def texts_for_people() -> dict[Text, list[str]]:
    """Return every text that is translated and the files that it is in: of code, of templates, and the sentences of
    all steps.
    """
    found: dict[Text, list[str]] = {}
    unreadable = []
    for room in ROOMS:
        for file, _, text, _, _ in extract_from_dir(
            str(ROOT / room), METHODS, keywords=KEYWORDS, options_map={"**.j2": {"trimmed": "false"}}
        ):
            found.setdefault(text if isinstance(text, str) else tuple(text[:2]), []).append(f"{room}/{file}")
        for module in sorted((ROOT / room).rglob("*.py")):
            name, source = str(module.relative_to(ROOT)), module.read_text(encoding="utf-8")
            if not CALLED.search(source):
                continue
            tree = ast.parse(source)
            calls = list(_calls(tree))
            for code_text in _texts_in(calls):
                found.setdefault(code_text, []).append(name)
            unreadable += [f"  {name}:{line}" for line in _hidden_in(tree, calls)]
    if unreadable:
        raise InputError("\n".join(["say: its first argument is no literal, so nobody can translate it", *unreadable]))
    for module in sorted((ROOT / "runbooks").glob("*/test_*.py")):
        for sentence in sentences_of(module.read_text(encoding="utf-8")):
            found.setdefault(sentence, []).append(str(module.relative_to(ROOT)))
    return found


def texts_of(source: str) -> Iterator[Text]:
    """Yield the texts for people in a module's source; a template without words of its own needs no translation."""
    yield from _texts_in(_calls(ast.parse(source)))


def _texts_in(calls: Iterable[tuple[ast.Call, str]]) -> Iterator[Text]:
    for call, name in calls:
        wanted = 2 if KEYWORDS[name] else 1
        texts = tuple(str(one.value) for one in call.args[:wanted] if isinstance(one, ast.Constant) and _is_text(one))
        if len(texts) == wanted and (wanted > 1 or has_words(texts[0])):
            yield texts if wanted > 1 else texts[0]


def hidden_templates(source: str) -> Iterator[int]:
    """Yield the lines where a finding is made of a template that is not there."""
    tree = ast.parse(source)
    yield from _hidden_in(tree, _calls(tree))


def _hidden_in(tree: ast.Module, calls: Iterable[tuple[ast.Call, str]]) -> Iterator[int]:
    if not any(isinstance(node, ast.ImportFrom) and node.module == FINDINGS for node in tree.body):
        return
    hidden = [
        call
        for call, name in calls
        if name == "say" and isinstance(call.func, ast.Name) and not (call.args and _is_text(call.args[0]))
    ]
    if not hidden:
        return
    inside = {node for function in ast.walk(tree) if _rebinds_say(function) for node in ast.walk(function)}
    yield from (call.lineno for call in hidden if call not in inside)


def _calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
            if name in KEYWORDS:
                yield node, name


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _rebinds_say(node: ast.AST) -> bool:
    """Return whether a function has a `say` of its own: that of a language, which also takes texts from tables."""
    return isinstance(node, ast.FunctionDef) and any(
        isinstance(one, ast.Name) and one.id == "say" and isinstance(one.ctx, ast.Store) for one in ast.walk(node)
    )


def sentences_of(source: str) -> Iterator[str]:
    """Yield the sentence of each step in a runbook's source: the first paragraph of its docstring."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            sentence = summary_of(ast.get_docstring(node))
            if sentence:
                yield sentence


def untranslated(code: str, texts: Iterable[Text]) -> list[str]:
    """Return those texts that a language lacks."""
    kept = _kept(code)
    return [_first(text) for text in texts if not _is_translated(kept, text)]


def _is_translated(catalogue: Catalog, text: Text) -> bool:
    message = catalogue.get(_first(text))
    string = message.string if message and not message.fuzzy else ""
    strings = (string,) if isinstance(string, str) else tuple(string or ())
    return bool(strings) and all(strings) and len(strings) == (1 if isinstance(text, str) else FORMS)


def _first(text: Text) -> str:
    return text if isinstance(text, str) else text[0]


def _kept(code: str) -> Catalog:
    file = catalogue_file(code)
    return read_po(io.BytesIO(file.read_bytes() if file.exists() else b""), locale=LOCALES[code])


def updated(code: str, texts: Mapping[Text, list[str]]) -> Catalog:
    """Return a language's catalogue with exactly these texts and the files of each: translations kept, new ones empty,
    old ones gone.
    """
    kept = _kept(code)
    fresh = Catalog(
        locale=LOCALES[code],
        project=NAME,
        version=VERSION,
        header_comment=(f"# The texts of {NAME} in {code}; kept current by: nox -s catalogue"),
        msgid_bugs_address="",
        last_translator="",
        language_team="",
        fuzzy=False,
        creation_date=kept.creation_date,
        revision_date=kept.creation_date,
    )
    for text, files in sorted(texts.items(), key=lambda item: (min(item[1]), _first(item[0]))):
        before = kept.get(_first(text))
        string = before.string if before and _is_translated(kept, text) else ("", "") if isinstance(text, tuple) else ""
        fresh.add(text, string, locations=[(file, 0) for file in sorted(set(files))])
    return fresh


def main(argv: list[str]) -> int:
    """Write the catalogues, or with --check raise InputError when a text is not translated."""
    if argv not in ([], ["--check"]):
        raise InputError(f"catalogue {' '.join(argv)}: expected nothing or --check")
    texts = texts_for_people()
    for code in LANGUAGES:
        if code == ORIGINAL:
            continue
        file = catalogue_file(code)
        if not argv:
            fresh = io.BytesIO()
            write_po(fresh, updated(code, texts), width=0, include_lineno=False)
            file.write_bytes(fresh.getvalue())
        missing = untranslated(code, texts)
        listed = "".join(f"\n  {text}" for text in missing)
        if argv and missing:
            raise InputError(
                f"{file.relative_to(ROOT)}: {len(missing)} texts without translation:{listed}\nTry: nox -s "
                "catalogue, then fill them in"
            )
        print(f"{file.relative_to(ROOT)}: {len(missing)} texts wait for their translation{listed}")
    return 0
