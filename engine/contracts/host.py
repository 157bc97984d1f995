"""Host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engine.contracts.container import CommandResult


@dataclass(frozen=True)
class Endpoint:
    """Where a client on this machine connects to reach a service: a forward on the host's ssh master."""

    host: str
    port: int

    def url(self, path: str = "/", scheme: str = "http") -> str:
        """Return an URL on this endpoint."""
        return f"{scheme}://{self.host}:{self.port}{path}"


class Host(Protocol):
    """A machine reached over ssh; implemented by `hosts.ssh.client.SshHost`, faked in unit tests."""

    name: str  # "wf005": the inventory's name
    address: str  # as seen by the other hosts, from environments/<environment>.yaml

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Run argv on the host (quoted, never through a shell line of ours) and return its result, exit code included.

        Raises UnreachableError when ssh itself fails (exit 255) and DeadlineError after `timeout_s`.
        """

    def forward(self, port: int, address: str = "127.0.0.1") -> Endpoint:
        """Return an endpoint on this machine that reaches `address:port` as seen from the host."""
