"""A Prometheus is asked over days: its answer becomes rows of numbers, whatever else it says becomes a reason, its
secrets are in none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import pytest
import requests

from engine.errors import DeadlineError, NotObservedError, UnreachableError
from engine.redaction.redactor import Secret
from hosts.local import http, prometheus
from hosts.local.prometheus import Prometheus, Series, basic, bearer, parse_matrix

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN: Final = "t0ken-of-the-lab-é"
SERVER: Final = Prometheus("https://prom.invalid:9090/base/", bearer(Secret(TOKEN)))
RECORDED: Final = Path(__file__).parents[3] / "recorded" / "prometheus_range"
Post = Callable[..., list[dict[str, Any]]]


def matrix(*rows: Any) -> bytes:
    """Return an answer of these rows."""
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": list(rows)}}).encode()


def row(*values: Any) -> dict[str, Any]:
    """Return a row."""
    return {"metric": {"instance": "wf001:9100"}, "values": list(values)}


class Answer:
    """What requests gives back: a status and pieces."""

    def __init__(self, status: int, pieces: list[bytes]) -> None:
        self.status_code, self.pieces = status, pieces

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def iter_content(self, _size: int) -> Iterator[bytes]:
        """Yield the pieces."""
        yield from self.pieces


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Post:
    """Let requests answer so, or raise; what it was asked is returned."""

    def answer(status: int = 200, *pieces: bytes, raises: Exception | None = None) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def fake(_session: requests.Session, method: str, url: str, **more: Any) -> Answer:
            asked.append({"method": method, "url": url, **more})
            if raises:
                raise raises
            return Answer(status, list(pieces))

        monkeypatch.setattr(requests.Session, "request", fake)
        return asked

    return answer


def ask() -> tuple[Series, ...]:
    """Ask for an hour."""
    return SERVER.ask_range("up", START, START + timedelta(hours=1), 300)


def test_what_is_asked_and_what_comes_of_it(post: Post) -> None:
    """One request with a deadline, to the address with its path; no redirect is followed with the secret."""
    content = matrix(row([1767225600, "1.5"]))
    asked = post(200, content[:20], content[20:])

    assert ask() == (Series({"instance": "wf001:9100"}, ((1767225600.0, 1.5),)),)
    one = asked[0]
    assert one["method"] == "POST"
    assert one["url"] == "https://prom.invalid:9090/base/api/v1/query_range"
    assert one["data"] == {"query": "up", "start": "1767225600", "end": "1767229200", "step": "300", "timeout": "30s"}
    assert (one["timeout"], one["allow_redirects"]) == ((5.0, 30.0), False)
    assert (
        requests.Request("POST", one["url"], auth=one["auth"])
        .prepare()
        .headers["Authorization"]
        .startswith("Bearer t0ken")
    )


def test_a_recorded_answer_is_read(post: Post) -> None:
    """As Prometheus 2.53.3 gave it to the query for what a container read, and to one that it does not understand."""
    post(200, (RECORDED / "matrix.json").read_bytes())
    (found,) = ask()

    assert found.labels == {"instance": "wf005:8080", "name": "redis", "device": "/dev/sda"}
    assert [value for _, value in found.points] == [287000000.0, 0.0, 1000000.0]
    post(400, (RECORDED / "bad_data.json").read_bytes())
    with pytest.raises(NotObservedError, match=r"400 \(bad_data\)"):
        ask()


def test_the_header_is_set_and_no_netrc_is_asked() -> None:
    """In the very bytes of the token; without one requests is kept from finding another."""

    def sent(server: Prometheus) -> Any:
        request = requests.Request(
            "POST", "https://prom.invalid", auth=prometheus._Header(server.authorization)
        ).prepare()
        return request.headers.get("Authorization")

    assert sent(SERVER).encode("latin-1").decode() == f"Bearer {TOKEN}"
    assert sent(Prometheus("https://prom.invalid", basic("ops", Secret("pw")))) == "Basic b3BzOnB3"
    assert sent(Prometheus("https://prom.invalid")) is None


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (401, b"no", "401, login refused. Expected: 200. Set its secrets"),
        (403, b"no", "403, login refused"),
        (302, b"", "302. Expected: 200. Try: curl"),
        (404, b"<html>", "404. Expected: 200"),
        (
            422,
            b'{"status":"error","errorType":"execution","error":"too many samples"}',
            r"422 \(execution\). Expected: 200",
        ),
        (400, json.dumps({"errorType": f"Bearer {TOKEN}"}).encode(), "400. Expected"),
        (503, b"[1]", "503. Expected"),
        (200, b"", "its answer is not JSON"),
        (200, b"<html>" + TOKEN.encode(), "its answer is not JSON"),
        (200, b"\xff\xfe", "its answer is not JSON"),
        (200, b"[" * 100_000, "its answer is not JSON"),
        (200, b"null", "its answer tells of no success"),
        (200, b'{"status":"success"}', "its answer tells of no success"),
        (200, b'{"status":"error","data":{}}', "its answer tells of no success"),
        (200, b'{"status":"success","data":{"resultType":"vector","result":[]}}', "its answer is no matrix"),
        (200, b'{"status":"success","data":{"resultType":"matrix","result":{}}}', "its answer is no matrix"),
        (200, matrix(1), "a row of its answer has no labels"),
        (200, matrix({"metric": [], "values": []}), "a row of its answer has no labels"),
        (200, matrix({"metric": {}, "values": "1"}), "a row of its answer has no labels"),
        (200, matrix(row([1])), "a value of its answer is no number"),
        (200, matrix(row(1)), "a value of its answer is no number"),
        (200, matrix(row([1, None])), "a value of its answer is no number"),
        (200, matrix(row([1, "one"])), "a value of its answer is no number"),
        (200, matrix(row([1, [2]])), "a value of its answer is no number"),
    ],
)
def test_every_other_answer_is_a_reason(post: Post, status: int, content: bytes, expected: str) -> None:
    """Never a traceback, never a number, and never what it was asked with."""
    post(status, content)

    with pytest.raises(NotObservedError, match=expected) as found:
        ask()
    assert str(found.value).startswith("Prometheus https://prom.invalid:9090/base/: ")
    assert TOKEN not in str(found.value)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (requests.ConnectTimeout(TOKEN), DeadlineError),
        (requests.ReadTimeout(TOKEN), DeadlineError),
        (requests.ConnectionError(TOKEN), UnreachableError),
        (requests.exceptions.ChunkedEncodingError(TOKEN), UnreachableError),
        (ConnectionResetError(TOKEN), UnreachableError),
        (ValueError(f"Invalid header value {TOKEN}"), UnreachableError),
    ],
)
def test_no_answer_is_a_reason(post: Post, raised: Exception, kind: type[Exception]) -> None:
    """The texts of its errors may hold the request: they are neither shown nor chained."""
    post(raises=raised)

    with pytest.raises(kind) as found:
        ask()
    assert TOKEN not in str(found.value)
    assert found.value.__suppress_context__
    assert "Try: curl -sS 'https://prom.invalid:9090/base/api/v1/query?query=up'" in str(found.value)


def test_an_answer_that_drips_or_does_not_end_is_given_up(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is the whole answer's; and nothing fills the memory."""
    post(200, b"{", b" ", b" ")
    clock = iter([0.0, 20.0, 40.0])
    with monkeypatch.context() as patched:
        patched.setattr(http, "time", type("Clock", (), {"monotonic": staticmethod(lambda: next(clock))}))
        with pytest.raises(DeadlineError, match="2 bytes and no end within 30 s"):
            ask()
    post(200, b"x" * 20)
    monkeypatch.setattr(prometheus, "MOST_BYTES", 10)
    with pytest.raises(NotObservedError, match="more than 10 bytes"):
        ask()


def test_what_is_no_number_is_not_known() -> None:
    """NaN, infinities and what is below zero are left out, not taken for 0."""
    values = [[1, "NaN"], [2, "+Inf"], [3, "-Inf"], [4, "-1"], [5, "0"], [6, "1e3"], [1e30, "1"]]

    assert parse_matrix(matrix(row(*values)))[0].points == ((5.0, 0.0), (6.0, 1000.0))
    assert parse_matrix(matrix()) == ()
    assert parse_matrix(matrix({"metric": {}}))[0].points == ()


def test_the_secret_is_in_no_text_of_the_server() -> None:
    """Whoever prints it prints its address."""
    assert repr(SERVER) == "Prometheus(url='https://prom.invalid:9090/base/')"
