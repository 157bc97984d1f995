"""All hosts of a run: opened once, identified before the first command, facts gathered in parallel, closed
at the end.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from engine.command_line import typed_command
from engine.config.environment import Environment
from engine.constants import LAB_MARKER
from engine.errors import HostLostError, NotObservedError, RefusedError
from engine.finding import say
from hosts.docker.client import connect
from hosts.docker.fence import fence_requests
from hosts.facts.gather import gather_facts
from hosts.facts.model import HostFacts
from hosts.ssh.client import SshHost, private_folder

MOST_AT_ONCE: Final = 16
IDENTIFY_S: Final = 15.0
DOCKER_SOCKET: Final = "/var/run/docker.sock"
IDENTIFY: Final = (
    f'cat /etc/machine-id; [ -e {LAB_MARKER} ] && echo lab || echo "not a lab"; id -u; [ -w {DOCKER_SOCKET} ] && '
    "echo open || echo closed"
)
Answer = TypeVar("Answer")


class Fleet:
    """The hosts of one run by name; each is compared with its pinned identity before anything else is asked of it."""

    def __init__(self, names: Iterable[str], environment: Environment, ssh_config: Path | None) -> None:
        """Prepare connections; none is opened yet."""
        self.names = tuple(names)
        self.token: str | None = None  # of the lock that this run holds on all of them, once it does
        self._environment = environment
        self._folder = private_folder()
        self._hosts = {name: self._host(name, ssh_config) for name in self.names}
        self._identified: dict[str, RefusedError | None] = {}
        self._docker: dict[str, Any] = {}
        self._facts: dict[str, HostFacts | NotObservedError] = {}
        self._lost: dict[str, str] = {}
        self._answers: dict[str, dict[str, Any]] = {}
        self._connecting = threading.Lock()

    def _host(self, name: str, ssh_config: Path | None) -> SshHost:
        pin = self._environment.hosts[name]
        folder = self._folder / hashlib.sha256(name.encode()).hexdigest()[:8]
        folder.mkdir(mode=0o700)
        known = folder / "known_hosts"
        known.write_text(f"{name} {pin.ssh_host_key}\n", encoding="utf-8")
        options = ("-F", str(ssh_config.resolve())) if ssh_config else ()
        pinned = (
            "-o",
            f"UserKnownHostsFile={known}",
            "-o",
            "GlobalKnownHostsFile=/dev/null",
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            f"HostKeyAlias={name}",
            "-o",
            f"HostKeyAlgorithms={_algorithms(pin.ssh_host_key)}",
        )
        return SshHost(name, pin.address, folder, (*options, *pinned))

    def __getitem__(self, name: str) -> SshHost:
        """Return a host that is the one that was pinned; raises RefusedError when it is another, BuriedError when it is
        dead.
        """
        if name in self._lost:
            raise HostLostError(say("{name}: not asked: declared lost ({lost})", name=name, lost=self._lost[name]))
        host = self._hosts[name]
        if name not in self._identified:
            self._identified[name] = self._identify(host)
        refusal = self._identified[name]
        if refusal:
            raise refusal
        return host

    def use_toolbox(self, name: str, image_id: str) -> None:
        """Run the toolbox of a host by the image's id from now on."""
        self._hosts[name].toolbox = image_id

    def mark_lost(self, name: str, reason: str) -> None:
        """Ask a host nothing any more: a person said that it is dead."""
        self._lost[name] = reason
        self.forget_facts(name)

    def _identify(self, host: SshHost) -> RefusedError | None:
        answer = host.run(["sh", "-c", IDENTIFY], timeout_s=IDENTIFY_S)
        seen = answer.text.split("\n")
        machine_id, marker, uid, docker = [*seen, "", "", "", ""][:4]
        if uid.strip() != "0":
            _become_root(host, docker)
        return refusal_of(self._environment, host.name, machine_id.strip(), lab=marker == "lab")

    def docker(self, name: str) -> Any:
        """Return the Docker SDK's client of a host, through a forwarded socket.

        Raises UnreachableError, and RefusedError when another engine answers than the pinned one.
        """
        path = self[name].forward_socket(DOCKER_SOCKET)
        with self._connecting:
            if name not in self._docker:
                client = connect(name, path)
                refuse_other_engine(self._environment, name, client.info()["ID"])
                fence_requests(client, self, name)
                self._docker[name] = client
        return self._docker[name]

    def facts(self, name: str) -> HostFacts:
        """Return a host's facts, gathered once until they are forgotten; raises what looking raised, without looking
        again.
        """
        found = self._facts.get(name)  # once: another thread may forget them
        if found is None:
            found = self._facts[name] = self._gather(name)
        if isinstance(found, NotObservedError):
            raise found
        return found

    def _gather(self, name: str) -> HostFacts | NotObservedError:
        try:
            found = gather_facts(self[name])
        except NotObservedError as error:
            return error
        if found.engine_id:
            refuse_other_engine(self._environment, name, found.engine_id)
        return found

    def gather(self, names: Iterable[str]) -> Mapping[str, HostFacts | NotObservedError]:
        """Gather the facts of several hosts at once; a dead one costs its deadline once and yields its error."""
        wanted = [name for name in names if name not in self._facts]
        with ThreadPoolExecutor(max_workers=MOST_AT_ONCE) as pool:
            for name, found in zip(wanted, pool.map(self._gather, wanted), strict=True):
                self._facts[name] = found
        return {name: self._facts[name] for name in names}

    def cached(self, name: str, what: str, ask: Callable[[], Answer]) -> Answer:
        """Return an answer about a host that is asked for once, until its facts are forgotten; what `ask` raises is
        raised anew each time.
        """
        answers = self._answers.setdefault(name, {})
        if what not in answers:
            answers[what] = ask()
        answer: Answer = answers[what]
        return answer

    def forget_facts(self, name: str) -> None:
        """Gather this host's facts again at the next question, and all else that was remembered of it."""
        self._facts.pop(name, None)
        self._answers.pop(name, None)

    def close(self) -> None:
        """Close all connections and remove their sockets."""
        for client in self._docker.values():
            client.close()
        for host in self._hosts.values():
            host.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _algorithms(host_key: str) -> str:
    kind = host_key.split(maxsplit=1)[0]
    return "rsa-sha2-512,rsa-sha2-256" if kind == "ssh-rsa" else kind


