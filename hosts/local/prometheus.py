"""Ask a Prometheus what it recorded over days. Messages show its address, never its credentials."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import requests
from requests.auth import AuthBase

from engine.errors import DeadlineError, NotObservedError, UnreachableError
from engine.finding import say
from engine.redaction.redactor import Secret
from hosts.local import http
from hosts.local.http import LOGIN_REFUSED, MOST_BYTES, Bounds, TooLongError, TooSlowError, request

CONNECT_S: Final = 5.0
DEADLINE_S: Final = 30.0
"""For the whole answer, not for each piece of it."""
YEAR_9999: Final = 253_370_764_800.0
"""Later, Python has no date."""


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
        if status in LOGIN_REFUSED:
            raise NotObservedError(
                say(
                    "{where}: {status}, login refused. Expected: 200. Set its secrets in environments/*.yaml",
                    where=self._where,
                    status=status,
                )
            )
        if status != requests.codes.ok:
            raise NotObservedError(
                say(
                    "{where}: {status}{kind_of}. Expected: 200. {advice}",
                    where=self._where,
                    status=status,
                    kind_of=_kind_of(content),
                    advice=self._advice,
                )
            )
        try:
            return parse_matrix(content)
        except ValueError as error:
            raise NotObservedError(
                say(
                    "{where}: {error}. Expected: the answer of a Prometheus. {advice}",
                    where=self._where,
                    error=error,
                    advice=self._advice,
                )
            ) from None

    def _post(self, asked: Mapping[str, str]) -> tuple[int, bytes]:
        url = f"{self.url.rstrip('/')}/api/v1/query_range"
        bounds = Bounds(DEADLINE_S, DEADLINE_S, CONNECT_S, MOST_BYTES)
        try:
            answer = request("POST", url, bounds, data=asked, auth=_Header(self.authorization))
        except TooSlowError as slow:
            raise DeadlineError(
                say(
                    "{where}: {slow} within {deadline_s:g} s. {advice}",
                    where=self._where,
                    slow=slow,
                    deadline_s=DEADLINE_S,
                    advice=self._advice,
                )
            ) from None
        except TooLongError:
            raise NotObservedError(
                say(
                    "{where}: more than {most_bytes:,} bytes. Expected: less. Ask for fewer hosts: --shard 1/4",
                    where=self._where,
                    most_bytes=MOST_BYTES,
                )
            ) from None
        except requests.Timeout:
            raise DeadlineError(
                say(
                    "{where}: no answer within {deadline_s:g} s. {advice}",
                    where=self._where,
                    deadline_s=DEADLINE_S,
                    advice=self._advice,
                )
            ) from None
        except (requests.RequestException, OSError, ValueError) as error:  # their texts may hold the request
            raise UnreachableError(
                say(
                    "{where}: no answer ({name}). {advice}",
                    where=self._where,
                    name=type(error).__name__,
                    advice=self._advice,
                )
            ) from None
        return answer.status_code, answer.content

    @property
    def _where(self) -> str:
        return say("Prometheus {url}", url=self.url)

    @property
    def _advice(self) -> str:
        return say("Try: curl -sS '{url}/api/v1/query?query=up'", url=self.url.rstrip("/"))


class _Header(AuthBase):
    """Sets the header."""

    def __init__(self, authorization: Secret | None) -> None:
        self.authorization = authorization

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.authorization is not None:
            request.headers["Authorization"] = (
                self.authorization.reveal().encode().decode("latin-1")
            )  # sent as exactly these bytes
        return request


def bearer(token: Secret) -> Secret:
    """Return the header of a token."""
    return Secret(f"Bearer {token.reveal()}")


def basic(user: str, password: Secret) -> Secret:
    """Return the header of a user and a password."""
    return Secret(http.basic(user, password.reveal()))


def parse_matrix(content: bytes) -> tuple[Series, ...]:
    """Parse the answer to a range query; raises ValueError, whose text quotes nothing of it.

    What is no number (NaN, an infinity) or below zero is left out: not known.
    """
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("its answer is not JSON") from None
    if not isinstance(data, dict) or data.get("status") != "success" or not isinstance(data.get("data"), dict):
        raise ValueError("its answer reports no success")
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
