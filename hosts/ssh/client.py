"""The OpenSSH client: one ControlMaster per host, commands with a deadline, forwards on the same connection.

The user's own ssh configuration, agent, jump hosts and known_hosts are respected; host keys are never learnt. Masters
run in a session of their own, so that Ctrl-C in the terminal does not cut the connection under an undo.
"""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from engine.cancellation import check_cancelled, ending_when_cancelled
from engine.command_line import ANY, typed_command
from engine.constants import TOOLBOX_IMAGE
from engine.contracts.container import CommandResult
from engine.contracts.host import Endpoint
from engine.errors import DeadlineError, LongshoreError, NotObservedError, RefusedError, UnreachableError
from engine.finding import say
from engine.polling import Polling

CONNECT_DEADLINE_S: Final = 10
LOOK_S: Final = 0.01
"""So often is looked whether the connection is there: every command of a short run waits for it once."""
SSH_FAILED: Final = 255
CONTROL_DEADLINE_S: Final = 15.0
LONGEST_BASE: Final = 40
LAST_WORD_S: Final = 2.0
MASTER_OPTIONS: Final = (
    "-o",
    "ControlMaster=yes",
    "-o",
    "ControlPersist=no",
    "-o",
    f"ConnectTimeout={CONNECT_DEADLINE_S}",
    "-o",
    "ServerAliveInterval=5",
    "-o",
    "ServerAliveCountMax=3",
    "-o",
    "StreamLocalBindMask=0177",
    "-o",
    "ExitOnForwardFailure=no",
)
WRONG_KEY: Final = re.compile(r"Host key verification failed|HOST IDENTIFICATION HAS CHANGED|no matching host key type")
SEEN_KEY: Final = re.compile(r"SHA256:[A-Za-z0-9+/]+")


