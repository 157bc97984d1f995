"""The one adapter of the Docker SDK for Python, which ships no types."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import docker
import requests
from docker.errors import DockerException

from engine.errors import UnreachableError
from engine.finding import say

CALL_DEADLINE_S: Final = 60
"""Far beyond what a call takes; stopping a container gets its grace on top, and images travel by other ways."""


def connect(host: str, socket: Path) -> Any:
    """Return a client on a forwarded socket that has answered; raises UnreachableError."""
    try:
        client = docker.DockerClient(base_url=f"unix://{socket}", version="auto", timeout=CALL_DEADLINE_S)
        client.ping()
    except (DockerException, requests.RequestException) as error:
        reason = str(error).splitlines()[0][:160]
        raise UnreachableError(
            say(
                "{host}: its Docker Engine does not answer: {reason}. Try: ssh {host} docker version",
                host=host,
                reason=reason,
            )
        ) from error
    return client
