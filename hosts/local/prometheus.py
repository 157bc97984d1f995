"""Ask a Prometheus what it recorded over days. Its address is told in messages, what it lets us in with never."""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import requests
from requests.auth import AuthBase

from engine.errors import DeadlineError, NotObservedError, UnreachableError
from engine.redaction.redactor import Secret

CONNECT_S: Final = 5.0
DEADLINE_S: Final = 30.0
"""For the whole answer, not for each piece of it."""
MOST_BYTES: Final = 256 * 1024**2
PIECE_BYTES: Final = 64 * 1024
YEAR_9999: Final = 253_370_764_800.0
"""Later, Python has no date."""
REFUSED: Final = frozenset({requests.codes.unauthorized, requests.codes.forbidden})


@dataclass(frozen=True)
class Series:
    """One row of an answer: its labels, and (seconds since 1970, value) of each step that has a value."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Prometheus:
    """One server; `authorization` is the whole header."""

    url: str
    authorization: Secret | None = field(default=None, repr=False)

    def ask_range(self, query: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        """Return what a query gives at each step; raises CouldNotLookError for every other answer, and for none.

        https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries
        """
        asked = {
            "query": query,
            "start": f"{start.timestamp():.0f}",
            "end": f"{end.timestamp():.0f}",
            "step": f"{step_s:.0f}",
        }
        status, content = self._post({**asked, "timeout": f"{DEADLINE_S:.0f}s"})
        if status in REFUSED:
            raise NotObservedError(
                f"{self._where}: {status}, login refused. Expected: 200. Set its secrets in environments/*.yaml"
            )
        if status != requests.codes.ok:
            raise NotObservedError(f"{self._where}: {status}{_kind_of(content)}. Expected: 200. {self._advice}")
        try:
            return parse_matrix(content)
        except ValueError as error:
            raise NotObservedError(
                f"{self._where}: {error}. Expected: the answer of a Prometheus. {self._advice}"
            ) from None

    def _post(self, asked: Mapping[str, str]) -> tuple[int, bytes]:
        ends, content = time.monotonic() + DEADLINE_S, bytearray()
        try:
            with (
                _session() as session,
                session.post(
                    f"{self.url.rstrip('/')}/api/v1/query_range",
                    data=asked,
                    auth=_Header(self.authorization),
                    timeout=(CONNECT_S, DEADLINE_S),
                    stream=True,
                    allow_redirects=False,
                ) as answer,
            ):
                for piece in answer.iter_content(PIECE_BYTES):
                    content += piece
                    if time.monotonic() > ends:
                        raise DeadlineError(
                            f"{self._where}: {len(content):,} bytes and no end within {DEADLINE_S:g} s. {self._advice}"
                        )
                    if len(content) > MOST_BYTES:
                        raise NotObservedError(
                            f"{self._where}: more than {MOST_BYTES:,} bytes. Expected: less. Ask for fewer "
                            "hosts: --shard 1/4"
                        )
                return answer.status_code, bytes(content)
        except requests.Timeout:
            raise DeadlineError(f"{self._where}: no answer within {DEADLINE_S:g} s. {self._advice}") from None
        except (requests.RequestException, OSError, ValueError) as error:  # their texts may hold the request
            raise UnreachableError(f"{self._where}: no answer ({type(error).__name__}). {self._advice}") from None

    @property
    def _where(self) -> str:
        return f"Prometheus {self.url}"

    @property
    def _advice(self) -> str:
        return f"Try: curl -sS '{self.url.rstrip('/')}/api/v1/query?query=up'"


def _session() -> requests.Session:
    """Return a session that goes through no proxy, and takes no credentials or roots, of the operator's shell
    (requests: `Session.trust_env`).
    """
    session = requests.Session()
    session.trust_env = False
    return session


class _Header(AuthBase):
    """Sets the header."""

    def __init__(self, authorization: Secret | None) -> None:
        self.authorization = authorization

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.authorization is not None:
            request.headers["Authorization"] = (
                self.authorization.reveal().encode().decode("latin-1")
            )  # sent as these very bytes
        return request


def bearer(token: Secret) -> Secret:
    """Return the header of a token."""
    return Secret(f"Bearer {token.reveal()}")


def basic(user: str, password: Secret) -> Secret:
    """Return the header of a user and a password."""
    return Secret("Basic " + base64.b64encode(f"{user}:{password.reveal()}".encode()).decode())


def parse_matrix(content: bytes) -> tuple[Series, ...]:
    """Parse the answer to a range query; raises ValueError, whose text quotes nothing of it.

    What is no number (NaN, an infinity) or below zero is left out: not known.
    """
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("its answer is not JSON") from None
    if not isinstance(data, dict) or data.get("status") != "success" or not isinstance(data.get("data"), dict):
        raise ValueError("its answer tells of no success")
    if data["data"].get("resultType") != "matrix" or not isinstance(data["data"].get("result"), list):
        raise ValueError("its answer is no matrix")
    return tuple(_series(row) for row in data["data"]["result"])


def _series(row: Any) -> Series:
    row = row if isinstance(row, dict) else {}
    labels, values = row.get("metric"), row.get("values", [])
    if not (isinstance(labels, dict) and isinstance(values, list)):
        raise ValueError("a row of its answer has no labels and values")  # noqa: TRY004 one kind of error for all that it is not
    points = tuple(point for pair in values if (point := _point(pair)) is not None)
    return Series({str(name): str(value) for name, value in labels.items()}, points)


def _point(pair: Any) -> tuple[float, float] | None:
    try:
        at, value = pair
        point = float(at), float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("a value of its answer is no number at a time") from None
    return point if math.isfinite(point[1]) and point[1] >= 0 and 0 <= point[0] < YEAR_9999 else None


def _kind_of(content: bytes) -> str:
    """Return the kind of error that Prometheus names, in its own fixed words; its text may quote what was
    asked with.
    """
    try:
        kind = json.loads(content).get("errorType")
    except (ValueError, AttributeError, RecursionError):
        return ""
    known = {
        "timeout",
        "canceled",
        "execution",
        "bad_data",
        "internal",
        "unavailable",
        "not_found",
        "not_acceptable",
        "too_many_requests",
    }
    return f" ({kind})" if isinstance(kind, str) and kind in known else ""