class SshHost:
    """A machine reached over ssh; opens its connection at the first command."""

    def __init__(self, name: str, address: str, folder: Path, options: tuple[str, ...] = ()) -> None:
        """Take the ssh name, the address that other hosts use, a private folder of its own for sockets and further ssh
        options.
        """
        self.name = name
        self.address = address
        self.toolbox = TOOLBOX_IMAGE  # its id, once prepare has compared it
        self._folder = folder
        self._options = options
        self._control = folder / "ctl"
        self._said = folder / "master.log"
        self._master: subprocess.Popen[bytes] | None = None
        self._ports: dict[str, Endpoint] = {}
        self._sockets: dict[str, Path] = {}
        self._become: tuple[str, ...] = ()
        self._lock = threading.RLock()

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Run argv on the host and return its result; see `engine.contracts.host.Host`. It ends when the work that
        waits for it is cancelled.
        """
        check_cancelled()
        self._open()
        return self._run([*self._become, *self._by_id(argv)], stdin, timeout_s)

    def _by_id(self, argv: list[str]) -> list[str]:
        """Return argv with the toolbox named as `toolbox` says: a tag may have been given to another image."""
        return argv if self.toolbox == TOOLBOX_IMAGE else [word.replace(TOOLBOX_IMAGE, self.toolbox) for word in argv]

    def become_root(self) -> None:
        """Run all further commands as root through `sudo -n`."""
        self._become = ("sudo", "-n", "--")

    def _run(self, argv: list[str], stdin: bytes, timeout_s: float) -> CommandResult:
        started = time.monotonic()
        command = [*self._ssh(), self.name, shlex.join(argv)]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            with ending_when_cancelled(child.kill):
                out, error = child.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired as expired:
            _abandon(child)
            raise DeadlineError(
                say(
                    "{name}: {argv} did not end within {timeout_s:.0f} s. Look: ssh {name} ps aux",
                    name=self.name,
                    argv=shlex.join(argv[:4])[:120],
                    timeout_s=timeout_s,
                )
            ) from expired
        except BaseException:
            _abandon(child)
            raise
        if child.returncode == SSH_FAILED and not self._alive():
            raise self._unreachable(error)
        return CommandResult(tuple(argv), child.returncode, out, error, time.monotonic() - started)

    @contextmanager
    def stream(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> Iterator[IO[bytes]]:
        """Run argv on the host and yield its output while it comes: nothing is held in memory.

        Raises CouldNotLookError when it was not read to its end or argv failed, DeadlineError after `timeout_s`.
        """
        self._open()
        words = [*self._become, *self._by_id(argv)]
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
            given.write(stdin)
            given.seek(0)
            command = [*self._ssh(), self.name, shlex.join(words)]
            child = subprocess.Popen(command, stdin=given, stdout=subprocess.PIPE, stderr=said, start_new_session=True)
            output: Any = child.stdout
            timer = threading.Timer(timeout_s, child.kill)
            timer.daemon = True
            timer.start()
            try:
                with ending_when_cancelled(child.kill):
                    yield output
                    code = child.wait()
                _refuse_ending(self.name, argv, code, said, timeout_s)
            except NotObservedError:
                with suppress(subprocess.TimeoutExpired):
                    _refuse_ending(self.name, argv, child.wait(timeout=LAST_WORD_S), said, timeout_s)
                raise
            finally:
                timer.cancel()
                _abandon(child)

    def forward(self, port: int, address: str = "127.0.0.1") -> Endpoint:
        """Return an endpoint on this machine that reaches `address:port` as seen from the host."""
        remote = f"{_bracketed(address)}:{port}"
        with self._lock:
            self._open()
            if remote not in self._ports:
                endpoint = Endpoint("127.0.0.1", free_port())
                self._control_command("forward", "-L", _forward(endpoint, remote))
                self._ports[remote] = endpoint
            return self._ports[remote]

    def forward_socket(self, remote: str) -> Path:
        """Return a Unix socket on this machine that reaches the Unix socket `remote` of the host."""
        with self._lock:
            self._open()
            if remote not in self._sockets:
                local = self._folder / Path(remote).name
                self._control_command("forward", "-L", _forward(local, remote))
                self._sockets[remote] = local
            return self._sockets[remote]

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            self._end_master()
            self._ports.clear()
            self._sockets.clear()

    def _end_master(self) -> None:
        if self._master is None:
            return
        self._master.terminate()
        try:
            self._master.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._master.kill()
            self._master.wait()
        if self._master.stdin:
            self._master.stdin.close()
        self._master = None

    def _open(self) -> None:
        """Start the master when there is none; one that died is replaced, with the same forwards."""
        with self._lock:
            if self._alive():
                return
            self._end_master()
            for stale in (self._control, *self._sockets.values()):
                stale.unlink(missing_ok=True)
            # The far end reads a pipe that only this process holds: however it dies, the connection ends with it.
            with self._said.open("wb") as said:
                self._master = subprocess.Popen(
                    [*self._ssh(), *MASTER_OPTIONS, self.name, "cat >/dev/null"],
                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True,
                )  # fmt: skip
            self._wait_for_master(self._master)
            wanted: dict[str, Endpoint | Path] = {**self._ports, **self._sockets}
            for remote, local in wanted.items():
                self._forward_again(remote, local)

    def _forward_again(self, remote: str, local: Endpoint | Path) -> None:
        """Forward as before the connection was lost; what can't be forwarded again is never handed out again.

        Its port may be another process' by now, which would be given what is meant for the service, credentials
        included.
        """
        try:
            self._control_command("forward", "-L", _forward(local, remote))
        except NotObservedError:
            self._ports.pop(remote, None)
            self._sockets.pop(remote, None)

    def _wait_for_master(self, master: subprocess.Popen[bytes]) -> None:
        def look() -> bool:
            if self._control.exists():
                return True
            if master.poll() is not None:
                raise self._refusal()
            return False

        polling = Polling(f"a connection to {self.name}", CONNECT_DEADLINE_S + 5, first_s=LOOK_S, longest_s=LOOK_S)
        if not polling.until(look, bool).good:
            self._end_master()
            raise self._unreachable(b"no connection in time")

    def _refusal(self) -> LongshoreError:
        said = self._said.read_bytes()
        text = said.decode("utf-8", "backslashreplace")
        if not WRONG_KEY.search(text):
            return self._unreachable(said)
        seen = SEEN_KEY.search(text)
        return RefusedError(
            say(
                "{name}: its ssh host key is {group}. Expected: the pinned one. Another machine answers, or it was "
                "installed anew. Look: ssh-keyscan {name}; if the key is right, pin it again: {command}",
                name=self.name,
                group=seen.group() if seen else say("another or of another type"),
                command=typed_command("pin", environment=ANY),
            )
        )

    def _alive(self) -> bool:
        return self._master is not None and self._master.poll() is None

    def _ssh(self) -> list[str]:
        return [
            "ssh",
            *self._options,
            "-o",
            "BatchMode=yes",
            "-o",
            "LogLevel=ERROR",
            "-o",
            f"ControlPath={self._control}",
            "-T",
        ]

    def _control_command(self, command: str, *arguments: str) -> None:
        argv = [*self._ssh(), "-O", command, *arguments, self.name]
        try:
            answer = subprocess.run(
                argv, capture_output=True, timeout=CONTROL_DEADLINE_S, check=False, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired as error:
            raise DeadlineError(
                say(
                    "{name}: ssh -O {command} got no answer within {control_deadline_s:.0f} s",
                    name=self.name,
                    command=command,
                    control_deadline_s=CONTROL_DEADLINE_S,
                )
            ) from error
        if answer.returncode:
            raise self._unreachable(answer.stderr)

    def _unreachable(self, said: bytes) -> UnreachableError:
        lines = said.decode("utf-8", "backslashreplace").strip().splitlines()
        reason = lines[-1].rstrip(".") if lines else say("the connection was lost")
        flags = f"-F {self._options[1]} " if self._options[:1] == ("-F",) else ""
        return UnreachableError(
            say(
                "{name}: ssh failed: {reason}. Try: ssh {flags}{name} true",
                name=self.name,
                reason=reason,
                flags=flags,
            )
        )


def _abandon(child: subprocess.Popen[bytes]) -> None:
    """Leave a command without waiting for its far end: the master holds copies of the pipes until that ends."""
    child.kill()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe:
            with suppress(OSError):
                pipe.close()
    child.wait()


def _refuse_ending(name: str, argv: list[str], code: int, said: IO[bytes], timeout_s: float) -> None:
    """Raise when a streamed command did not end well: its own last words say more than its cut-off output."""
    what = f"{name}: {shlex.join(argv[:4])[:120]}"
    if code == -signal.SIGKILL:
        raise DeadlineError(
            say(
                "{what} did not end within {timeout_s:.0f} s. Look: ssh {name} ps aux",
                what=what,
                timeout_s=timeout_s,
                name=name,
            )
        )
    if code:
        said.seek(0)
        lines = said.read().decode("utf-8", "backslashreplace").strip().splitlines() or [say("it said nothing")]
        raise NotObservedError(
            say("{what} ended with {code}: {line}. Expected: 0", what=what, code=code, line=lines[-1][-300:])
        )


def _forward(local: Endpoint | Path, remote: str) -> str:
    return f"{local}:{remote}" if isinstance(local, Path) else f"{local.host}:{local.port}:{remote}"


def free_port() -> int:
    """Return a TCP port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def private_folder() -> Path:
    """Make a folder for sockets, readable by its owner only, with a path short enough for them (108 bytes, unix(7))."""
    base = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="ls-", dir=base if len(base) <= LONGEST_BASE else "/tmp"))  # noqa: S108 mkdtemp makes it private
