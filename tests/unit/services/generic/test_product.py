"""A container of which little is known: a forward's own listener is no answer, and a program that is started again and
again no service.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.contracts.host import Endpoint
from engine.contracts.product import ServiceInstance
from services.generic import product as generic
from services.generic.product import Product
from tests.fakes.http_product import target

really_sleep = time.sleep


@contextmanager
def forward(far_end: Callable[[socket.socket], None]) -> Iterator[ServiceInstance]:
    """Serve as `ssh -L` does: take each connection at once, whatever the far end says later."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    far_end(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield replace(
            target("shop", {"health": {"kind": "tcp", "port": 80}}),
            endpoint=Endpoint("127.0.0.1", listener.getsockname()[1]),
        )
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize(
    ("far_end", "ready"),
    [
        (lambda _connection: really_sleep(0.8), False),  # refused a round trip later: nobody listens there
        (lambda connection: connection.sendall(b"220 hello\r\n"), True),
        (lambda connection: connection.recv(1), True),  # open and silent: it waits for the client
    ],
)
def test_tcp_is_open_only_when_the_far_end_takes_it(
    monkeypatch: pytest.MonkeyPatch, far_end: Callable[[socket.socket], None], ready: bool
) -> None:
    """A refusal that takes longer than half a second is a refusal."""
    monkeypatch.setattr(generic, "SILENT_S", 1.5)
    with forward(far_end) as at:
        answer = Product().ready(at)

    assert answer.passed is ready, answer.text


NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "restarts", "health", "ready"),
    [
        (40, 0, "none", True),
        (5, 0, "none", False),
        (40, 1, "none", False),
        (4000, 3, "none", True),
        (5, 2, "healthy", True),
        (4000, 0, "starting", False),
        (None, 0, "none", False),
    ],
)
def test_without_a_health_check_it_must_have_run_for_a_while(
    monkeypatch: pytest.MonkeyPatch, seconds: int | None, restarts: int, health: str, ready: bool
) -> None:
    """Between two crashes a container is "running" too."""
    monkeypatch.setattr(generic, "_now", lambda: NOW)
    started = "" if seconds is None else (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    raw: dict[str, Any] = {"RestartCount": restarts, "State": {"StartedAt": started}}
    at = target("shop", {"health": None})
    answer = Product().ready(replace(at, container=replace(at.container, health=health, raw=raw)))

    assert answer.passed is ready, answer.text
    assert health != "none" or "no health check" in answer.text
