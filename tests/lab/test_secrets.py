"""Secrets planted in the lab's services are in no file that any phase left, nor in what was printed, in any form.

Runs after the tests of faults, rehearsal and sabotage: whatever these left is searched too.
"""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import quote, quote_plus

import pytest

from lab import pristine_disks
from lab.docker_engine import connect
from lab.planted_secrets import PREFIX
from lab.settings import Choice
from tests.lab import at_hand
from tests.lab.at_hand import REPORTS, ROOT, SOURCE, STATE, TARGETS, Ran
from tests.lab.conftest import Rehearsal

SHORTEST: Final = 12
"""So many characters of base64 in a row are a secret, whatever stood before it."""

ELSEWHERE: Final = ("reporting", "backup", f"{PREFIX}role")
"""Secrets that no container holds: only the form in which they are printed can give them away."""

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    """Return every secret of the lab's services: each password, each line of a key."""
    found = pristine_disks.passwords_of(pristine_disks.key_of(connect(), Choice.CORE))
    lines = {
        f"{name}, line {number}": line
        for name, value in found.items()
        for number, line in enumerate(value.split("\\n"))
        if "-----" not in line
    }
    backup = (STATE / "secrets" / "backup_password").read_text(encoding="utf-8").strip()
    assert sum(name.startswith(PREFIX) for name in found) == 8
    return lines | {"backup password": backup}


def forms_of(secret: str) -> Iterator[str]:
    """Yield the forms in which a secret may have been written; made here anew, not by the code that is tested."""
    yield from (
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
    )
    yield secret.replace("&", "\\u0026")
    yield secret.replace("&", "&amp;")
    for before in range(3):
        encoded = base64.b64encode(b"x" * before + secret.encode()).decode().rstrip("=")
        inner = encoded[2 * before : -1]  # without the characters that hold bits of what stands before or behind
        if len(inner) >= SHORTEST:
            yield from (inner, inner.replace("+", "-").replace("/", "_"))


def texts_of(*ran: Ran) -> Iterator[tuple[str, str]]:
    """Yield all that was left: every file of the reports, approvals and environments, all records of all journals, and
    what was printed.
    """
    for number, one in enumerate(ran):
        yield f"output {number}", one.output
    for place in (REPORTS, ROOT / "approvals", ROOT / "environments"):
        for file in place.rglob("*"):
            if file.is_file() and not file.is_symlink():
                yield str(file), file.read_bytes().decode("utf-8", "replace")
    for file in (ROOT / "state").glob("lab*.sqlite*"):
        yield str(file), file.read_bytes().decode("utf-8", "replace")
    for file in (ROOT / "state").glob("lab*.sqlite"):
        yield f"records of {file}", "\n".join(_rows(file))


def _rows(file: Path) -> Iterator[str]:
    """Yield all rows of a copy of a journal.

    Reading a file's bytes drops the locks of all connections of this process (sqlite.org/howtocorrupt.html, 2.2): with
    one that another test left open, a new one would share what that knows of a log that others have begun anew since.
    """
    with TemporaryDirectory() as folder:
        for suffix in ("", "-wal"):
            if file.with_name(file.name + suffix).exists():
                shutil.copyfile(file.with_name(file.name + suffix), Path(folder) / f"{file.name}{suffix}")
        yield from _rows_of_copy(Path(folder) / file.name)


def _rows_of_copy(file: Path) -> Iterator[str]:
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], file
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            yield from (str(row) for row in connection.execute(f"SELECT * FROM {table}"))  # noqa: S608 our own tables


def found_in(secrets: dict[str, str], texts: Iterator[tuple[str, str]]) -> list[str]:
    """Return which secrets stand where."""
    forms = [(name, form) for name, secret in secrets.items() for form in set(forms_of(secret))]
    return [f"{where} holds {name}" for where, text in texts for name, form in forms if form in text]


