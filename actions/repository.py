"""The restic repository that holds the backups, as one host reaches it: sftp with a temporary key that can do nothing else.

The key's forced command is an sftp server inside a container that sees the repository and nothing else; for reading, the
repository is mounted there read-only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from actions.route import Route, run_checked
from actions.toolbox import ToolboxMount, toolbox_argv
from actions.transfers import KEY_AT, Channel, Peer, open_channel, shell_line
from engine.errors import ActionError
from engine.model import CommandResult
from engine.secret import Secret
from hosts.fencing import change
from hosts.whole import taking

REPOSITORY_AT: Final = "/repository"
SFTP_SERVER: Final = "/usr/lib/openssh/sftp-server"
"""Debian's path (package openssh-sftp-server), in the toolbox."""

WRITE_FILE: Final = 'set -eu; umask 077; take "$1"'
LONGEST_S: Final = 4 * 3600.0
MAKE_DIRECTORY: Final = 'mkdir -p -m 0700 -- "$1" && [ -s "$1/config" ] && echo repository; [ -d "$1" ]'
"""Its own file tells that a repository is there: asking restic costs a second of key derivation."""


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

    @property
    def directory(self) -> str:
        """Return the host's directory on tmpfs (0700) that ends with the way to the repository."""
        return self.channel.directory

    def write(self, name: str, text: str) -> None:
        """Write a secret into the directory, through stdin."""
        argv = taking(WRITE_FILE, "write", text.encode(), f"{self.directory}/{name}")
        run_checked(self.route.fleet, self.host, argv, doing=f"write {name}", stdin=text.encode())

    def argv(self, words: Iterable[str], mounts: Iterable[ToolboxMount] = (), *, interactive: bool = False, before: Iterable[str] = ()) -> list[str]:
        """Return restic in a toolbox container of the host; `before` are words in front of it, as `sh -c`."""
        ssh = shell_line([*self.channel.ssh(), self.channel.destination(), "-s", "sftp"])
        repository = ["-r", f"sftp:{self.channel.destination()}:{REPOSITORY_AT}", "-o", f"sftp.command={ssh}"]
        lock = ["--no-lock"] if self.reading else []
        return toolbox_argv(
            [*before, "restic", *repository, "--password-file", f"{KEY_AT}/password", "--no-cache", *lock, *words],
            move_label=self.route.move_label, role=self.role, network="host", mounts=[self.channel.mount(), *mounts],
            interactive=interactive,
        )  # fmt: skip

    def run(self, words: Iterable[str], mounts: Iterable[ToolboxMount] = (), *, before: Iterable[str] = ()) -> CommandResult:
        """Run restic to its end, however that is."""
        return change(self.route.fleet, self.host, self.argv(words, mounts, before=before), timeout_s=LONGEST_S)


@contextmanager
def open_repository(route: Route, host: str, repository: Repository, *, role: str, reading: bool = False) -> Iterator[OpenRepository]:
    """Open the way from `host` to the repository, for one purpose (`role`), and close it at the end."""
    serve = toolbox_argv(
        [SFTP_SERVER, *(["-R"] if reading else [])],
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
        opened = OpenRepository(route, host, repository, channel, role, reading)
        opened.write("password", repository.password.reveal())
        yield opened


def make_repository_directory(route: Route, repository: Repository, key: str, what: str) -> bool:
    """Make the directory of the repository on its host, write there what for, and return whether a repository is in it already."""
    route.audit(repository.peer.host, key, what)
    make = ["sh", "-c", MAKE_DIRECTORY, "make", repository.path]
    made = run_checked(route.fleet, repository.peer.host, make, doing="make the repository's directory")
    return made.text.split() == ["repository"]


def init_repository(opened: OpenRepository) -> None:
    """Make the repository in its empty directory; raises ActionError."""
    repository = opened.repository
    made = opened.run(["init"])
    if made.exit_code != 0:
        raise ActionError(
            f"{repository.peer.host}: no restic repository in {repository.path}, and none could be made: "
            f"{made.error_text[-300:]}. Expected: a repository that opens with the password of the environment"
        )
