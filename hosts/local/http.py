"""One HTTP request of this machine: to the host that was named and no other, in bounded time and memory.

Nothing of the operator's surroundings changes who is asked or what is sent: no proxy, no ~/.netrc, no roots of other
variables (requests' documentation, "Advanced Usage": `Session.trust_env`). No redirect is followed, so no header with a
secret goes to another host.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import Any, Final

import requests

from engine.cancellation import check_cancelled

PIECE_BYTES: Final = 64 * 1024
MOST_BYTES: Final = 256 * 1024**2
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
LOGIN_REFUSED: Final = frozenset({UNAUTHORIZED, FORBIDDEN})


@dataclass(frozen=True)
class Answer:
    """An answer that was read to its end."""

    status_code: int
    content: bytes
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Return whether it is a success: 2xx. A redirect is none, nobody follows it."""
        return 200 <= self.status_code < 300  # noqa: PLR2004 RFC 9110, 15.3

    @property
    def text(self) -> str:
        """Return its body as text."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return its body as JSON; raises ValueError for any other."""
        try:
            return json.loads(self.content)
        except RecursionError:
            raise ValueError("too deep") from None


class TooLongError(Exception):
    """The answer has more bytes than somebody keeps in memory."""


class TooSlowError(Exception):
    """The answer had no end within its time."""

    def __init__(self, received: int) -> None:
        """Keep how many bytes came."""
        super().__init__(f"{received:,} bytes and no end")
        self.received = received


@dataclass(frozen=True)
class Bounds:
    """How long an answer may take: to connect and for each piece of it, and for all of it; and how long it may be."""

    piece_s: float
    whole_s: float
    connect_s: float | None = None
    most_bytes: int = MOST_BYTES


def request(method: str, url: str, bounds: Bounds, **given: Any) -> Answer:
    """Return the answer to one request; raises what requests raises, TooSlowError and TooLongError."""
    check_cancelled()
    began, content = time.monotonic(), bytearray()
    timeout = (bounds.connect_s or bounds.piece_s, bounds.piece_s)
    with requests.Session() as session:
        session.trust_env = False
        with session.request(method, url, timeout=timeout, allow_redirects=False, stream=True, **given) as answer:
            for piece in answer.iter_content(PIECE_BYTES):
                content += piece
                check_cancelled()
                if time.monotonic() - began > bounds.whole_s:
                    raise TooSlowError(len(content))
                if len(content) > bounds.most_bytes:
                    raise TooLongError
            return Answer(answer.status_code, bytes(content), time.monotonic() - began)


def basic(user: str, password: str) -> str:
    """Return the Authorization header of a user and a password (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
