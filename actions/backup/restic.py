"""The restic repository that holds the backups, as one host reaches it: sftp with a temporary key that can do nothing
else.

The key's forced command runs inside a container that sees the repository and nothing else. To write, it is a server
that only adds: what another host stored, or an earlier run, can be neither removed nor changed with it (rclone serve
restic, --append-only). To read, it is an sftp server with the repository mounted read-only.
"""

from __future__ import annotations

import json
import re
import secrets
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from actions.common.route import Route, look, run_checked
from actions.common.toolbox import ToolboxMount, toolbox_argv
from actions.copy.ssh_channel import KEY_AT, Channel, Peer, open_channel, shell_line
from engine.constants import LABEL_MOVE, NAME
from engine.contracts.container import CommandResult
from engine.errors import ActionError, NotObservedError
from engine.finding import joined, say
from engine.redaction.redactor import Secret
from hosts.coordination.fencing import change
from hosts.ssh.atomic_write import taking

REPOSITORY_AT: Final = "/repository"
SFTP_SERVER: Final = "/usr/lib/openssh/sftp-server"
"""Debian's path (package openssh-sftp-server), in the toolbox."""

WRITE_FILE: Final = 'set -eu; umask 077; take "$1"'
LONGEST_S: Final = 4 * 3600.0
SERVE_ADDING: Final = (
    "rclone",
    "serve",
    "restic",
    "--stdio",
    "--append-only",
    "--config",
    "/dev/null",
    "--log-level",
    "ERROR",
    REPOSITORY_AT,
)
"""https://rclone.org/commands/rclone_serve_restic/ and
https://restic.readthedocs.io/en/stable/060_forget.html#security-considerations-in-append-only-mode
"""
LOCK_PATIENCE: Final = "10m"
"""So long restic waits for a lock that another backup, or its check, holds."""
LOCKED: Final = re.compile(r"already locked|unable to create lock")
LOCK_ID: Final = re.compile(r"[0-9a-f]{64}")
OURS: Final = re.compile(rf"{NAME}-[0-9a-f]{{8}}-(?P<host>.+)")
"""The host name of a container that writes to the repository: restic writes it into its lock, which shows whose lock it
is.
"""
LONGEST_NAME: Final = 63
LIST_LOCKS: Final = 'ls -1 -- "$1/locks" 2>/dev/null || true'
WHO_WRITES: Final = f"docker ps -q --filter label={LABEL_MOVE} | xargs -r docker inspect -f '{{{{.Config.Hostname}}}}'"
MAKE_DIRECTORY: Final = 'mkdir -p -m 0700 -- "$1" && [ -s "$1/config" ] && echo repository; [ -d "$1" ]'
"""A repository is recognised by its config file: asking restic costs a second of key derivation."""


@dataclass(frozen=True)
class Repository:
    """The restic repository: where it lies and how other hosts reach its host; the password is never in argv."""

    peer: Peer
    path: str
    password: Secret

    @property
    def where(self) -> str:
        """Return its place for messages."""
        return f"{self.peer.host}:{self.path}"


