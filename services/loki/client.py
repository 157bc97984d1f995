"""Loki's HTTP API: times in nanoseconds, the tenant's header, "no answer" distinguished from "refused"."""

from __future__ import annotations

import json
from typing import Any, Final

import requests

from engine.contracts.product import ServiceInstance
from engine.errors import UnreachableError
from engine.finding import say
from hosts.local.http import Answer
from services.clients.http import LONG_DEADLINE_S, ServiceHttp, is_troubled

NS: Final = 1_000_000_000
PAGE: Final = 1000
"""Lines of one answer; the server's own limit is 5,000 (max_entries_limit_per_query)."""

Stream = dict[str, str]


def send(
    at: ServiceInstance, method: str, path: str, *, params: dict[str, Any] | None = None, content: Any = None
) -> Answer:
    """Return an answer, whatever its status; raises UnreachableError without one."""
    headers = {"X-Scope-OrgID": str(at.options["tenant"])} if at.options.get("tenant") else {}
    client = ServiceHttp(at, headers=headers, deadline_s=LONG_DEADLINE_S, patience_s=0.0)
    return client.send(method, path, params=params, json=content)


def read(at: ServiceInstance, path: str, params: dict[str, Any]) -> Any:
    """Return `data` of a question; raises UnreachableError for an error of the server, AssertionError for a refused
    question.
    """
    answer = send(at, "GET", path, params=params)
    if answer.status_code == requests.codes.ok:
        return answer.json().get("data") or []
    message = say(
        "{where}: GET {path}: {status_code} {text}",
        where=at.where,
        path=path,
        status_code=answer.status_code,
        text=answer.text.strip()[:200],
    )
    if is_troubled(answer):
        raise UnreachableError(message)
    raise AssertionError(f"{message}. Expected: 200")


def selector_of(stream: Stream) -> str:
    """Return the selector of exactly one stream's labels."""
    return (
        "{"
        + ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(stream.items()))
        + "}"
    )


def list_streams(at: ServiceInstance, start_ns: int, end_ns: int) -> list[Stream]:
    """Return the streams that have lines in a time, but our own."""
    limits = {"start": start_ns, "end": end_ns}
    labels = read(at, "/loki/api/v1/labels", limits)
    if not labels:
        return []
    matchers = [f'{{{label}=~".+"}}' for label in labels if not label.startswith("__")]
    found = read(at, "/loki/api/v1/series", {**limits, "match[]": matchers})
    return sorted((stream for stream in found if stream.get("job") != "longshore"), key=selector_of)


def count_lines(at: ServiceInstance, stream: Stream, start_ns: int, end_ns: int) -> int:
    """Return how many lines a stream has in a time."""
    seconds = (end_ns - start_ns) // NS
    query = f"sum(count_over_time({selector_of(stream)}[{seconds}s]))"
    result = read(at, "/loki/api/v1/query", {"query": query, "time": end_ns})["result"]
    return int(float(result[0]["value"][1])) if result else 0


def read_lines(
    at: ServiceInstance, selector: str, start_ns: int, end_ns: int, *, direction: str = "forward", limit: int = PAGE
) -> list[tuple[int, str]]:
    """Return the first or last lines of a query in a time, as (nanoseconds, line)."""
    params = {"query": selector, "start": start_ns, "end": end_ns, "limit": limit, "direction": direction}
    result = read(at, "/loki/api/v1/query_range", params)["result"]
    return sorted(
        (int(moment), line)
        for stream in result
        for moment, line in ((value[0], value[1]) for value in stream["values"])
    )
