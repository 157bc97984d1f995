"""A forward that was lost with its connection is never handed out again: its port may be another process' by then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import UnreachableError
from hosts.ssh import client
from hosts.ssh.client import SshHost


class Lost(SshHost):
    """A host whose connection comes and goes; `taken` says that a local port is somebody else's now."""

    up = taken = False

    def _alive(self) -> bool:
        return self.up

    def _end_master(self) -> None:
        self.up = False

    def _wait_for_master(self, master: Any) -> None:
        self.up = True

    def _control_command(self, command: str, *arguments: str) -> None:
        if self.taken:
            raise UnreachableError("wf005: ssh failed: Port forwarding failed: address already in use")


def test_a_port_that_could_not_be_forwarded_again_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of the service would go to whoever listens there now; another port is made instead."""
    ports = iter((4001, 4002, 4003))
    monkeypatch.setattr(client, "free_port", lambda: next(ports))
    monkeypatch.setattr("hosts.ssh.client.subprocess.Popen", lambda *_words, **_more: None)
    host = Lost("wf005", "192.0.2.15", tmp_path)
    assert host.forward(5432, "172.18.0.3").port == 4001
    host.up, host.taken = False, True
    with pytest.raises(UnreachableError, match="address already in use"):
        host.forward(5432, "172.18.0.3")
    host.taken = False
    assert host.forward(5432, "172.18.0.3").port == 4003