def test_the_secrets_are_where_real_ones_are(rehearsal: Rehearsal, secrets: dict[str, str]) -> None:
    """In variables, a label, a health check's command line, URLs and a log of containers that were moved: else nothing
    is proven.
    """
    for service, names in (
        ("postgres", ("mail password", "connection", "label", "key, line 1")),
        ("redis", ("token", "check")),
    ):
        there = json.dumps(at_hand.inspect(TARGETS[service], service), ensure_ascii=False)
        assert not [
            name
            for name in names
            if secrets[f"{PREFIX}{name}" if "," in name else f"{PREFIX}{name}, line 0"] not in there
        ]
    logged = at_hand.on_host(SOURCE, "sh", "-c", "docker logs postgres-moved 2>&1")
    assert secrets[f"{PREFIX}role, line 0"] in logged
    assert secrets[f"{PREFIX}licence, line 0"] in json.dumps(at_hand.inspect(SOURCE, "orders"))


def test_the_search_finds_them_in_every_form(secrets: dict[str, str]) -> None:
    """A search that finds nothing must be able to find."""
    for name, secret in secrets.items():
        header = base64.b64encode(f"ops:{secret}".encode()).decode()
        for text in (f"x{secret}y", json.dumps({"a": secret}), f"http://h/?q={quote(secret)}", f"Basic {header}"):
            assert f"there holds {name}" in found_in({name: secret}, iter([("there", text)])), (name, text)


def test_no_secret_is_left_by_a_rehearsal(rehearsal: Rehearsal, secrets: dict[str, str]) -> None:
    """Prepare, preflight, approval, dry run, migration and validation; and every run before them on this machine."""
    assert not found_in(secrets, texts_of(*rehearsal.phases.values(), rehearsal.dry_run))


def test_no_secret_of_a_log_or_an_error_is_left(rehearsal: Rehearsal, secrets: dict[str, str]) -> None:
    """Validate finds a service that logs its secrets with an error; screen and record show the line without them."""
    theirs = {name: secret for name, secret in secrets.items() if not name.startswith(ELSEWHERE)}
    said = " ".join(
        [
            *(f"{name}={secret}" for name, secret in theirs.items()),
            *(base64.b64encode(f"ops:{secret}".encode()).decode() for secret in theirs.values()),
            *(quote(secret, safe="") for secret in theirs.values()),
            json.dumps(theirs),
        ]
    ).replace("'", "''")
    parts = [said[start : start + 220] for start in range(0, len(said), 120)]
    parts += [f"ALTER ROLE x PASSWORD ''{secret}''" for name, secret in secrets.items() if name.startswith(ELSEWHERE)]
    for part in parts:
        at_hand.query(TARGETS["postgres"], f"DO $$ BEGIN RAISE LOG 'PANIC: %', '{part}'; END $$")

    ran = at_hand.run_phase("validate", "--service", "postgres")

    assert ran.code == 1, ran.output[-3000:]
    text = at_hand.text_of(at_hand.row(ran, "postgres", "logs-clean"))
    assert "PANIC: " in text
    assert "***" in text
    assert not found_in(secrets, texts_of(ran))


@pytest.mark.parametrize(
    "phase",
    ["migrate", *(pytest.param(phase, marks=pytest.mark.full) for phase in ("prepare", "preflight", "validate"))],
)
def test_what_a_phase_leaves_verifies_and_packs(rehearsal: Rehearsal, phase: str, tmp_path: Path) -> None:
    """Each folder is whole, signed approvals included, and so is the archive made of it; one changed byte is named."""
    folder = rehearsal.phases[phase].folder
    assert folder is not None
    archive = tmp_path / "bundle.tar.gz"
    assert at_hand.run_command("bundle", str(folder), "--output", str(archive)).code == 0
    for place in (folder, archive):
        ran = at_hand.run_command("verify", str(place))
        # The lab's inventory holds what looks like a secret, so it is not kept, and verify says that it was not
        # compared.
        assert ran.code == 2, ran.output
        assert [
            line
            for line in ran.output.splitlines()
            if line.startswith("NOT COMPARED") and "plan/inventory.yaml" not in line
        ] == []
        assert "WRONG" not in ran.output
        assert ("approved by" in ran.output) == (phase in {"migrate", "validate"})
    file = folder / "pytest.html"
    content = file.read_bytes()
    file.write_bytes(content + b" ")
    try:
        ran = at_hand.run_command("verify", str(folder))
    finally:
        file.write_bytes(content)
    assert ran.code == 1
    assert "pytest.html: is not what was sealed" in ran.output
