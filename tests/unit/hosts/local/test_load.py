"""The sender of load: an open model, whose latencies count from the moment at which a request should have been sent."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hosts.local.load import JUDGED_FROM, LoadRequest, LoadResult, LoadSender, Sent, nearest_rank

pytestmark = pytest.mark.usefixtures("loopback")

PROFILE = (LoadRequest("GET", "/"),)


@contextmanager
def server(answer: int = 200, frozen: threading.Event | None = None) -> Iterator[tuple[LoadSender, list[str]]]:
    """Serve on the loopback interface; while `frozen` is not set no request is answered."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        """Answers one status."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Wait while frozen, then answer."""
            asked.append(f"{self.command} {self.path}")
            if frozen is not None:
                frozen.wait(10)
            self.send_response(answer)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def do_POST(self) -> None:
            """Keep the body too."""
            asked.append(f"{self.command} {self.path} {self.rfile.read(int(self.headers['Content-Length'])).decode()}")
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    try:
        yield LoadSender(lambda path: f"http://127.0.0.1:{served.server_address[1]}{path}", PROFILE), asked
    finally:
        served.shutdown()
        served.server_close()


def test_every_request_is_sent_once_at_its_moment() -> None:
    """The moments are even, whatever the answers do."""
    with server() as (sender, asked):
        result = sender.send(50, 0.5, 0.001)
    assert len(asked) == 25
    assert [one.due_s for one in result.sent] == [number / 50 for number in range(25)]
    assert all(one.sent_s >= one.due_s for one in result.sent)
    assert (result.errors, result.stopped) == (0, "")


def test_a_server_that_stops_delays_all_that_was_due_meanwhile() -> None:
    """A sender that waits for each answer would have seen one slow request: this one sees them all."""
    go = threading.Event()
    with server(frozen=go) as (sender, _):
        threading.Timer(0.6, go.set).start()
        result = sender.send(40, 1.0, math.nan)
    slow = [one for one in result.sent if one.latency_s >= 0.6 - one.due_s]
    assert len([one for one in slow if one.due_s < 0.6]) == 24
    assert result.percentile_s(50) > 0.05
    assert result.percentile_s(99) >= 0.5


def test_the_profile_is_sent_in_turn() -> None:
    """With bodies where it has some."""
    with server() as (sender, asked):
        sender.profile = (LoadRequest("GET", "/a"), LoadRequest("POST", "/b", "x=1"))
        assert sender.send(100, 0.04, 1.0).errors == 0
    assert sorted(asked) == ["GET /a", "GET /a", "POST /b x=1", "POST /b x=1"]


def test_it_stops_itself_when_requests_fail() -> None:
    """After a few: it does not go on hurting a service that is down."""
    with server(answer=503) as (sender, asked):
        result = sender.send(200, 10, 1.0)
    assert result.stopped.endswith("requests failed")
    assert JUDGED_FROM <= len(asked) < 2000
    assert {one.wrong for one in result.sent} == {"status 503, expected 200"}


def test_it_stops_itself_when_the_service_becomes_slow() -> None:
    """Ten times its idle latency."""
    go = threading.Event()
    with server(frozen=go) as (sender, asked):
        threading.Timer(0.5, go.set).start()
        result = sender.send(100, 10, 0.001)
    assert "idle: 1 ms" in result.stopped
    assert len(asked) < 1000


def test_nobody_there_is_an_error_of_each_request() -> None:
    """And no idle latency."""
    sender = LoadSender(lambda path: f"http://127.0.0.1:9{path}", PROFILE)
    assert math.isnan(sender.idle_s())
    assert sender.send(50, 0.2, math.nan).errors == 10


def test_requests_that_find_no_sender_are_late() -> None:
    """They count from their own moment, and as sent late."""
    result = LoadResult((Sent(0, 0, 0.01), Sent(0.1, 0.5, 0.52, "timeout")), 1.0)
    assert (result.late, result.errors, result.rate) == (1, 1, 2.0)
    assert result.percentile_s(99) == pytest.approx(0.42)


def test_percentiles_are_values_that_were_seen() -> None:
    """Nearest rank."""
    values = [float(number) for number in range(1, 101)]
    assert [nearest_rank(values, percent) for percent in (0, 50, 95, 100)] == [1, 50, 95, 100]
    assert math.isnan(nearest_rank([], 50))