@dataclass(frozen=True)
class OpenRepository:
    """The repository while one host can reach it; restic runs there in the toolbox, labelled with `role`."""

    route: Route
    host: str
    repository: Repository
    channel: Channel
    role: str
    reading: bool
    called: str = ""
    """The host name of its containers."""

    @property
    def directory(self) -> str:
        """Return the host's directory on tmpfs (0700) that ends with the way to the repository."""
        return self.channel.directory

    def write(self, name: str, text: str) -> None:
        """Write a secret into the directory, through stdin."""
        argv = taking(WRITE_FILE, "write", text.encode(), f"{self.directory}/{name}")
        run_checked(self.route.fleet, self.host, argv, doing=say("write {name}", name=name), stdin=text.encode())

    def argv(
        self,
        words: Iterable[str],
        mounts: Iterable[ToolboxMount] = (),
        *,
        interactive: bool = False,
        before: Iterable[str] = (),
    ) -> list[str]:
        """Return restic in a toolbox container of the host; `before` are words in front of it, as `sh -c`."""
        wanted, ssh = [*words], [*self.channel.ssh(), self.channel.destination()]
        if self.reading:
            repository = [
                "-r",
                f"sftp:{self.channel.destination()}:{REPOSITORY_AT}",
                "-o",
                f"sftp.command={shell_line([*ssh, '-s', 'sftp'])}",
            ]
            lock = ["--no-lock"]
        else:
            repository = ["-r", "rclone:repository", "-o", f"rclone.program={shell_line(ssh)}"]
            lock = [] if "--no-lock" in wanted else ["--retry-lock", LOCK_PATIENCE]
        return toolbox_argv(
            [*before, "restic", *repository, "--password-file", f"{KEY_AT}/password", "--no-cache", *lock, *wanted],
            move_label=self.route.move_label, role=self.role, network="host", mounts=[self.channel.mount(), *mounts],
            interactive=interactive, flags=("--hostname", self.called) if self.called else (),
        )  # fmt: skip

    def run(
        self, words: Iterable[str], mounts: Iterable[ToolboxMount] = (), *, before: Iterable[str] = ()
    ) -> CommandResult:
        """Run restic to its end, however that is."""
        return change(self.route.fleet, self.host, self.argv(words, mounts, before=before), timeout_s=LONGEST_S)


@contextmanager
def open_repository(
    route: Route, host: str, repository: Repository, *, role: str, reading: bool = False
) -> Iterator[OpenRepository]:
    """Open the way from `host` to the repository, for one purpose (`role`), and close it at the end."""
    serve = toolbox_argv(
        [SFTP_SERVER, "-R"] if reading else SERVE_ADDING,
        move_label=route.move_label,
        role=role,
        interactive=True,
        mounts=[ToolboxMount("bind", repository.path, REPOSITORY_AT, read_only=reading)],
    )
    with open_channel(
        route.fleet,
        host,
        repository.peer,
        move_label=route.move_label,
        purpose=role,
        forced_command=shell_line(serve),
        valid_s=LONGEST_S,
    ) as channel:
        called = f"{NAME}-{secrets.token_hex(4)}-{host}"[:LONGEST_NAME].rstrip("-.")
        opened = OpenRepository(route, host, repository, channel, role, reading, called)
        opened.write("password", repository.password.reveal())
        yield opened


def make_repository_directory(route: Route, repository: Repository, key: str, what: str) -> bool:
    """Make the directory of the repository on its host, write there what for, and return whether a repository is in it
    already.
    """
    route.audit(repository.peer.host, key, what)
    make = ["sh", "-c", MAKE_DIRECTORY, "make", repository.path]
    made = run_checked(route.fleet, repository.peer.host, make, doing=say("make the repository's directory"))
    return made.text.split() == ["repository"]


def init_repository(opened: OpenRepository) -> None:
    """Make the repository in its empty directory; raises ActionError."""
    repository = opened.repository
    made = opened.run(["init"])
    if made.exit_code != 0:
        raise ActionError(
            say(
                "{host}: no restic repository in {path}, and none could be made: {error_text}. Expected: a repository "
                "that opens with the password of the environment",
                host=repository.peer.host,
                path=repository.path,
                error_text=made.error_text[-300:],
            )
        )


@dataclass(frozen=True)
class RepositoryLock:
    """A lock in the repository as restic reports it: who holds it, since when, and whether it keeps everybody
    else out.
    """

    id: str
    host: str
    pid: int
    since: datetime
    exclusive: bool

    def text(self, repository: Repository) -> str:
        """Return it in words, with the command that removes it."""
        minutes = (datetime.now(UTC) - self.since).total_seconds() / 60
        kind = say("an exclusive lock") if self.exclusive else say("a lock")
        path = shlex.quote(f"{repository.path}/locks/{self.id}")
        return say(
            "{kind} of process {pid} on host {host}, {minutes:.0f} min old; if that process is surely dead: ssh "
            "{peer_host} sudo rm {path}",
            kind=kind,
            pid=self.pid,
            host=self.host,
            minutes=minutes,
            peer_host=repository.peer.host,
            path=path,
        )


