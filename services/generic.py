"""Any container: health by HTTP, by TCP or by its own health check; no fingerprint but what its files give."""

from __future__ import annotations

import socket
from typing import Final

from engine.model import ContainerCommand, ContainerFacts, Fingerprint, LogPattern, Target
from engine.verdict import Judgement, failed, passed
from services.http import judge_http

CONNECT_S: Final = 5.0


class Product:
    """A container of which only its health is known."""

    name = "generic"
    acts_on_start = False
    stop_grace_s = 30
    clean_exit_codes = frozenset({0, 143})
    ready_deadline_s = 60.0
    state_paths: tuple[str, ...] = ()
    writable_noise: tuple[str, ...] = ("/tmp/*", "/run/*", "/var/log/*")  # noqa: S108 paths in the container
    trouble: tuple[LogPattern, ...] = (LogPattern(r"\b(FATAL|PANIC)\b", "the program itself calls it fatal"),)
    noise: tuple[LogPattern, ...] = ()

    def ready(self, at: Target) -> Judgement:
        """Ask once whether the health endpoint of the inventory answers."""
        health = at.options.get("health") or {"kind": "container"}
        if health["kind"] == "http":
            return judge_http(at, str(health["path"]))
        if health["kind"] == "tcp":
            return _judge_tcp(at)
        told = f"{at.service} on {at.container.host}: {at.container.state}, health {at.container.health}"
        good = at.container.running and at.container.health in {"healthy", "none"}
        return passed(told) if good else failed(f"{told}. Expected: running and healthy")

    def smoke(self, at: Target, nonce: str) -> Judgement:  # noqa: ARG002 nothing is known that it could do
        """Ask its health once more, through the published port."""
        return self.ready(at)

    def fingerprint(self, at: Target, since: Fingerprint | None) -> Fingerprint:  # noqa: ARG002
        """Return no parts: only its files can be compared, and they are."""
        return Fingerprint(at.service, {})

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:  # noqa: ARG002
        """Return no export: its volumes are archived."""
        return ()


def _judge_tcp(at: Target) -> Judgement:
    where = f"{at.service} on {at.container.host}"
    try:
        with socket.create_connection((at.endpoint.host, at.endpoint.port), timeout=CONNECT_S) as connection:
            # Through an ssh forward the connect itself always works: only a close right away tells that nobody is there.
            connection.settimeout(0.5)
            if connection.recv(1) == b"":
                return failed(f"{where}: the connection is closed at once. Expected: open")
    except TimeoutError:
        return passed(f"{where}: accepts TCP connections")
    except OSError as error:
        return failed(f"{where}: {error.strerror or error}. Expected: a TCP connection")
    return passed(f"{where}: accepts TCP connections and speaks first")
