"""HTTP questions to a service: deadlines, and "no answer" told apart from "wrong answer".

All products ask through `request`: nothing of the operator's surroundings changes who is asked or what is sent.
"""

from __future__ import annotations

from typing import Any, Final

import requests

from engine.contracts.product import ServiceInstance
from engine.errors import UnreachableError
from engine.verdict import Judgement, failed, passed

DEADLINE_S: Final = 10.0
LONG_DEADLINE_S: Final = 60.0


def request(method: str, url: str, *, timeout: float, **given: Any) -> requests.Response:
    """Return the answer to one request, redirects not followed; raises what requests raises.

    With `trust_env` requests would go through HTTP_PROXY, take credentials from ~/.netrc and roots from
    REQUESTS_CA_BUNDLE (requests' documentation, "Advanced Usage": Proxies, and `Session.trust_env`).
    """
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, timeout=timeout, allow_redirects=False, **given)


def ask(
    at: ServiceInstance, path: str, *, params: dict[str, Any] | None = None, deadline_s: float = DEADLINE_S
) -> requests.Response:
    """Return the answer to a GET; raises UnreachableError when there is none."""
    try:
        return request("GET", at.endpoint.url(path), params=params, timeout=deadline_s)
    except requests.RequestException as error:
        raise UnreachableError(
            f"{at.service} on {at.container.host}: GET {path}: no answer ({type(error).__name__}). "
            f"Try: ssh {at.container.host} docker logs --tail 20 {at.container.name}"
        ) from error


def judge_http(at: ServiceInstance, path: str) -> Judgement:
    """Judge whether a GET answers 200."""
    try:
        answer = ask(at, path)
    except UnreachableError as error:
        return failed(str(error))
    where = f"{at.service} on {at.container.host}: GET {path}"
    if answer.status_code != requests.codes.ok:
        return failed(f"{where}: {answer.status_code} {answer.text[:200]!r}. Expected: 200")
    return passed(f"{where}: 200 in {answer.elapsed.total_seconds() * 1000:.0f} ms")
