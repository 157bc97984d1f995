"""Patterns of trouble in logs: each matches a line that the program prints, and an ordinary start is no trouble."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from checks.containers.logs import judge_logs
from engine.verdict import Verdict
from services.registry import PRODUCTS, product
from tests.fakes.log_lines import ORDINARY, TROUBLE


def alternatives(pattern: str) -> Iterator[str]:
    """Yield each alternative of a pattern, with its flags."""
    flags, rest = re.match(r"(\(\?[a-z]+\))?(.*)", pattern, re.DOTALL).groups()  # type: ignore[union-attr] both groups may be empty
    depth, start = 0, 0
    for position, letter in enumerate(rest):
        depth += {"(": 1, ")": -1}.get(letter, 0) if rest[position - 1 : position] != "\\" else 0
        if letter == "|" and not depth:
            yield f"{flags or ''}{rest[start:position]}"
            start = position + 1
    yield f"{flags or ''}{rest[start:]}"


@pytest.mark.parametrize("name", sorted(PRODUCTS))
def test_each_alternative_of_each_pattern_matches_a_real_line(name: str) -> None:
    """A pattern that its program never prints finds nothing, and looks as if nothing were wrong."""
    every = [alternative for pattern in product(name).trouble for alternative in alternatives(pattern.pattern)]
    unseen = [alternative for alternative in every if not any(re.search(alternative, line) for line in TROUBLE[name])]

    assert every
    assert not unseen


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, lines in TROUBLE.items() for line in lines])
def test_a_line_of_trouble_fails(name: str, line: str) -> None:
    """Noise does not swallow it."""
    known = product(name)

    assert judge_logs(name, [line], known.trouble, known.noise).verdict is Verdict.FAILED


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, lines in ORDINARY.items() for line in lines])
def test_an_ordinary_start_passes(name: str, line: str) -> None:
    """Lines of the start are judged too: what every healthy start prints is no trouble."""
    known = product(name)

    assert judge_logs(name, [line], known.trouble, known.noise).passed