def _become_root(host: SshHost, docker: str) -> None:
    answer = host.run(["sudo", "-n", "true"], timeout_s=IDENTIFY_S)
    if answer.exit_code:
        raise NotObservedError(
            say(
                "{name}: sudo asks for a password ({error_text}). Expected: root, or sudo without one. Add a sudoers "
                "line: USER ALL=(root) NOPASSWD: ALL",
                name=host.name,
                error_text=answer.error_text,
            )
        )
    if docker == "closed":
        raise NotObservedError(
            say(
                "{name}: the ssh user can't open {docker_socket}. Expected: a member of the group docker. Try: ssh "
                "{name} 'sudo usermod -aG docker $(id -un)'",
                name=host.name,
                docker_socket=DOCKER_SOCKET,
            )
        )
    host.become_root()


def refusal_of(environment: Environment, name: str, machine_id: str, *, lab: bool) -> RefusedError | None:
    """Return why a host is not the one that this environment pinned, None when it is."""
    pin = environment.hosts[name]
    where = say("{name}: environment {environment}", name=name, environment=environment.environment)
    if lab and environment.environment != "lab":
        return RefusedError(
            say(
                "{where}: the host carries {lab_marker}. Expected: none outside the lab. Use --lab, or another host",
                where=where,
                lab_marker=LAB_MARKER,
            )
        )
    if not lab and environment.environment == "lab":
        return RefusedError(
            say(
                "{where}: the host has no {lab_marker}. Expected: a lab host. Leave out --lab for real hosts",
                where=where,
                lab_marker=LAB_MARKER,
            )
        )
    if machine_id != pin.machine_id:
        return RefusedError(
            say(
                "{where}: machine-id is {machine_id}. Expected: {pin_machine_id}, as pinned: it is another machine. "
                "If that is right: {command}",
                where=where,
                machine_id=machine_id or say("empty"),
                pin_machine_id=pin.machine_id,
                command=typed_command("pin", environment=environment.environment),
            )
        )
    return None


def refuse_other_engine(environment: Environment, name: str, engine_id: str) -> None:
    """Raise RefusedError when the Docker Engine that answers is not the pinned one."""
    pinned = environment.hosts[name].engine_id
    if engine_id != pinned:
        raise RefusedError(
            say(
                "{name}: environment {environment}: its Docker Engine's ID is {engine_id}. Expected: {pinned}, as "
                "pinned: its data root was replaced or another engine answers. If that is right: {command}",
                name=name,
                environment=environment.environment,
                engine_id=engine_id,
                pinned=pinned,
                command=typed_command("pin", environment=environment.environment),
            )
        )


@contextmanager
def open_hosts(names: Iterable[str], environment: Environment, ssh_config: Path | None) -> Iterator[Fleet]:
    """Open hosts for the length of a run."""
    fleet = Fleet(names, environment, ssh_config)
    try:
        yield fleet
    finally:
        fleet.close()
