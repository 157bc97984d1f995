"""Remaps are written into the plan's text, and nothing else of it changes."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

import pytest

from engine.config.plan_editing import with_remaps
from engine.errors import InputError

ROOT = Path(__file__).parents[4]
REMAPS = {"postgres": {"5432/tcp": 15432}}


def changed_lines(before: str, after: str) -> list[str]:
    """Return the lines that went and came."""
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[:2] in {"- ", "+ "}]


def test_a_move_on_one_line_stays_on_one_line() -> None:
    """The product's own plan: one line differs, and by this member only."""
    text = (ROOT / "migration_plan.json").read_text(encoding="utf-8")
    old, new = changed_lines(text, with_remaps(text, REMAPS))

    assert new[2:] == old[2:].replace('"precopy"}', '"precopy", "ports": {"5432/tcp": 15432}}')


def test_a_move_of_many_lines_gets_one_more() -> None:
    """With the indent of the others, and after a value that holds brackets and quotes."""
    text = (
        '{\n  "title": "a \\"{[ b",\n  "moves": [\n    {"service": "n8n"},\n    {\n      "service": "postgres",\n '
        '     "notes": "}]"\n    }\n  ]\n}\n'
    )
    after = with_remaps(text, REMAPS)

    assert changed_lines(text, after) == [
        '-       "notes": "}]"',
        '+       "notes": "}]",',
        '+       "ports": {"5432/tcp": 15432}',
    ]
    assert json.loads(after)["moves"][1]["ports"] == REMAPS["postgres"]


def test_remaps_that_are_there_are_kept() -> None:
    """One more port is added to them; the same port gets the new number."""
    text = '{"moves": [{"service": "postgres", "ports": {"5433/tcp": 15433, "5432/tcp": 1}, "notes": ""}]}'

    assert (
        with_remaps(text, REMAPS)
        == '{"moves": [{"service": "postgres", "ports": {"5433/tcp": 15433, "5432/tcp": 15432}, "notes": ""}]}'
    )


def test_several_moves_at_once() -> None:
    """Edits don't shift each other's places."""
    text = (
        '{"moves": [{"service": "a"}, {"service": "b", "ports": {}}, {"service": "c"}], "external_dependencies": '
        '[["x"], {"moves": []}]}'
    )
    after = json.loads(with_remaps(text, {"c": {"1/tcp": 3}, "a": {"1/tcp": 2}, "b": {"1/udp": 4}}))

    assert [move["ports"] for move in after["moves"]] == [{"1/tcp": 2}, {"1/udp": 4}, {"1/tcp": 3}]
    assert after["external_dependencies"] == [["x"], {"moves": []}]


def test_nothing_to_write_changes_nothing() -> None:
    """Not a byte."""
    text = (ROOT / "migration_plan.json").read_text(encoding="utf-8")

    assert with_remaps(text, {}) == text


def test_a_service_without_a_move_is_refused() -> None:
    """A remap that is nowhere must not look written."""
    with pytest.raises(InputError, match="no place for the remaps of redis"):
        with_remaps('{"moves": [{"service": "postgres"}]}', {"redis": {"6379/tcp": 16379}})


def test_a_plan_in_yaml_keeps_its_comments() -> None:
    """The plan may be YAML too."""
    text = "# signed by both\nmoves:\n- service: 'postgres'  # the shop's\n  target: wf002\n"
    after = with_remaps(text, REMAPS, is_json=False)

    assert after.startswith("# signed by both\nmoves:\n- service: 'postgres'  # the shop's\n  target: wf002\n")
    assert "5432/tcp: 15432" in after