def parse_lock(identity: str, text: str) -> RepositoryLock:
    """Return a lock from what `restic cat lock` says; raises CouldNotLookError."""
    try:
        lock = json.loads(text)
        since = datetime.fromisoformat(re.sub(r"\.\d+", "", str(lock["time"]))).astimezone(UTC)
        return RepositoryLock(identity, str(lock["hostname"]), int(lock["pid"]), since, bool(lock.get("exclusive")))
    except (ValueError, KeyError, TypeError) as error:
        raise NotObservedError(
            say(
                "lock {identity} of the backup's repository can't be read: {text}",
                identity=identity[:8],
                text=repr(text[:80]),
            )
        ) from error


def read_locks(opened: OpenRepository) -> list[RepositoryLock]:
    """Return the locks in the repository now; one that goes meanwhile is left out. Raises CouldNotLookError."""
    repository = opened.repository
    listed = look(
        opened.route.fleet, repository.peer.host, ["sh", "-c", LIST_LOCKS, "list", repository.path]
    ).text.split()
    locks = []
    for identity in filter(LOCK_ID.fullmatch, listed):
        answer = opened.run(["cat", "lock", identity, "--no-lock"])
        if answer.exit_code == 0:
            locks.append(parse_lock(identity, answer.text))
    return locks


def remove_dead_locks(opened: OpenRepository, key: str) -> list[RepositoryLock]:
    """Remove the locks of our own backups whose container is gone, and return those of others.

    A backup that was killed leaves its lock, and restic itself keeps to it for half an hour. A lock of ours whose host
    is not looked at by this run counts as another's.
    """
    others, writing = [], dict[str, set[str]]()
    for lock in read_locks(opened):
        ours = OURS.fullmatch(lock.host)
        host = ours["host"] if ours else ""
        if host not in opened.route.fleet.names:
            others.append(lock)
            continue
        if host not in writing:
            answer = look(opened.route.fleet, host, ["sh", "-c", WHO_WRITES])
            if answer.exit_code:
                raise NotObservedError(
                    say(
                        "{host}: could not list the containers that write a backup: {error_text}. Try: ssh {host} "
                        "docker ps",
                        host=host,
                        error_text=answer.error_text,
                    )
                )
            writing[host] = set(answer.text.split())
        if lock.host not in writing[host]:
            _remove(
                opened, "locks", lock.id, key, say("remove the lock of {host}, whose container is gone", host=lock.host)
            )
    return others


def remove_snapshot(opened: OpenRepository, snapshot: str, key: str) -> None:
    """Forget a snapshot that holds no whole export: on the repository's own host, since the key for writing removes
    nothing.
    """
    if LOCK_ID.fullmatch(snapshot):
        _remove(
            opened,
            "snapshots",
            snapshot,
            key,
            say("forget snapshot {snapshot}: its export failed", snapshot=snapshot[:8]),
        )


def _remove(opened: OpenRepository, kind: str, identity: str, key: str, doing: str) -> None:
    repository = opened.repository
    opened.route.audit(repository.peer.host, key, doing)
    run_checked(
        opened.route.fleet,
        repository.peer.host,
        ["rm", "-f", "--", f"{repository.path}/{kind}/{identity}"],
        doing=doing,
    )


def say_locks(opened: OpenRepository, said: str) -> str:
    """Return what restic said, and when it was about a lock whose that is and how to remove it."""
    if not LOCKED.search(said):
        return said
    try:
        locks = joined("; ", (lock.text(opened.repository) for lock in read_locks(opened)))
    except NotObservedError as error:
        locks = str(error)
    return f"{said} ({locks or 'the lock is gone by now: give the same command again'})"
