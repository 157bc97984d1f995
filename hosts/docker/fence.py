"""Requests to a host's Docker Engine that change something go under the fence of the host's lock, like every other
change.

The forwarded socket has no place for a test: a request that was written while the lock was ours may be read after it
was lost. So the whole request is standard input of one command on the host, which tests the token when all of it is
there, and only then hands it to the engine through `docker system dial-stdio` (in every Docker CLI since 18.09: it is
what `docker -H ssh://…` runs). Questions go through the socket as before.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any, Final

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter

from engine.errors import DeadlineError, NotObservedError
from hosts.coordination.fencing import Locked, changing, token_of

SOCKET: Final = "/var/run/docker.sock"
CHANGING: Final = frozenset({"POST", "PUT", "DELETE", "PATCH"})
QUESTIONS: Final = re.compile(r"/(containers/[^/]+/(exec|wait|attach|resize)|exec/[^/]+/(start|resize)|auth)$")
"""Posted, but changing nothing by themselves: a command inside a container that changes something goes as `docker exec`
through
`fencing.change` instead."""
LONGEST_S: Final = 3600.0
DIAL: Final = f"""\
pipe=/run/longshore-dial.$$
mkfifo -m 0600 "$pipe" && exec 7<>"$pipe" 8<&0 && rm -f "$pipe" || exit 73
cat <&8 >&7 7<&- &
exec docker -H unix://{SOCKET} system dial-stdio <&7 7<&- 8<&-
"""
"""The pipe never ends: the engine cancels what it does for a client that has stopped writing."""


class FencedAdapter(BaseAdapter):
    """Sends what changes something through the host's fence while the run holds its lock, all else as `direct` does."""

    def __init__(self, fleet: Locked, host: str, direct: BaseAdapter) -> None:
        """Take the hosts with their token, which one this is, and the adapter of its forwarded socket."""
        super().__init__()
        self._fleet, self._host, self._direct = fleet, host, direct

    def send(  # noqa: PLR0917 the contract of requests
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT002
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,  # noqa: FBT002
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send a request; raises LockLostError when it changes something and the lock is not this run's any more."""
        if token_of(self._fleet) is None or not is_change(request):
            return self._direct.send(request, stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies)
        deadline_s = timeout[1] if isinstance(timeout, tuple) else timeout
        argv = ["sh", "-c", DIAL, "dial"]
        try:
            with changing(
                self._fleet, self._host, argv, stdin=raw_of(request), timeout_s=deadline_s or LONGEST_S, held=True
            ) as output:
                said = output.read()
            return response_of(request, said)
        except DeadlineError as error:
            raise requests.exceptions.ReadTimeout(str(error), request=request) from error
        except (NotObservedError, HTTPException) as error:
            raise requests.exceptions.ConnectionError(str(error) or type(error).__name__, request=request) from error

    def close(self) -> None:
        """Close the way to the socket."""
        self._direct.close()


def is_change(request: requests.PreparedRequest) -> bool:
    """Return whether a request to the engine changes something."""
    path = str(request.path_url).partition("?")[0]
    return request.method in CHANGING and not QUESTIONS.search(path)


def raw_of(request: requests.PreparedRequest) -> bytes:
    """Return a request as it goes over the wire, on a connection that the engine ends after its answer."""
    body = request.body or b""
    if not isinstance(body, str | bytes):
        raise TypeError(
            f"{request.method} {request.path_url}: a body that is made while it is sent. Expected: one that is there"
        )
    content = body.encode() if isinstance(body, str) else body
    headers = {**request.headers, "Host": "docker", "Connection": "close", "Content-Length": str(len(content))}
    lines = [f"{request.method} {request.path_url} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


class _Said:
    """What came back, in the form that http.client reads."""

    def __init__(self, said: bytes) -> None:
        self._said = said

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._said)


def response_of(request: requests.PreparedRequest, said: bytes) -> requests.Response:
    """Return the response to a request from all that came over the wire; raises HTTPException for what is none."""
    made: Any = HTTPResponse(_Said(said), method=request.method)  # type: ignore[arg-type]
    made.begin()
    raw = urllib3.HTTPResponse(
        body=made, headers=urllib3.HTTPHeaderDict(made.getheaders()), status=made.status, reason=made.reason,
        preload_content=False, decode_content=False, original_response=made,
    )  # fmt: skip
    return HTTPAdapter().build_response(request, raw)


def fence_requests(client: Any, fleet: Locked, host: str) -> None:
    """Let a client of the Docker SDK send what changes something under the fence of its host."""
    prefix = "http+docker://"
    client.api.mount(prefix, FencedAdapter(fleet, host, client.api.get_adapter(prefix)))
