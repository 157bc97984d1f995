"""Container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.finding import say
from engine.redaction.redactor import Secret


@dataclass(frozen=True)
class CommandResult:
    """What a remote command answered; `stdout` and `stderr` are bytes because file names need not be UTF-8."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: bytes
    stderr: bytes
    duration_s: float

    @property
    def text(self) -> str:
        """Return stdout as text, other bytes shown as backslash escapes."""
        return self.stdout.decode("utf-8", "backslashreplace")

    @property
    def error_text(self) -> str:
        """Return stderr as text, stripped, other bytes shown as backslash escapes."""
        return self.stderr.decode("utf-8", "backslashreplace").strip()


@dataclass(frozen=True)
class MountFacts:
    """One mount of a container as `docker inspect` reports it."""

    kind: str  # volume | bind | tmpfs
    source: str  # volume name or host path; "" for tmpfs
    destination: str
    read_only: bool
    driver: str = "local"


@dataclass(frozen=True)
class ContainerFacts:
    """One container, from `docker inspect`; `raw` is the whole answer (holds secrets: never journal it)."""

    host: str
    id: str
    name: str
    image_ref: str
    image_id: str
    state: str  # created | running | paused | restarting | exited | dead
    exit_code: int
    health: str  # healthy | unhealthy | starting | none
    restart_policy: str
    mounts: tuple[MountFacts, ...]
    networks: Mapping[str, tuple[str, ...]]  # network name -> aliases
    published: tuple[tuple[str, int, int, str], ...]  # host ip, host port, container port, tcp|udp
    labels: Mapping[str, str]
    env: Mapping[str, str] = field(repr=False)
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def running(self) -> bool:
        """Return True while its main process runs."""
        return self.state == "running"


@dataclass(frozen=True)
class ContainerCommand:
    """An action of a product as data: argv to run inside its container, run by actions, shown in dry runs.

    `env` may hold secrets, `argv` never. `saves_as` names the backup object that stdout becomes. `does` says in words
    what it does, where the program's name does not.
    """

    argv: tuple[str, ...]
    timeout_s: float
    env: Mapping[str, Secret] = field(default_factory=dict)
    saves_as: str | None = None
    does: str = ""

    @property
    def text(self) -> str:
        """Return what it does, for dry runs and messages."""
        return self.does or say("run {first_argv}", first_argv=self.argv[0])
