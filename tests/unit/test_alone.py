"""The fixture that keeps unit tests alone does keep them alone."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest


def test_no_unit_test_reaches_a_network() -> None:
    """A connection is refused before a packet leaves."""
    with socket.socket() as one, pytest.raises(RuntimeError, match="must stay alone"):
        one.connect(("127.0.0.1", 9))


def test_no_unit_test_starts_a_program() -> None:
    """A forgotten fake shows as an error, not as a process."""
    with pytest.raises(RuntimeError, match="must stay alone"):
        subprocess.run(["true"], check=True)


def test_no_unit_test_waits() -> None:
    """A sleep that would be felt is refused."""
    with pytest.raises(RuntimeError, match=r"to sleep 3 s"):
        time.sleep(3)


def test_a_test_of_a_program_may_start_it(local_program: None) -> None:
    """The exception is asked for by name."""
    assert subprocess.run([sys.executable, "-c", ""], check=True).returncode == 0
