"""A product that answers from a table instead of a network, and the service on it to ask."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from engine.contracts.container import CommandResult, ContainerCommand, ContainerFacts
from engine.contracts.host import Endpoint
from engine.contracts.product import ServiceInstance
from engine.redaction.redactor import Secret

RECORDED = Path(__file__).parents[1] / "recorded"
Answer = tuple[int, Any]


def recorded(product: str) -> dict[str, dict[str, Any]]:
    """Return the recorded answers of a product: what was asked, status and body, by name."""
    return dict(json.loads((RECORDED / product / "answers.json").read_text(encoding="utf-8")))


class Answers:
    """Answers by "METHOD path"; a list is answered in turn, its last one for ever. What was asked stays in `asked`."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        table: Mapping[str, Answer | list[Answer] | Callable[[dict[str, Any]], Answer]],
    ) -> None:
        self.table = dict(table)
        self.asked: list[str] = []
        self.requests: list[dict[str, Any]] = []
        monkeypatch.setattr(
            requests.Session, "request", lambda _session, method, url, **more: self._request(method, url, **more)
        )

    def _request(self, method: str, url: str, **more: Any) -> requests.Response:
        path = "/" + url.split("/", 3)[3]
        key = f"{method} {path}"
        self.asked.append(key)
        self.requests.append({"key": key, **more})
        found = self.table.get(key, (404, {"message": "Not found"}))
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        status, body = found(more) if callable(found) else found
        answer = requests.Response()
        answer.status_code = status
        content = b"" if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
        answer.raw = io.BytesIO(content)
        return answer


def target(
    service: str,
    options: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    *,
    files: Mapping[str, str] | None = None,
    inside: Callable[[ContainerCommand], CommandResult] | None = None,
) -> ServiceInstance:
    """Return a service on wf001, all of whose ports lead to the table."""
    container = ContainerFacts(
        host="wf001",
        id="c1",
        name=service,
        image_ref="",
        image_id="",
        state="running",
        exit_code=0,
        health="none",
        restart_policy="no",
        mounts=(),
        networks={},
        published=(),
        labels={},
        env={},
        raw={},
    )
    endpoint = Endpoint("127.0.0.1", 1)
    return ServiceInstance(
        service,
        container,
        endpoint,
        options or {},
        {name: Secret(value) for name, value in (secrets or {}).items()},
        files=lambda _root: files or {},
        at_port=lambda _port: endpoint,
        inside=inside or (lambda command: ran(command, b"[]")),
    )


def ran(command: ContainerCommand, stdout: bytes, *, exit_code: int = 0, stderr: bytes = b"") -> CommandResult:
    """Return what a command inside a container answered."""
    return CommandResult(command.argv, exit_code, stdout, stderr, 0.1)
