"""Unit tests stay on this machine and in this process: no connection, no program, no sleep worth the name."""

from __future__ import annotations

import socket
import subprocess
import time
from typing import Any, Final

import pytest

LONGEST_SLEEP_S: Final = 0.05


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections, programs and long sleeps; a test whose subject is a local program asks for `local_program`."""
    really_sleep = time.sleep

    def refuse(*arguments: Any, **_: Any) -> Any:
        raise RuntimeError(f"a unit test must stay alone; it wanted {arguments[1:2] or arguments}")

    def sleep(seconds: float) -> None:
        if seconds > LONGEST_SLEEP_S:
            refuse(f"to sleep {seconds} s")
        really_sleep(seconds)

    for name in ("connect", "connect_ex", "bind"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(time, "sleep", sleep)
    if "local_program" not in request.fixturenames:
        monkeypatch.setattr(subprocess.Popen, "__init__", refuse)


@pytest.fixture
def local_program() -> None:
    """Let a test start a program on this machine: that program is its subject."""
