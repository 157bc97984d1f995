"""A command inside a container through the engine's own interface: frames, exit codes, refusals, deadlines."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Self

import docker.errors
import pytest
import requests
from urllib3.exceptions import ReadTimeoutError

from engine.contracts.container import CommandResult, ContainerCommand
from engine.errors import DeadlineError, NotObservedError, UnreachableError
from engine.redaction.redactor import Secret
from hosts.docker.exec import exec_in_container


def frame(kind: int, content: bytes) -> bytes:
    """Return content as the engine frames it."""
    return struct.pack(">BxxxL", kind, len(content)) + content


class Answer:
    """What comes of a started command."""

    status_code = 200

    def __init__(self, *chunks: bytes | Exception) -> None:
        self.chunks = chunks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_ended: object) -> None:
        return

    def raise_for_status(self) -> None:
        """Refuse nothing."""

    def iter_content(self, _size: int) -> Iterator[bytes]:
        """Yield the chunks."""
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk


class Engine:
    """An engine that starts one command; `asked` keeps what it was asked."""

    base_url = "http+docker://localhost"
    api_version = "1.45"

    def __init__(self, answer: Callable[[], Answer], exit_code: int | None = 0) -> None:
        self.answer, self.exit_code = answer, exit_code
        self.asked: list[Any] = []

    def exec_create(self, container: str, argv: list[str], environment: dict[str, str]) -> dict[str, str]:
        """Take a command."""
        if container == "gone":
            raise docker.errors.NotFound("404", explanation="No such container: gone")
        self.asked.append((container, argv, environment))
        return {"Id": "e1"}

    def post(self, url: str, **request: Any) -> Answer:
        """Start it."""
        self.asked.append((url, request["json"]))
        return self.answer()

    def exec_inspect(self, _made: str) -> dict[str, Any]:
        """Return how it ended."""
        return {"ExitCode": self.exit_code}


def run(engine: Engine, container: str = "redis", timeout_s: float = 5.0) -> CommandResult:
    """Run a command with a secret variable."""
    return exec_in_container(
        engine,
        "wf005",
        container,
        ContainerCommand(("redis-cli", "ping"), timeout_s, {"REDISCLI_AUTH": Secret("hush")}),
    )


def test_output_is_separated_wherever_the_stream_is_cut() -> None:
    """Frames come in any pieces."""
    stream = frame(1, b"PO") + frame(2, b"a warning") + frame(1, b"NG\n")
    for cut in range(len(stream)):
        engine = Engine(lambda cut=cut: Answer(stream[:cut], stream[cut:]), exit_code=3)  # type: ignore[misc]
        result = run(engine)
        assert (result.stdout, result.stderr, result.exit_code) == (b"PONG\n", b"a warning", 3)


def test_secrets_go_into_the_request_alone() -> None:
    """Neither the command nor the result holds them."""
    engine = Engine(lambda: Answer(frame(1, b"PONG")))
    result = run(engine)
    assert engine.asked[0] == ("redis", ["redis-cli", "ping"], {"REDISCLI_AUTH": "hush"})
    assert "hush" not in str(result)
    assert engine.asked[1] == ("http+docker://localhost/v1.45/exec/e1/start", {"Detach": False, "Tty": False})


def test_what_the_engine_refuses_is_a_result() -> None:
    """As with `docker exec`: an exit code and the reason."""
    result = run(Engine(Answer), "gone")
    assert (result.exit_code, result.error_text) == (126, "No such container: gone")

    class Refusing(Answer):
        def raise_for_status(self) -> None:
            raise requests.HTTPError(response=SimpleNamespace(content=b"executable file not found"))  # type: ignore[arg-type]

    assert run(Engine(Refusing)).error_text == "executable file not found"


@pytest.mark.parametrize(
    "answer",
    [Answer(requests.ConnectionError(ReadTimeoutError(None, "", "Read timed out."))), Answer(requests.Timeout())],  # type: ignore[arg-type]
)
def test_silence_ends_at_the_deadline(answer: Answer) -> None:
    """The message says where to look."""
    with pytest.raises(
        DeadlineError, match=r"redis-cli ping inside redis did not end within 5 s. Look: ssh wf005 docker top redis"
    ):
        run(Engine(lambda: answer))


def test_a_command_that_never_ends_its_output_ends_at_the_deadline() -> None:
    """A deadline for all, not for each piece."""
    with pytest.raises(DeadlineError, match="did not end within 0 s"):
        run(Engine(lambda: Answer(*[frame(1, b"x")] * 3)), timeout_s=0.0)


def test_a_lost_engine_is_reported() -> None:
    """It is no answer of the command."""
    with pytest.raises(
        UnreachableError, match=r"wf005: Docker does not answer: ConnectionError. Try: ssh wf005 docker ps"
    ):
        run(Engine(lambda: Answer(frame(1, b"PO"), requests.ConnectionError("reset"))))


def test_a_command_without_an_end_is_no_answer() -> None:
    """The stream ended, the command did not."""
    with pytest.raises(NotObservedError, match="without an exit code"):
        run(Engine(Answer, exit_code=None))
