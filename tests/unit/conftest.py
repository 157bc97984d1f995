"""Unit tests stay on this machine and in this process: no connection, no program, no sleep worth the name."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import pytest

from engine.journal import database
from engine.journal.location import file_place

LONGEST_SLEEP_S: Final = 0.05
JOURNAL_TESTS: Final = Path(__file__).parent / "engine" / "journal"


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections, programs and long sleeps; a test whose subject is a local program asks for
    `local_program`.
    """
    really_sleep = time.sleep

    def refuse(*arguments: Any, **_: Any) -> Any:
        raise RuntimeError(f"a unit test must stay alone; it wanted {arguments[1:2] or arguments}")

    def sleep(seconds: float) -> None:
        if seconds > LONGEST_SLEEP_S:
            refuse(f"to sleep {seconds} s")
        really_sleep(seconds)

    for name in ("connect", "connect_ex", "bind"):
        really = getattr(socket.socket, name)
        monkeypatch.setattr(
            socket.socket, name, _on_loopback(really, refuse) if "loopback" in request.fixturenames else refuse
        )
    monkeypatch.setattr(time, "sleep", sleep)
    if "local_program" not in request.fixturenames:
        monkeypatch.setattr(subprocess.Popen, "__init__", refuse)


@pytest.fixture(scope="session")
def journal_schema(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Return the statements that make an empty journal, as the migrations leave one."""
    file = tmp_path_factory.mktemp("journal") / "empty.sqlite"
    database.open_store(file_place(file)).dispose()
    connection = sqlite3.connect(file)
    statements = tuple(line for line in connection.iterdump() if line not in {"BEGIN TRANSACTION;", "COMMIT;"})
    connection.close()
    return statements


@pytest.fixture(autouse=True)
def quick_journals(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a new journal the tables of the migrations without running them, and write without waiting for the disk.

    The journal's own tests have it as it is.
    """
    if JOURNAL_TESTS in request.path.parents:
        return
    really_migrate, schema = database._migrate, request.getfixturevalue("journal_schema")

    def migrate(connection: Any) -> None:
        if connection.dialect.name != "sqlite":
            really_migrate(connection)
            return
        for statement in schema:
            connection.exec_driver_sql(statement)

    monkeypatch.setattr(database, "_migrate", migrate)
    monkeypatch.setattr(database, "SQLITE", (*database.SQLITE, "PRAGMA synchronous=OFF"))


def _on_loopback(really: Any, refuse: Any) -> Any:
    def reach(its: socket.socket, address: Any) -> Any:
        return really(its, address) if address[0] in {"127.0.0.1", "localhost"} else refuse(its, address)

    return reach


@pytest.fixture
def loopback() -> None:
    """Let a test serve and ask on this machine's loopback: what a client really sends is its subject."""


@pytest.fixture
def local_program() -> None:
    """Let a test start a program on this machine: that program is its subject."""
