"""All problems of a folder of own checks are reported at once, each with its place, before any host is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import InputError
from hosts.local.git import read_code_digest
from phases.context.own_checks import key_of, own_checks, refuse_wrong, table_of
from phases.context.required_results import Step, own_steps

GOOD = 'def test_port(host):\n    """It listens."""\n'


def _put(folder: Path, name: str, text: str = GOOD) -> Path:
    file = folder / "site" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return folder / "site"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "migrate/test_a.py",
            GOOD,
            "migrate: migrate changes hosts. Own checks only read, so they run in preflight and validate",
        ),
        ("preflihgt/test_a.py", GOOD, "preflihgt: is no phase. Expected: preflight or validate"),
        ("test_a.py", GOOD, "test_a.py: belongs to no phase, so it never runs"),
        ("preflight/ports.py", GOOD, "ports.py: pytest does not collect it"),
        ("preflight/test_a.py", "def test_port(host:\n", r"test_a.py:1: .*Expected: Python. Try: python -m py_compile"),
        ("preflight/test_a.py", "def test_port(host):\n    pass\n", "test_a.py:1: test_port: no docstring"),
        ("preflight/test_a.py", f"{GOOD}\n{GOOD}", "test_a.py:4: test_port: has the key site-port, as .*test_a.py:1"),
        ("preflight/test_a.py", f"async {GOOD}", "test_port: is async, so pytest does not run it"),
    ],
)
def test_what_can_not_be_a_check_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    """Nothing that a person wrote is left out in silence."""
    own = _put(tmp_path, name, text)

    with pytest.raises(InputError, match=message) as refused:
        refuse_wrong(own, tmp_path)
    assert str(refused.value).endswith("See docs/own-checks.md")


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    """Of all phases: validate's are found before the night, too."""
    _put(tmp_path, "preflight/test_a.py", "def test_a(host):\n    pass\n")
    own = _put(tmp_path, "validate/test_b.py", "def test_b(host):\n    pass\n")

    with pytest.raises(InputError) as refused:
        refuse_wrong(own, tmp_path)
    assert [word in str(refused.value) for word in ("test_a: no docstring", "test_b: no docstring")] == [True, True]


def test_a_conftest_above_the_folder_is_refused(tmp_path: Path) -> None:
    """Pytest would load it, and no approval covers it; the one in the folder is fine."""
    own = _put(tmp_path, "conftest.py", "")
    refuse_wrong(own, tmp_path)
    (tmp_path / "conftest.py").write_text("")

    with pytest.raises(InputError, match=r"conftest.py: pytest loads it into every phase, and no approval covers it"):
        refuse_wrong(own, tmp_path)


def test_no_folder_is_no_problem(tmp_path: Path) -> None:
    """Who has no checks of their own writes nothing."""
    refuse_wrong(tmp_path / "site", tmp_path)
    assert (own_checks(tmp_path / "site", "preflight"), table_of(tmp_path / "site")) == ((), None)


def test_the_gate_asks_for_their_rows(tmp_path: Path) -> None:
    """A check of each host, of each service or of all; one with parameters has rows that only its run knows."""
    text = (
        "import pytest\npytestmark = [pytest.mark.target_hosts]\n"
        + GOOD
        + 'def test_file(host, service):\n    """It is there."""\n'
        '@pytest.mark.parametrize("path", ["/etc"])\ndef test_path(host, path):\n    """It is there."""\n'
    )
    own = _put(tmp_path, "preflight/test_a.py", text)
    marks = frozenset({"target_hosts"})

    assert own_steps(own, "preflight") == (Step("site-port", "host", marks), Step("site-file", "service", marks))
    assert own_steps(own, "validate") == ()


def test_the_key_is_made_of_the_name_and_the_parameters() -> None:
    """As a waiver can name it."""
    assert key_of("test_Port_Listens") == "site-port-listens"
    assert key_of("test_file", "/etc/hosts", 3) == "site-file-etc-hosts-3"


def test_approvals_bind_them(tmp_path: Path) -> None:
    """A changed, new or renamed file is another code digest, and each is listed in the evidence."""
    own = _put(tmp_path, "preflight/test_a.py")
    root = tmp_path / "checkout"
    root.mkdir()
    before = read_code_digest(root, own)

    _put(tmp_path, "preflight/test_a.py", GOOD.replace("listens", "is open"))
    changed = read_code_digest(root, own)
    _put(tmp_path, "conftest.py", "")

    assert len({read_code_digest(root), before, changed, read_code_digest(root, own)}) == 4
    table = table_of(own)
    assert table
    assert [row[0] for row in table.rows] == ["conftest.py", "preflight/test_a.py"]
