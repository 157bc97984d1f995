"""One reference in a text is replaced exactly, put back exactly, and nothing else of the file is touched or shown."""

from __future__ import annotations

from typing import Any

import pytest

from actions.references.text_edit import (
    ReferenceState,
    put_back,
    replace_group,
    standing_of,
    variables_of,
    with_variables,
)
from engine.config.reference_rules import Rewrite, filled, rewrite_problems
from engine.errors import ActionError

TARGETS = '- job: own\n  targets: ["localhost:9090"]\n- job: orders\n  targets: ["orders:8080"]\n  secret: geheim\n'
PATTERN = r'targets: \["(orders:8080)"\]'
NEW = "192.0.2.5:8080"


def test_one_fit_is_replaced_and_reported_with_its_line() -> None:
    """Only what the pattern fits is in the difference: no other line of the file."""
    replaced = replace_group(TARGETS, PATTERN, NEW)

    assert replaced.text == TARGETS.replace("orders:8080", NEW)
    assert replaced.lines("/etc/p.yml") == ("/etc/p.yml:4", '- targets: ["orders:8080"]', f'+ targets: ["{NEW}"]')


@pytest.mark.parametrize(("text", "times"), [("nothing", 0), (TARGETS + TARGETS, 2)])
def test_a_pattern_that_does_not_fit_exactly_once_is_refused_with_the_number(text: str, times: int) -> None:
    """Nobody guesses which of two is meant."""
    with pytest.raises(ActionError, match=f"fits {times} times. Expected: exactly once"):
        replace_group(text, PATTERN, NEW)


def test_a_group_that_took_no_part_is_refused() -> None:
    """An optional group that is not there has no place to replace."""
    with pytest.raises(ActionError, match="Expected: exactly once, with its group"):
        replace_group("host=", r"host=(db)?", NEW)


def test_what_was_put_back_is_what_was_there() -> None:
    """Byte for byte, also with Windows' line ends and bytes that are no text."""
    text = b'a\r\n\xff targets: ["orders:8080"]\r\n'.decode("utf-8", "surrogateescape")
    replaced = replace_group(text, PATTERN, NEW)

    assert put_back(replaced.text, text, replaced) == text
    assert put_back(text, text, replaced) == text


def test_what_somebody_edited_meanwhile_stays_when_it_is_put_back() -> None:
    """Another reference of the same file may have been rewritten since."""
    replaced = replace_group(TARGETS, PATTERN, NEW)
    edited = replaced.text.replace("localhost:9090", "127.0.0.1:9090")

    assert standing_of(edited, TARGETS, replaced) is ReferenceState.NEW
    assert put_back(edited, TARGETS, replaced) == TARGETS.replace("localhost:9090", "127.0.0.1:9090")


def test_a_reference_that_somebody_changed_is_not_written_over() -> None:
    """It is neither the old nor the new."""
    replaced = replace_group(TARGETS, PATTERN, NEW)
    edited = replaced.text.replace(NEW, "198.51.100.9:8080")

    assert standing_of(edited, TARGETS, replaced) is ReferenceState.OTHER
    with pytest.raises(ActionError, match="somebody edited it since"):
        put_back(edited, TARGETS, replaced)


def test_a_longer_word_is_not_taken_for_the_reference() -> None:
    """`db:54321` holds `db:5432`, and is another."""
    kept = "main db:5432\nother db:54321\n"
    replaced = replace_group(kept, r"main (db:5432)$", "192.0.2.2:5432")
    edited = replaced.text + "more\n"

    assert standing_of(edited, kept, replaced) is ReferenceState.NEW


@pytest.mark.parametrize("length", [0, 3, 40, 90])
def test_a_file_that_was_half_written_is_known_as_such(length: int) -> None:
    """Power was cut in the middle of a write: the kept copy is the base for both ways."""
    replaced = replace_group(TARGETS, PATTERN, NEW)
    torn = replaced.text[:length]

    assert standing_of(torn, TARGETS, replaced, writing=True) is ReferenceState.TORN
    assert put_back(torn, TARGETS, replaced, writing=True) == TARGETS


