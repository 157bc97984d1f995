"""A product's JSON API: deadlines, and "no answer", "not let in" and "wrong answer" told apart in one place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import requests

from engine.contracts.host import Endpoint
from engine.contracts.product import ServiceInstance
from engine.errors import UnreachableError
from services.clients import http
from services.clients.http import DEADLINE_S

REFUSED: Final = frozenset({requests.codes.unauthorized, requests.codes.forbidden})
SAID: Final = 200
"""So much of a wrong answer is repeated in a message."""
PATIENCE_S: Final = 8.0
"""A service whose database has just moved finds the dead connections of its pool one request at a time."""
FIRST_SLEEP_S: Final = 0.2


def is_troubled(answer: requests.Response) -> bool:
    """Return whether a service says that it could not answer now, as against having said no."""
    return bool(answer.status_code >= requests.codes.server_error)


@dataclass(frozen=True)
class JsonApi:
    """One client of one running service; its headers may hold a credential and are in no message."""

    at: ServiceInstance
    endpoint: Endpoint
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    troubled: Callable[[requests.Response], bool] = is_troubled

    def send(
        self, method: str, path: str, *, deadline_s: float = DEADLINE_S, again: bool | None = None, **request: Any
    ) -> requests.Response:
        """Return whatever is answered; raises UnreachableError when nothing is.

        What may be asked `again` (reading, unless said otherwise) is, for some seconds, while the service is in
        trouble.
        """
        ends, pause = time.monotonic() + PATIENCE_S, FIRST_SLEEP_S
        while True:
            answer = self._send(method, path, deadline_s, dict(request))
            asks_again = (
                (method == "GET" if again is None else again)
                and self.troubled(answer)
                and time.monotonic() + pause < ends
            )
            if not asks_again:
                return answer
            time.sleep(pause)
            pause *= 1.5

    def _send(self, method: str, path: str, deadline_s: float, request: dict[str, Any]) -> requests.Response:
        headers = {**self.headers, **request.pop("headers", {})}
        try:
            return http.request(method, self.endpoint.url(path), headers=headers, timeout=deadline_s, **request)
        except requests.RequestException as error:
            raise UnreachableError(
                f"{self.at.where}: {method} {path}: no answer ({type(error).__name__}). "
                f"Try: ssh {self.at.container.host} docker logs --tail 20 {self.at.container.name}"
            ) from None  # its text may hold the request

    def ask(self, method: str, path: str, *, deadline_s: float = DEADLINE_S, **request: Any) -> Any:
        """Return the JSON of a 2xx answer (None: empty); raises AssertionError for any other, UnreachableError for
        none.
        """
        answer = self.send(method, path, deadline_s=deadline_s, **request)
        said = f"{self.at.where}: {method} {path}: {answer.status_code} {shortened(answer)}"
        if answer.status_code in REFUSED:
            raise AssertionError(f"{said}. Expected: the credential of the inventory's reference is let in")
        if not answer.ok:
            raise AssertionError(f"{said}. Expected: 2xx")
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError:
            raise AssertionError(f"{said}. Expected: JSON") from None

    def get(self, path: str, **params: Any) -> Any:
        """Return the JSON of a GET."""
        return self.ask("GET", path, params=params or None)

    def pages(self, path: str, *, size: int = 500, **params: Any) -> Iterator[Any]:
        """Yield the items of a list that is paged by `first` and `max`."""
        first = 0
        while True:
            page = self.get(path, first=first, max=size, **params)
            yield from page
            if len(page) < size:
                return
            first += size


def shortened(answer: requests.Response) -> str:
    """Return the beginning of an answer's text, on one line."""
    return " ".join(answer.text[:SAID].split()) or "(empty)"
