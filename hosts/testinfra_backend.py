"""pytest-testinfra over a connection that is already open: its commands run through `Host.run`, no other ssh is
started.
"""

from __future__ import annotations

from typing import Any, Final

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host as TestinfraHost

from engine.contracts.host import Host

COMMAND_S: Final = 60.0
"""A command of a check that takes longer is UNKNOWN."""


class OpenConnection(BaseBackend):  # type: ignore[misc]
    """Runs a check's commands on one host, and counts them: a check that asked nothing has measured nothing."""

    NAME = "longshore"

    def __init__(self, machine: Host) -> None:
        """Take the host; nothing runs yet."""
        super().__init__(machine.name)
        self.machine = machine
        self.commands = 0

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        """Run a command line in the host's shell; raises UnreachableError and DeadlineError as `Host.run` does."""
        line = self.get_command(command, *args)
        self.commands += 1
        answer = self.machine.run(["sh", "-c", line], timeout_s=COMMAND_S)
        # Not through `result`: that logs the whole answer, which no redactor has seen.
        return CommandResult(
            self, answer.exit_code, line.encode("utf-8", "surrogateescape"), answer.stdout, answer.stderr
        )

    def run_local(self, command: str, *_: str) -> CommandResult:
        """Refuse: a check asks hosts, this machine is none of them."""
        raise RuntimeError(f"run_local: {command}: runs on this machine. Expected: commands on the host, host.run(…)")

    def decode(self, data: bytes) -> str:
        """Return text; bytes that are none stay visible."""
        return data.decode("utf-8", "backslashreplace")

    def encode(self, data: str) -> bytes:
        """Return the bytes of a text."""
        return data.encode("utf-8", "surrogateescape")


def open_testinfra(machine: Host) -> TestinfraHost:
    """Return testinfra's view of a host; a new one for each check, for it remembers what it asked."""
    backend = OpenConnection(machine)
    host = TestinfraHost(backend)
    backend.set_host(host)
    return host
