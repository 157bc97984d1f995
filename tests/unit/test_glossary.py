"""docs/glossary.md: each term once, and a retired word occurs nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "glossary.md"
ROOMS: Final = (
    "actions",
    "bench",
    "changelog.d",
    "checks",
    "commands",
    "docs",
    "engine",
    "hosts",
    "lab",
    "phases",
    "runbooks",
    "schemas",
    "services",
    "tests",
)
TEXTS: Final = frozenset({".py", ".md", ".j2", ".po", ".json", ".yaml", ".yml", ".js", ".css", ".sh"})
OWN: Final = frozenset({PAGE, Path(__file__), Path(__file__).with_name("test_prose.py")})
"""Files that name what is retired."""
ROW: Final = re.compile(r"^\| (?!---)(.+?) \| (.+?) \|$", re.MULTILINE)


def _rows(title: str) -> list[tuple[str, str]]:
    section = PAGE.read_text(encoding="utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]
    return [(found[1], found[2]) for found in ROW.finditer(section)][1:]


def _retired() -> list[str]:
    return [word for words, _ in _rows("Retired words") for word in words.split(", ")]


def _pattern(words: list[str]) -> re.Pattern[str]:
    """Match whole words; one in small letters also where it is capitalised."""
    return re.compile("|".join(rf"(?<![\w-]){_either_case(word)}(?![\w-])" for word in words))


def _either_case(word: str) -> str:
    return f"(?i:{re.escape(word)})" if word.islower() and word.replace(" ", "").isalpha() else re.escape(word)


def _words_in(text: str, retired: list[str]) -> list[str]:
    """Return the retired words of a text."""
    return [word for word in retired if word.lower() in text.lower() and _pattern([word]).search(text)]


def _files() -> Iterator[Path]:
    for place in (*ROOT.iterdir(), *(file for room in ROOMS for file in (ROOT / room).rglob("*"))):
        if place.suffix in TEXTS and place.is_file() and place not in OWN:
            yield place


def test_each_term_stands_once_and_has_a_meaning() -> None:
    """No term is listed twice, terms are in their order, and none of them is retired."""
    terms = [term for term, _ in _rows("Terms")]
    assert len(terms) > 30
    assert terms == sorted(set(terms))
    assert not set(terms) & set(_retired())


def test_each_retired_word_has_one_replacement() -> None:
    """No word is retired twice, and none is replaced by a retired one."""
    retired = _retired()
    assert len(retired) == len(set(retired)) > 0
    assert [use for _, use in _rows("Retired words") if _pattern(retired).search(use)] == []


def test_no_retired_word_occurs() -> None:
    """Code, tests, schemas, translations and documentation use none of the retired words."""
    retired, files = _retired(), list(_files())
    found = [
        f"{file.relative_to(ROOT)}: {word}"
        for file in files
        for word in _words_in(file.read_text(encoding="utf-8", errors="replace"), retired)
    ]
    assert len(files) > len(ROOMS)
    assert found == []


def test_the_search_finds_a_retired_word() -> None:
    """The search sees a word as a word, a flag with its dashes, and no part of a longer one."""
    assert _words_in("to bury it; migrate --again redis", ["bury", "--again", "buried"]) == ["bury", "--again"]
    assert _words_in("Bury it", ["bury"]) == ["bury"]
    assert _words_in("burying; --again-and-more; rebury", ["bury", "--again"]) == []
