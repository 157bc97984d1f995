"""The one HTTP client of all products: "no answer", "not let in" and "wrong answer" are distinguished here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import requests

from engine.contracts.host import Endpoint
from engine.contracts.product import ServiceInstance
from engine.errors import NotObservedError, UnreachableError
from engine.finding import say
from engine.polling import Polling
from engine.verdict import Judgement, failed, passed
from hosts.local.http import LOGIN_REFUSED, MOST_BYTES, Answer, Bounds, TooLongError, TooSlowError, request

DEADLINE_S: Final = 10.0
LONG_DEADLINE_S: Final = 60.0
SAID: Final = 200
"""So much of a wrong answer is repeated in a message."""
PATIENCE_S: Final = 8.0
"""A service whose database has just moved finds the dead connections of its pool one request at a time."""
FIRST_SLEEP_S: Final = 0.2


def is_troubled(answer: Answer) -> bool:
    """Return whether a service says that it could not answer now, as against having said no."""
    return bool(answer.status_code >= requests.codes.server_error)


@dataclass(frozen=True)
class ServiceHttp:
    """One client of one running service; its headers may hold a credential and are in no message.

    Without an endpoint it asks where the service answers its clients. With `patience_s` 0 everything is asked once.
    """

    at: ServiceInstance
    endpoint: Endpoint | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    troubled: Callable[[Answer], bool] = is_troubled
    deadline_s: float = DEADLINE_S
    patience_s: float | None = None

    @property
    def asked(self) -> Endpoint:
        """Return where it asks."""
        return self.endpoint or self.at.endpoint

    def send(
        self, method: str, path: str, *, deadline_s: float | None = None, again: bool | None = None, **given: Any
    ) -> Answer:
        """Return whatever is answered; raises UnreachableError when nothing is.

        What may be asked `again` (reading, unless said otherwise) is, for some seconds, while the service is in
        trouble.
        """
        longest_s = PATIENCE_S if self.patience_s is None else self.patience_s
        may_repeat = method == "GET" if again is None else again
        polling = Polling(f"{method} {path} without trouble", longest_s if may_repeat else 0.0, first_s=FIRST_SLEEP_S)
        return polling.until(
            lambda: self._send(method, path, deadline_s or self.deadline_s, dict(given)),
            lambda answer: not self.troubled(answer),
        ).answer

    def _send(self, method: str, path: str, deadline_s: float, given: dict[str, Any]) -> Answer:
        headers = {**self.headers, **given.pop("headers", {})}
        bounds = Bounds(deadline_s, max(deadline_s, LONG_DEADLINE_S))
        try:
            return request(method, self.asked.url(path), bounds, headers=headers, **given)
        except TooLongError:
            raise NotObservedError(
                say(
                    "{where}: {method} {path}: more than {most_bytes:,} bytes. Expected: less",
                    where=self.at.where,
                    method=method,
                    path=path,
                    most_bytes=MOST_BYTES,
                )
            ) from None
        except (requests.RequestException, TooSlowError) as error:
            raise UnreachableError(
                say(
                    "{where}: {method} {path}: no answer ({kind_name}). Try: ssh {host} docker logs --tail 20 "
                    "{container_name}",
                    where=self.at.where,
                    method=method,
                    path=path,
                    kind_name=type(error).__name__,
                    host=self.at.container.host,
                    container_name=self.at.container.name,
                )
            ) from None  # its text may hold the request

    def ask(self, method: str, path: str, *, deadline_s: float | None = None, **given: Any) -> Any:
        """Return the JSON of a 2xx answer (None: empty); raises AssertionError for any other, UnreachableError for
        none.
        """
        answer = self.send(method, path, deadline_s=deadline_s, **given)
        said = f"{self.at.where}: {method} {path}: {answer.status_code} {shortened(answer)}"
        if answer.status_code in LOGIN_REFUSED:
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


def shortened(answer: Answer) -> str:
    """Return the beginning of an answer's text, on one line."""
    return " ".join(answer.text[:SAID].split()) or "(empty)"


def ask_once(at: ServiceInstance, path: str, *, params: Mapping[str, Any] | None = None, **given: Any) -> Answer:
    """Return the first answer to a GET, whatever it is; raises UnreachableError when there is none."""
    return ServiceHttp(at).send("GET", path, params=params, again=False, **given)


def judge_http(at: ServiceInstance, path: str) -> Judgement:
    """Judge whether a GET answers 200."""
    try:
        answer = ask_once(at, path)
    except UnreachableError as error:
        return failed(str(error))
    where = say("{where}: GET {path}", where=at.where, path=path)
    if answer.status_code != requests.codes.ok:
        return failed(
            say(
                "{where}: {status_code} {text}. Expected: 200",
                where=where,
                status_code=answer.status_code,
                text=repr(answer.text[:200]),
            )
        )
    return passed(say("{where}: 200 in {seconds:.0f} ms", where=where, seconds=answer.seconds * 1000))
