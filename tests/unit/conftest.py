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
        really = getattr(socket.socket, name)
        monkeypatch.setattr(socket.socket, name, _on_loopback(really, refuse) if "loopback" in request.fixturenames else refuse)
    monkeypatch.setattr(time, "sleep", sleep)
    if "local_program" not in request.fixturenames:
        monkeypatch.setattr(subprocess.Popen, "__init__", refuse)


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
