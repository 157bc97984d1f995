"""docs/safety.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "safety.md"


def test_each_promise_names_tests_that_exist() -> None:
    """A promise whose test was renamed or removed is a promise without a proof."""
    there = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    promises = PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    named = {part.splitlines()[0]: re.findall(r"`(test_\w+)`", part) for part in promises}

    assert not {name for names in named.values() for name in names} - there
    assert [title for title, names in named.items() if not names] == [
        "What is not promised",
        "How gaps are searched for",
    ]
