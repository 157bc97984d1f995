"""Messages really arrive over HTTP; an address that is dead or hangs costs a run nothing and is shown nowhere. Loopback
only, no lab host.
"""

from __future__ import annotations

import io
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from engine.config.scope import build_scope
from engine.i18n.language import ENGLISH
from engine.verdict import ExitCode
from hosts.local.notifications import VARIABLE
from phases.session.notifications import notify
from tests.fakes.project_files import make_environment, make_inventory, make_plan
from tests.fakes.run_on_record import MOVES, Night

TOKEN = "T0k3n-of-a-room"
pytestmark = [
    pytest.mark.lab,
    pytest.mark.no_hosts,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]  # of apprise's own modules


class Sink:
    """A web server on loopback that keeps what it gets."""

    def __init__(self) -> None:
        """Start it."""
        self.got: list[dict[str, Any]] = []
        got = self.got

        class Keeper(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                got.append({"path": self.path, **json.loads(self.rfile.read(int(self.headers["Content-Length"])))})
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Keeper)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """Return it as apprise writes it."""
        return f"json://127.0.0.1:{self.server.server_port}/{TOKEN}"


@pytest.fixture
def sink() -> Iterator[Sink]:
    """Return a running sink."""
    one = Sink()
    yield one
    one.server.shutdown()
    one.server.server_close()


def migrate(path: Path, screen: io.StringIO) -> Night:
    """Let a migration of one service go by, and return it."""
    night = Night(path, moves=MOVES)
    scope = build_scope(make_inventory(), make_plan(), make_environment())
    with notify(scope, night.run, "migrate", apply=True, console=Console(file=screen, width=200), language=ENGLISH):
        night.row("FAILED", "exit code 137", sentence="It stops.")
        night.run.finish({}, ExitCode.FAILED)
    return night


def test_messages_arrive(sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start, failure and end, in their order."""
    monkeypatch.setenv(VARIABLE, sink.address)
    screen = io.StringIO()

    migrate(tmp_path, screen)

    assert [message["title"].partition("] ")[2] for message in sink.got] == [
        "migrate has begun", "redis: FAILED", "Migration of 2 services failed: 1 of 1 steps failed",
    ]  # fmt: skip
    assert {message["path"] for message in sink.got} == {f"/{TOKEN}"}
    assert "exit code 137" in sink.got[1]["message"]
    assert screen.getvalue() == ""


def test_a_dead_address_and_one_that_hangs_cost_nothing_and_are_not_shown(
    sink: Sink,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The good one gets all; the others are counted; no address on the screen, in a log or in the journal; the end
    comes soon.
    """
    caplog.set_level(logging.WARNING)
    with socket.create_server(("127.0.0.1", 0)) as deaf, socket.create_server(("127.0.0.1", 0)) as closed:
        dead = closed.getsockname()[1]
        closed.close()
        monkeypatch.setenv(
            VARIABLE,
            f"{sink.address}\njson://127.0.0.1:{dead}/{TOKEN}, json://127.0.0.1:{deaf.getsockname()[1]}/{TOKEN}?rto=1",
        )
        screen, started = io.StringIO(), time.monotonic()
        night = migrate(tmp_path, screen)

    assert time.monotonic() - started < 20
    assert [message["title"].partition("] ")[2] for message in sink.got][:2] == ["migrate has begun", "redis: FAILED"]
    assert "of 9 messages did not arrive" in screen.getvalue()
    journal = "".join(str(record.body) for record in night.journal.records())
    assert TOKEN not in caplog.text + "".join(capfd.readouterr()) + screen.getvalue() + journal
