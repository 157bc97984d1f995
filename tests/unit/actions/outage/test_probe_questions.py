"""What the probe asks at a product's own level: the words of its aim and its program fit together."""

from __future__ import annotations

from typing import Any

import pytest

from actions.outage.probe_program import PROBE_PROGRAM
from actions.outage.vantage_point import ProbeTarget
from services.registry import product

DEFINITIONS = PROBE_PROGRAM.partition("\nlock, free, starts")[0]


class Socket:
    """Answers once, and keeps what it was sent."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.sent = answer, b""

    def sendall(self, content: bytes) -> None:
        """Keep it."""
        self.sent += content

    def recv(self, _size: int) -> bytes:
        """Answer."""
        return self.answer


def _ask(monkeypatch: pytest.MonkeyPatch, aim: ProbeTarget, answer: bytes) -> tuple[bool, bytes]:
    """Return what the program takes an answer for, and what it sent."""
    monkeypatch.setattr("sys.argv", ["-c", aim.name, str(aim.port), "0.1", *aim.words()])
    program: dict[str, Any] = {}
    exec(DEFINITIONS, program)  # noqa: S102 our own program
    sock = Socket(answer)
    good, _seen = program["ask"](sock)
    return good, sock.sent


@pytest.mark.parametrize(
    ("name", "sent", "good", "bad"),
    [
        ("postgres", bytes.fromhex("0000000804d2162f"), (b"S", b"N"), (b"E", b"")),
        ("redis", b"PING\r\n", (b"+PONG\r\n", b"-NOAUTH Authentication required.\r\n"), (b"-LOADING", b"", b"+OK")),
    ],
)
def test_a_products_own_question(
    monkeypatch: pytest.MonkeyPatch, name: str, sent: bytes, good: tuple[bytes, ...], bad: tuple[bytes, ...]
) -> None:
    """These bytes are sent before any login, and only these beginnings are good answers."""
    own = product(name).probe_question
    assert own is not None
    aim = ProbeTarget("shop", name, 1, own.name, own=own)

    assert [_ask(monkeypatch, aim, answer) for answer in good] == [(True, sent)] * len(good)
    assert [_ask(monkeypatch, aim, answer) for answer in bad] == [(False, sent)] * len(bad)
    assert aim.viewpoint("wf005") == f"{name} at {name}:1 from network shop on wf005"


def test_the_health_path_and_an_open_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a product has no question of its own: HTTP below 500 is an answer; else a connection is."""
    page = ProbeTarget("host", "wf005", 80, "http", "/ready")

    assert _ask(monkeypatch, page, b"HTTP/1.1 204 No Content\r\n") == (
        True, b"GET /ready HTTP/1.0\r\nHost: wf005\r\nUser-Agent: longshore-probe\r\n\r\n"
    )  # fmt: skip
    assert not _ask(monkeypatch, page, b"HTTP/1.1 502 Bad Gateway\r\n")[0]
    assert _ask(monkeypatch, ProbeTarget("host", "wf005", 80, "tcp"), b"") == (True, b"")
