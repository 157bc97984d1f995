"""How a service gets onto the source host: files written, a container started, its answer awaited; from here only
through ssh and its ports.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lab.docker_engine import wait_until
from lab.hosts import ssh
from lab.identity import known_lab
from lab.settings import LabError

SOURCE: Final = "wf005"
NETWORK: Final = "apps"
READY_S: Final = 90
HTTP: Final = "exec 3<>/dev/tcp/127.0.0.1/{port}; printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3; grep -q ' 200 ' <&3"
WRITE: Final = "umask 022; mkdir -p $(dirname {path}); umask 077; cat > {path}; chmod {mode} {path}"


def run_container(arguments: tuple[str, ...], env: dict[str, str], *options: str) -> None:
    """Run a container detached, with further options; its environment travels over standard input, never in argv."""
    lines = "".join(f"{name}={value}\n" for name, value in env.items()).encode()
    quoted = [f"'{argument}'" for argument in (*options, *arguments)]
    ssh(SOURCE, "docker", "run", "--detach", "--env-file", "/dev/stdin", *quoted, stdin=lines)


def write_file(path: str, content: bytes, mode: str = "0644") -> None:
    """Write a file on the source host, below directories that everybody may read."""
    ssh(SOURCE, WRITE.format(path=path, mode=mode), stdin=content)


def answers(*argv: str, stdin: bytes | None = None) -> Callable[[], str]:
    """Return a question for `wait_until`: why a command on the source host fails, empty when it does not."""

    def missing() -> str:
        try:
            ssh(SOURCE, *argv, stdin=stdin, deadline_s=20)
        except LabError as error:
            return str(error).splitlines()[-1]
        return ""

    return missing


def wait_for_http(name: str, port: int, path: str, *, deadline_s: float = READY_S) -> None:
    """Wait until a published port of the source host answers 200."""
    wait_until(f"{name} on {SOURCE}", answers("bash", stdin=HTTP.format(port=port, path=path).encode()), deadline_s)


def wait_for_port(name: str, port: int) -> None:
    """Wait until a published port of the source host takes connections."""
    wait_until(f"{name} on {SOURCE}", answers("bash", stdin=f"exec 3<>/dev/tcp/127.0.0.1/{port}".encode()), READY_S)


def address() -> str:
    """Return the source host's address, as this machine reaches it."""
    return str(known_lab()["hosts"][SOURCE]["address"])
