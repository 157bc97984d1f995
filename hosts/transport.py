"""The OpenSSH client: one ControlMaster per host, commands with a deadline, forwards on the same connection.

The user's own ssh configuration, agent, jump hosts and known_hosts are respected; host keys are never learnt. Masters
run in a session of their own, so that Ctrl-C in the terminal does not cut the connection under an undo.
"""

from __future__ import annotations

import shlex
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Final

from engine.errors import DeadlineError, UnreachableError
from engine.model import CommandResult, Endpoint

CONNECT_DEADLINE_S: Final = 10
SSH_FAILED: Final = 255
CONTROL_DEADLINE_S: Final = 15.0


class SshHost:
    """A machine reached over ssh; opens its connection at the first command."""

    def __init__(self, name: str, address: str, folder: Path, options: tuple[str, ...] = ()) -> None:
        """Take the ssh name, the address that other hosts use, a private folder for sockets and further ssh options."""
        self.name = name
        self.address = address
        self._folder = folder
        self._options = options
        self._control = folder / f"{name[:24]}.ctl"
        self._master: subprocess.Popen[bytes] | None = None
        self._forwards: dict[tuple[int, str], Endpoint] = {}
        self._become: tuple[str, ...] = ()
        self._lock = threading.RLock()

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Run argv on the host and return its result; see `engine.model.Host`."""
        self._open()
        return self._run([*self._become, *argv], stdin, timeout_s)

    def become_root(self) -> None:
        """Run all further commands as root through `sudo -n`."""
        self._become = ("sudo", "-n", "--")

    def _run(self, argv: list[str], stdin: bytes, timeout_s: float) -> CommandResult:
        started = time.monotonic()
        command = [*self._ssh(), self.name, shlex.join(argv)]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        try:
            out, error = child.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired as expired:
            child.kill()
            child.communicate()
            raise DeadlineError(
                f"{self.name}: {shlex.join(argv[:4])[:120]} did not end within {timeout_s:.0f} s. Look: ssh {self.name} ps aux"
            ) from expired
        except BaseException:
            child.kill()
            child.communicate()
            raise
        if child.returncode == SSH_FAILED and not self._alive():
            raise self._unreachable(error)
        return CommandResult(tuple(argv), child.returncode, out, error, time.monotonic() - started)

    def forward(self, port: int, address: str = "127.0.0.1") -> Endpoint:
        """Return an endpoint on this machine that reaches `address:port` as seen from the host."""
        self._open()
        with self._lock:
            known = self._forwards.get((port, address))
            if known is None:
                known = Endpoint("127.0.0.1", free_port())
                self._control_command("forward", "-L", f"127.0.0.1:{known.port}:{_bracketed(address)}:{port}")
                self._forwards[port, address] = known
            return known

    def forward_socket(self, remote: str) -> Path:
        """Return a Unix socket on this machine that reaches the Unix socket `remote` of the host."""
        self._open()
        local = self._folder / f"{self.name[:24]}.{Path(remote).stem}"
        with self._lock:
            if not local.exists():
                self._control_command("forward", "-L", f"{local}:{remote}")
        return local

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            if self._master is None:
                return
            self._master.terminate()
            try:
                self._master.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._master.kill()
                self._master.wait()
            if self._master.stderr:
                self._master.stderr.close()
            self._master = None
            self._forwards.clear()

    def _open(self) -> None:
        """Start the master when there is none; one that died is replaced."""
        with self._lock:
            if self._alive():
                return
            self.close()
            for stale in self._folder.glob(f"{self.name[:24]}.*"):
                stale.unlink()
            self._master = subprocess.Popen(
                [*self._ssh(master=True), "-M", "-N", self.name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            self._wait_for_master(self._master)

    def _wait_for_master(self, master: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + CONNECT_DEADLINE_S + 5
        while not self._control.exists():
            if master.poll() is not None:
                said = master.stderr.read() if master.stderr else b""
                raise self._unreachable(said)
            if time.monotonic() > deadline:
                self.close()
                raise self._unreachable(b"no connection in time")
            time.sleep(0.01)

    def _alive(self) -> bool:
        return self._master is not None and self._master.poll() is None

    def _ssh(self, *, master: bool = False) -> list[str]:
        common = ["ssh", *self._options, "-o", "BatchMode=yes", "-o", f"ControlPath={self._control}", "-T"]
        if master:
            return [
                *common,
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
                "-o",
                "ControlPersist=no",
            ]
        return [*common, "-o", "ControlMaster=no"]

    def _control_command(self, command: str, *arguments: str) -> None:
        argv = [*self._ssh(), "-O", command, *arguments, self.name]
        try:
            answer = subprocess.run(argv, capture_output=True, timeout=CONTROL_DEADLINE_S, check=False, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired as error:
            raise DeadlineError(f"{self.name}: ssh -O {command} got no answer within {CONTROL_DEADLINE_S:.0f} s") from error
        if answer.returncode:
            raise self._unreachable(answer.stderr)

    def _unreachable(self, said: bytes) -> UnreachableError:
        lines = said.decode("utf-8", "backslashreplace").strip().splitlines()
        reason = lines[-1] if lines else "the connection was lost"
        flags = f"-F {self._options[1]} " if self._options[:1] == ("-F",) else ""
        return UnreachableError(f"{self.name}: ssh failed: {reason.rstrip('.')}. Try: ssh {flags}{self.name} true")


def free_port() -> int:
    """Return a TCP port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
