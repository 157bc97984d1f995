"""One HTTP request: to the host that was named, in bounded time and memory."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from engine.cancellation import Cancellation, CancelledError, cancellable
from hosts.local import http
from hosts.local.http import Answer, Bounds, TooLongError, TooSlowError, basic, request

BOUNDS = Bounds(5.0, 5.0)


@contextmanager
def _serving(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Answer each connection of a loopback port so; yield the port and what came."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    seen.append(connection.recv(65_536))
                    connection.sendall(answer)

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1], seen
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.usefixtures("loopback")
def test_no_redirect_is_followed() -> None:
    """Another host never gets the header with the credential: the redirect itself is the answer, and no success."""
    with _serving(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") as (elsewhere, stolen):
        moved = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{elsewhere}/\r\nContent-Length: 0\r\n\r\n"
        with _serving(moved.encode()) as (port, _):
            answer = request("GET", f"http://127.0.0.1:{port}/", BOUNDS, headers={"Authorization": "Bearer s3cr3t"})

    assert (answer.status_code, answer.ok) == (302, False)
    assert stolen == []


@pytest.fixture
def body(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let requests answer with this body; the same dictionary then holds what it was asked with."""
    given: dict[str, Any] = {"content": b""}

    def fake(session: requests.Session, method: str, url: str, **more: Any) -> requests.Response:
        given.update(trust_env=session.trust_env, **more)
        answer = requests.Response()
        answer.status_code, answer.raw = 200, io.BytesIO(given["content"])
        return answer

    monkeypatch.setattr(requests.Session, "request", fake)
    return given


def test_what_each_request_is_sent_with(body: dict[str, Any]) -> None:
    """Timeouts, no redirects, nothing of the surroundings, and the body in pieces."""
    request("GET", "http://wf001/", Bounds(10.0, 60.0, connect_s=3.0))
    assert (body["trust_env"], body["allow_redirects"], body["stream"]) == (False, False, True)
    assert body["timeout"] == (3.0, 10.0)


def test_a_body_has_a_bound(body: dict[str, Any]) -> None:
    """Nothing fills the memory: what is longer is no answer."""
    body["content"] = b"x" * 20
    assert request("GET", "http://wf001/", Bounds(5.0, 5.0, most_bytes=20)).content == b"x" * 20
    with pytest.raises(TooLongError):
        request("GET", "http://wf001/", Bounds(5.0, 5.0, most_bytes=19))


def test_a_body_that_drips_has_a_deadline(body: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is that of the whole answer, not of each piece."""
    body["content"], clock = b"xyz", iter([0.0, 3.0, 6.0])
    monkeypatch.setattr(http, "PIECE_BYTES", 1)
    monkeypatch.setattr(http, "time", type("Clock", (), {"monotonic": staticmethod(lambda: next(clock))}))
    with pytest.raises(TooSlowError, match="2 bytes and no end"):
        request("GET", "http://wf001/", BOUNDS)


def test_cancelled_work_asks_nothing(body: dict[str, Any]) -> None:
    """A run that was interrupted sends no further request."""
    cancellation = Cancellation()
    cancellation.cancel()
    with cancellable(cancellation), pytest.raises(CancelledError):
        request("GET", "http://wf001/", BOUNDS)
    assert "timeout" not in body


def test_an_answer_is_read_as_utf8_and_json() -> None:
    """A damaged body is no exception of its own kind."""
    assert Answer(200, "São".encode()).text == "São"
    assert Answer(200, b"\xff").text == "\ufffd"
    assert Answer(200, b'{"a": 1}').json() == {"a": 1}
    for content in (b"", b"<html>", b"\xff\xfe", b"[" * 100_000):
        with pytest.raises(ValueError, match=r"Expecting value|codec|deep"):
            Answer(200, content).json()


def test_the_header_of_a_user_and_a_password() -> None:
    """In UTF-8, as RFC 7617 (2.1) recommends."""
    assert basic("ops", "pässword") == "Basic b3BzOnDDpHNzd29yZA=="