def test_lines_that_somebody_took_away_are_not_put_back() -> None:
    """A shorter file is half written only when a write was begun."""
    replaced = replace_group(TARGETS, PATTERN, NEW)
    shorter = replaced.text.removesuffix("  secret: geheim\n")

    assert put_back(shorter, TARGETS, replaced) == TARGETS.removesuffix("  secret: geheim\n")


def test_variables_are_set_in_their_places_added_and_left_out() -> None:
    """Everything else of the environment keeps its place, and the way back is exact."""
    env = ["A=1", "DB_HOST=postgres", "URL=x=y"]
    wanted: dict[str, str | None] = {"DB_HOST": "192.0.2.2", "PGHOSTADDR": "192.0.2.2"}
    before = variables_of(env, wanted)

    rewritten = with_variables(env, wanted)

    assert rewritten == ["A=1", "DB_HOST=192.0.2.2", "URL=x=y", "PGHOSTADDR=192.0.2.2"]
    assert before == {"DB_HOST": "postgres", "PGHOSTADDR": None}
    assert with_variables(rewritten, before) == env


@pytest.mark.parametrize(
    ("value", "host", "expected"),
    [
        ("{host}:{port}", "192.0.2.2", "192.0.2.2:5432"),
        ("{host}:{port}", "2001:db8::2", "[2001:db8::2]:5432"),
        ("{host}", "2001:db8::2", "2001:db8::2"),
    ],
)
def test_the_new_address_is_filled_in(value: str, host: str, expected: str) -> None:
    """An IPv6 address has brackets before a port only."""
    assert filled(value, host, 5432) == expected


FILE: dict[str, Any] = {"kind": "file", "value": "{host}", "path": "/a", "pattern": "(x)", "reload": {"signal": "HUP"}}
VARIABLE: dict[str, Any] = {"kind": "environment", "value": "{host}", "variable": "DB_HOST"}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({**FILE, "pattern": "x"}, "r/pattern: has 0 groups; expected one"),
        ({**FILE, "pattern": "(x)(y)"}, "r/pattern: has 2 groups; expected one"),
        ({**FILE, "pattern": "("}, "r/pattern: is no regular expression"),
        ({**FILE, "path": "a/b"}, "expected a whole path without .."),
        ({**FILE, "path": "/a/../etc/shadow"}, "expected a whole path without .."),
        ({**FILE, "reload": None}, "r/reload: missing"),
        ({**FILE, "reload": {"signal": "HUP", "restart": True}}, "exactly one of argv, signal, restart"),
        ({**FILE, "variable": "A"}, "r/variable: does not belong to kind file"),
        ({**VARIABLE, "path": "/a"}, "r/path: does not belong to kind environment"),
        ({**VARIABLE, "variable": ""}, "r/variable: missing"),
        ({**VARIABLE, "variable": "A B"}, "expected letters, digits and underscores"),
        ({**VARIABLE, "value": "{address}"}, '"{address}" is not known'),
        ({**VARIABLE, "value": "postgres"}, "neither {host} nor {port} in it"),
    ],
)
def test_what_is_wrong_with_an_entry_is_said_with_its_place(entry: dict[str, Any], expected: str) -> None:
    """Before any host is asked."""
    problems = list(rewrite_problems("r", Rewrite.model_validate(entry)))

    assert any(expected in problem for problem in problems), problems


@pytest.mark.parametrize("entry", [FILE, VARIABLE, {**FILE, "on": "host", "reload": None}])
def test_a_right_entry_has_no_problem(entry: dict[str, Any]) -> None:
    """A compose file of the host needs nothing to be read again."""
    assert not list(rewrite_problems("r", Rewrite.model_validate(entry)))
