"""HTTP questions to a service: deadlines, and "no answer" told apart from "wrong answer"."""

from __future__ import annotations

from typing import Any, Final

import requests

from engine.errors import UnreachableError
from engine.model import Target
from engine.verdict import Judgement, failed, passed

DEADLINE_S: Final = 10.0
LONG_DEADLINE_S: Final = 60.0


def ask(at: Target, path: str, *, params: dict[str, Any] | None = None, deadline_s: float = DEADLINE_S) -> requests.Response:
    """Return the answer to a GET; raises UnreachableError when there is none."""
    try:
        return requests.get(at.endpoint.url(path), params=params, timeout=deadline_s, allow_redirects=False)
    except requests.RequestException as error:
        raise UnreachableError(
            f"{at.service} on {at.container.host}: GET {path}: no answer ({type(error).__name__}). "
            f"Try: ssh {at.container.host} docker logs --tail 20 {at.container.name}"
        ) from error


def judge_http(at: Target, path: str) -> Judgement:
    """Judge whether a GET answers 200."""
    try:
        answer = ask(at, path)
    except UnreachableError as error:
        return failed(str(error))
    where = f"{at.service} on {at.container.host}: GET {path}"
    if answer.status_code != requests.codes.ok:
        return failed(f"{where}: {answer.status_code} {answer.text[:200]!r}. Expected: 200")
    return passed(f"{where}: 200 in {answer.elapsed.total_seconds() * 1000:.0f} ms")
