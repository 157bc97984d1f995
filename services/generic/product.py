"""Any container: health by HTTP, by TCP or by its own health check; no fingerprint but what its files give.

Without any health check only Docker is asked: a program that ends and is started again is no service, so it must have
run for a while.
"""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import Final

from engine.contracts import product as contract
from engine.contracts.container import ContainerCommand, ContainerFacts
from engine.contracts.fingerprint import Fingerprint
from engine.contracts.product import LogPattern, ServiceInstance
from engine.finding import say
from engine.verdict import Judgement, failed, passed
from services.clients.http import judge_http

CONNECT_S: Final = 5.0
SILENT_S: Final = 10.0
"""Through a forward a connection that nobody takes is closed only after the far host was tried; one that stays open for
so long is taken.
"""
RUNS_S: Final = 30.0
STEADY_S: Final = 3600.0
"""So long a container without a health check must have run: without a restart, or since its last one."""


class Product(contract.Product):
    """A container with nothing known but its health."""

    name = "generic"
    acts_on_start = False
    stop_grace_s = 30
    clean_exit_codes = frozenset({0, 143})
    ready_deadline_s = 60.0
    state_paths: tuple[str, ...] = ()
    writable_noise: tuple[str, ...] = ("/tmp/*", "/run/*", "/var/log/*")  # noqa: S108 paths in the container
    trouble: tuple[LogPattern, ...] = (LogPattern(r"\b(FATAL|PANIC)\b", say("the program itself calls it fatal")),)
    noise: tuple[LogPattern, ...] = ()

    def ready(self, at: ServiceInstance) -> Judgement:
        """Ask once whether the health endpoint of the inventory answers."""
        health = at.options.get("health") or {"kind": "container"}
        if health["kind"] == "http":
            return judge_http(at, str(health["path"]))
        if health["kind"] == "tcp":
            return _judge_tcp(at)
        return _judge_container(at)

    def smoke(self, at: ServiceInstance, nonce: str) -> Judgement:  # noqa: ARG002 nothing is known that it could do
        """Ask its health once more, through the published port."""
        return self.ready(at)

    def fingerprint(self, at: ServiceInstance, since: Fingerprint | None) -> Fingerprint:  # noqa: ARG002
        """Return no parts: only its files can be compared, and they are."""
        return Fingerprint(at.service, {})

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:  # noqa: ARG002
        """Return no export: its volumes are archived."""
        return ()


def _judge_container(at: ServiceInstance) -> Judgement:
    """Judge by what Docker says: its health check, and without one that it has run for a while and was not
    restarted.
    """
    container, state = at.container, at.container.raw.get("State") or {}
    restarts = int(container.raw.get("RestartCount") or 0)
    seen = say(
        "{where}: {state}, health {health}, {restarts} restarts",
        where=at.where,
        state=container.state,
        health=container.health,
        restarts=restarts,
    )
    if not container.running or container.health not in {"healthy", "none"}:
        return failed(say("{seen}. Expected: running and healthy", seen=seen))
    if container.health == "healthy":
        return passed(seen)
    started = str(state.get("StartedAt") or "")
    runs_s = (_now() - datetime.fromisoformat(started[:19]).replace(tzinfo=UTC)).total_seconds() if started else 0.0
    if runs_s < (STEADY_S if restarts else RUNS_S):
        wanted = say(
            "{runs_s:.0f} s without a restart, or {steady_s:.0f} minutes since the last one",
            runs_s=RUNS_S,
            steady_s=STEADY_S / 60,
        )
        return failed(
            say(
                "{seen}, for {runs_s:.0f} s. Expected: {wanted}: it has no health check, so nothing else shows that "
                "it works",
                seen=seen,
                runs_s=max(runs_s, 0),
                wanted=wanted,
            )
        )
    return passed(
        say("{seen}, for {runs_s:.0f} s; it has no health check, so nothing was asked of it", seen=seen, runs_s=runs_s)
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _judge_tcp(at: ServiceInstance) -> Judgement:
    """Judge by a connection that stays open: an ssh forward takes every connection, and closes it when the far end
    refuses.

    ssh(1) opens the channel after it has accepted; a refusal comes back a round trip later (RFC 4254, 7.2:
    SSH_MSG_CHANNEL_OPEN_FAILURE).
    """
    try:
        with socket.create_connection((at.endpoint.host, at.endpoint.port), timeout=CONNECT_S) as connection:
            connection.settimeout(SILENT_S)
            if connection.recv(1) == b"":
                return failed(
                    say("{where}: the connection is closed. Expected: open. {look}", where=at.where, look=_look(at))
                )
    except TimeoutError:
        return passed(
            say(
                "{where}: a TCP connection stays open for {silent_s:.0f} s; what it serves is not known here",
                where=at.where,
                silent_s=SILENT_S,
            )
        )
    except OSError as error:
        return failed(
            say(
                "{where}: {strerror}. Expected: a TCP connection. {look}",
                where=at.where,
                strerror=error.strerror or error,
                look=_look(at),
            )
        )
    return passed(say("{where}: accepts TCP connections and speaks first", where=at.where))


def _look(at: ServiceInstance) -> str:
    return say("Try: ssh {host} docker logs --tail 50 {name}", host=at.container.host, name=at.container.name)
