"""Reading files that people wrote: whatever stands in them, what comes back is data or one message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis.strategies
import pytest
from hypothesis import given, settings

from engine.config.inventory import load_inventory
from engine.config.loading import load_files
from engine.config.plain_data import read_data
from engine.errors import InputError

PASSWORD = "hunter2-Tr0ub4dor"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"password: !{PASSWORD}", "line 1, column 11: could not determine a constructor for the tag …"),
        (f"password: *{PASSWORD}", "line 1, column 11: found undefined alias …"),
        (f"password: one\npassword: {PASSWORD}", 'line 2, column 1: found duplicate key "password"'),
        (f"password: @{PASSWORD}", "line 1, column 11: found character '@' that cannot start any token"),
        (f"passwords: [{PASSWORD}", "but got '<stream end>'"),
    ],
)
def test_a_password_that_breaks_the_yaml_is_not_shown(tmp_path: Path, text: str, line: str) -> None:
    """A password may begin with a character that YAML keeps for itself; its parser quotes it, our message does not."""
    file = tmp_path / "inventory.yaml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(InputError) as refused:
        read_data(file)

    assert line in str(refused.value)
    assert PASSWORD[:8] not in str(refused.value)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.yaml", "version: 1\nhosts: [", "line 2, column"),
        ("a.yaml", "a: 1\na: 2\n", "found duplicate key"),
        ("a.json", '{"version": 1,', "line 1, column 15: Expecting property name enclosed in double quotes"),
        ("a.json", '{"version": 1, "version": 1}', 'key "version" is defined twice'),
    ],
)
def test_a_file_that_can_not_be_parsed_is_refused_with_the_place(
    tmp_path: Path, name: str, text: str, line: str
) -> None:
    """Line and column, or the key that stands there twice: the later value would have won silently."""
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")

    with pytest.raises(InputError) as refused:
        read_data(file)

    assert str(refused.value).startswith(f"{file}: 1 problem\n")
    assert line in str(refused.value)


def test_a_file_that_is_not_there_or_no_text_is_an_input_error(tmp_path: Path) -> None:
    """The message gives the command that shows what is there."""
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")

    for file in (tmp_path / "none.yaml", binary):
        with pytest.raises(InputError, match=f"can't be read: .* Try: ls -l {file}"):
            read_data(file)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("version: 1\nhosts: a\x01b\n", "line 2: a control character, number 1; expected text. Show it with: cat -A"),
        ("\x00", "line 1: a control character"),
        ("version: " + "9" * 5000, "a number that can't be read; expected at most 16 digits"),
        ("version: !!int hunter2", "a number that can't be read"),
        ("version: 2026-13-45", "a number that can't be read"),
        ("links: " + "[" * 3000, "too many lists or mappings in each other"),
        ("a: &x 1\nb: &x 2", "an anchor (&name) is defined twice"),
        ("--- 1\n--- 2", "but found another document"),
        ("hosts: {{ hosts }}", "found unhashable key"),
    ],
)
def test_a_file_that_no_parser_foresaw_is_an_input_error(tmp_path: Path, text: str, line: str) -> None:
    """A stray byte or a template's braces end as one message with the file's name, never as a traceback."""
    file = tmp_path / "inventory.yaml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(InputError) as refused:
        load_inventory(file)

    assert str(refused.value).startswith(f"{file}: 1 problem\n  ")
    assert line in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("links: 3", ["links: expected a list (seen: '3')", "version: missing", "hosts: missing", "services: missing"]),
        ("services: [a, b]", ["services: expected a mapping"]),
        ("services: {n8n: 3, redis: [1]}", ["services/n8n: expected a mapping", "services/redis: expected a mapping"]),
        (
            "links: [3, {from: a, to: b, name: c, port: 1}]",
            ["links/0: expected a mapping (seen: '3')", 'links/1/from: unknown service "a"'],
        ),
        ("hosts: {1: {purpose: x}}", ["hosts: a key is a number; expected text. Put it in quotes"]),
        ("hosts: {2026-12-05: {purpose: x}}", ["hosts: a key is a date; expected text"]),
        ("? [hunter2, a]\n: b", ["the file: a key is a list or mapping; expected text"]),
        ("true: 1\nnull: 2", ["the file: a key is true or false", "the file: a key is empty"]),
        ("version: 99999999999999999999", ["version: a number beyond 9007199254740991"]),
        ("version: .inf", ["version: not a finite number"]),
        ("hosts: !!set {hunter2}", ["hosts: a YAML type of its own"]),
        ("hosts: !!binary aHVudGVyMg==", ["hosts: a YAML type of its own"]),
        ("hosts: &x {wf001: *x}", ["hosts/wf001: holds itself"]),
        (
            "services: {redis: {options: {user: .nan, 3: x}}}",
            ["services/redis/options: a key is a number", "services/redis/options/user: not a"],
        ),
    ],
)
def test_data_of_another_form_has_its_line(tmp_path: Path, text: str, lines: list[str]) -> None:
    """A value of the wrong shape is reported with its path."""
    file = tmp_path / "inventory.yaml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(InputError) as refused:
        load_inventory(file)

    assert [line for line in lines if f"  {line}" not in str(refused.value)] == []
    assert "hunter2" not in str(refused.value)


def test_an_unquoted_date_is_the_text_that_it_looks_like(tmp_path: Path) -> None:
    """YAML makes dates of them; a note that is one stays a note."""
    file = tmp_path / "inventory.yaml"
    file.write_text("version: 1\nhosts: {wf001: {purpose: x, notes: 2026-12-05}}\nservices: {}\n", encoding="utf-8")

    assert load_inventory(file).hosts["wf001"].notes == "2026-12-05"


@settings(max_examples=60)
@given(
    hypothesis.strategies.recursive(
        hypothesis.strategies.none()
        | hypothesis.strategies.booleans()
        | hypothesis.strategies.integers()
        | hypothesis.strategies.text(max_size=5),
        lambda inner: (
            hypothesis.strategies.lists(inner, max_size=3)
            | hypothesis.strategies.dictionaries(
                hypothesis.strategies.sampled_from(
                    [
                        "version",
                        "hosts",
                        "services",
                        "links",
                        "n8n",
                        "host",
                        "ports",
                        "from",
                        "to",
                        "window",
                        "moves",
                        "extra",
                        "backup",
                        "secrets",
                        "service",
                        "target",
                    ]
                ),
                inner,
                max_size=6,
            )
        ),
        max_leaves=20,
    ),
)
def test_no_data_at_all_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    """Any JSON as any of the three files is an InputError or loads."""
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_text(json.dumps(data), encoding="utf-8")

    with pytest.raises(InputError):
        load_files(file, file, file)


@pytest.mark.parametrize("text", ["", "[]", "just words"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    """An empty file or a list is no inventory."""
    file = tmp_path / "inventory.yaml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match="the file: expected a mapping at the top"):
        load_inventory(file)
