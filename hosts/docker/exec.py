"""A command inside a container, asked of the engine itself: no docker client to start, no command on the host, no
secret in argv.

https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Exec: create, start (frames of output until the command
ends), inspect.
"""

from __future__ import annotations

import re
import shlex
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import docker.errors
import requests
from urllib3.exceptions import ReadTimeoutError

from engine.cancellation import check_cancelled, pause
from engine.contracts.container import CommandResult, ContainerCommand
from engine.errors import DeadlineError, NotObservedError, UnreachableError
from engine.finding import say

HEADER: Final = struct.Struct(">BxxxL")
"""Of each frame: 1 for standard output or 2 for standard error, then its length (ibid.,
#tag/Container/operation/ContainerAttach).
"""
STDERR: Final = 2
CHUNK: Final = 1 << 16
REFUSED: Final = 126
"""What `docker exec` ends with when the engine can't start the command."""
NOT_BEGUN: Final = re.compile(r"OCI runtime exec failed: .*(connection reset by peer|init preliminary setup)")
"""What runc says now and then of a container that has only just started."""
NOT_BEGUN_TRIES: Final = 3
NOT_BEGUN_S: Final = 0.3


def begun(run: Callable[[], CommandResult]) -> CommandResult:
    """Return the result of a command inside a container; one that the engine could not begin at all is
    started again.
    """
    for _ in range(NOT_BEGUN_TRIES - 1):
        result = run()
        if result.exit_code != REFUSED or not NOT_BEGUN.search(result.text + result.error_text):
            return result
        pause(NOT_BEGUN_S)
    return run()


def exec_in_container(api: Any, host: str, container: str, command: ContainerCommand) -> CommandResult:
    """Run a command inside a container with its variables, and return its result; `api` is the low-level Docker client
    of `host`.

    What the engine refuses (no such container, it does not run, no such program) is a result with exit code 126 and its
    reason. Raises DeadlineError after the command's own deadline and UnreachableError when the engine does not answer.
    """
    started, argv, timeout_s = time.monotonic(), command.argv, command.timeout_s
    environment = {name: value.reveal() for name, value in command.env.items()}
    try:
        made = api.exec_create(container, list(argv), environment=environment)["Id"]
        url = f"{api.base_url}/v{api.api_version}/exec/{made}/start"
        with api.post(url, json={"Detach": False, "Tty": False}, stream=True, timeout=timeout_s) as answer:
            answer.raise_for_status()
            out, error = _read(_until(answer, started + timeout_s))
        code = api.exec_inspect(made)["ExitCode"]
    except docker.errors.APIError as refused:
        return CommandResult(argv, REFUSED, b"", str(refused.explanation).encode(), time.monotonic() - started)
    except requests.HTTPError as refused:
        return CommandResult(argv, REFUSED, b"", refused.response.content, time.monotonic() - started)
    except (TimeoutError, requests.RequestException, docker.errors.DockerException) as lost:
        if not _is_late(lost):
            raise UnreachableError(
                say(
                    "{host}: Docker does not answer: {name}. Try: ssh {host} docker ps",
                    host=host,
                    name=type(lost).__name__,
                )
            ) from None
        raise DeadlineError(
            say(
                "{host}: {argv} inside {container} did not end within {timeout_s:.0f} s. Look: ssh {host} docker top "
                "{container}",
                host=host,
                argv=shlex.join(argv[:4])[:120],
                container=container,
                timeout_s=timeout_s,
            )
        ) from None
    if code is None:
        raise NotObservedError(
            say(
                "{host}: {argv} inside {container} ended without an exit code. Look: ssh {host} docker ps",
                host=host,
                argv=shlex.join(argv[:4])[:120],
                container=container,
            )
        )
    return CommandResult(argv, int(code), out, error, time.monotonic() - started)


def _is_late(error: Exception) -> bool:
    """Return whether nothing came in time; while a body is read, requests calls that a lost connection."""
    inner = error.args[0] if error.args else None
    return isinstance(error, TimeoutError | requests.Timeout) or isinstance(inner, ReadTimeoutError)


def _until(answer: requests.Response, deadline: float) -> Iterator[bytes]:
    """Yield what comes; raises TimeoutError when it is still coming at the deadline."""
    for chunk in answer.iter_content(CHUNK):
        yield chunk
        check_cancelled()
        if time.monotonic() > deadline:
            raise TimeoutError


def _read(chunks: Iterable[bytes]) -> tuple[bytes, bytes]:
    """Return standard output and standard error of a stream of frames; a last one that is cut off counts as far as it
    goes.
    """
    stream, said = b"".join(chunks), {STDERR: bytearray()}
    out, position = bytearray(), 0
    while position + HEADER.size <= len(stream):
        kind, length = HEADER.unpack_from(stream, position)
        position += HEADER.size
        said.get(kind, out).extend(stream[position : position + length])
        position += length
    return bytes(out), bytes(said[STDERR])
