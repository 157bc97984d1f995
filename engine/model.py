"""Contracts that every room shares: hosts, endpoints, containers, fingerprints, services and actions.

Protocols and frozen values only; nothing here opens a socket or a process.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Protocol, runtime_checkable

from engine.secret import Secret
from engine.verdict import Effect, Judgement


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
class Endpoint:
    """Where a client on this machine connects to reach a service: a forward on the host's ssh master."""

    host: str
    port: int

    def url(self, path: str = "/", scheme: str = "http") -> str:
        """Return an URL on this endpoint."""
        return f"{scheme}://{self.host}:{self.port}{path}"


@dataclass(frozen=True)
class MountFacts:
    """One mount of a container as `docker inspect` tells it."""

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


class Holds(str, Enum):
    """How long a part of a fingerprint stays comparable."""

    AT_CUTOVER = "at_cutover"  # equal only while no client writes; judged once, before commit
    SINCE_CUTOVER = "since_cutover"  # must be true for ever after


@dataclass(frozen=True)
class Part:
    """One named part of a fingerprint: how many things, and a digest over them in a defined order.

    `bound` is the JSON-able limit within which count and digest were taken (`{"id_max": 5021}`): the same
    bound is applied when the part is read again, so rows written since do not count as a difference.
    """

    count: int
    digest: str
    holds: Holds = Holds.SINCE_CUTOVER
    bound: Mapping[str, float | int | str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Fingerprint:
    """What must be the same before and after a move: parts by name, as the message will call them.

    A name reads like a place: `shop: table public.orders`, `db 0: key cart:17`, `block 01HX…`.
    """

    service: str
    parts: Mapping[str, Part]


@dataclass(frozen=True)
class ContainerCommand:
    """A deed of a product as data: argv to run inside its container, run by actions, shown in dry runs.

    `env` may hold secrets, `argv` never. `saves_as` names the backup object that stdout becomes. `does` says in words what it does,
    where the program's name does not.
    """

    argv: tuple[str, ...]
    timeout_s: float
    env: Mapping[str, Secret] = field(default_factory=dict)
    saves_as: str | None = None
    does: str = ""

    @property
    def text(self) -> str:
        """Return what it does, for dry runs and messages."""
        return self.does or f"run {self.argv[0]}"


DRAWN: Final = secrets.token_bytes(32)
"""The salt of a process that has no journal: nothing that it seals can be found again by another."""


def _sealed(name: str) -> str:
    return "#" + hmac.new(DRAWN, name.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:16]


def _no_other_port(port: int) -> Endpoint:
    raise LookupError(f"no way to port {port}")


def _nothing_inside(command: ContainerCommand) -> CommandResult:
    raise LookupError(f"no way to run {command.argv[0]} inside")


@dataclass(frozen=True)
class Target:
    """One running service to ask: its container, where to connect, its options and its resolved credentials.

    `options` is the service's `options:` of the inventory; `secrets` maps names of its `secrets:` to values.
    `files` returns {path below a container directory: SHA-256} of the files there, read on the host itself.
    `at_port` returns the endpoint of another of its container's ports, for a product that has several.
    `inside` runs a command that only reads inside its container and returns what it answered.
    `sealed` returns how a name of data (a key, a person, an object) is called in fingerprints and messages: never by itself.
    `names` is told what such digests stand for, once a reading, for the run's private folder.
    `recorded` returns what is on record of the service from its last reading, None when there is nothing, or this is its source.
    """

    service: str
    container: ContainerFacts
    endpoint: Endpoint
    options: Mapping[str, Any]
    secrets: Mapping[str, Secret]
    files: Callable[[str], Mapping[str, str]] = field(default=lambda _directory: {}, repr=False)
    at_port: Callable[[int], Endpoint] = field(default=_no_other_port, repr=False)
    inside: Callable[[ContainerCommand], CommandResult] = field(default=_nothing_inside, repr=False)
    sealed: Callable[[str], str] = field(default=_sealed, repr=False)
    names: Callable[[Mapping[str, str]], None] = field(default=lambda _names: None, repr=False)
    recorded: Callable[[], Fingerprint | None] = field(default=lambda: None, repr=False)

    @property
    def where(self) -> str:
        """Return how messages begin: the service and its host."""
        return f"{self.service} on {self.container.host}"


@dataclass(frozen=True)
class LogPattern:
    """A regular expression over one log line, and why it is trouble or only noise (source of the fact)."""

    pattern: str
    reason: str


@dataclass(frozen=True)
class KernelNeed:
    """A setting of the host's kernel that a product needs: a number of at least `at_least`, or one of `words`; and who asks for it."""

    setting: str  # "vm.overcommit_memory", "transparent_hugepage"
    reason: str
    at_least: int | None = None
    words: tuple[str, ...] = ()

    def is_met(self, seen: str) -> bool:
        """Return whether a value is enough."""
        return seen in self.words or (self.at_least is not None and seen.isdigit() and int(seen) >= self.at_least)

    @property
    def text(self) -> str:
        """Return what is expected."""
        return f"at least {self.at_least}" if self.at_least is not None else " or ".join(self.words)


@dataclass(frozen=True)
class RestoreCommand:
    """How one logical export comes back, as data: argv reads the export from standard input, `argv` holds no secret.

    `export` is the `saves_as` of the export; `replaces` the container path of the mount that it makes anew, empty before.
    `before_start`: argv runs in the toolbox, with that mount at the same path; else inside the started container.
    A line of its output that matches `trouble` and none of `tolerated` (regular expressions) is a failure, as is a non-zero exit.
    `not_kept` names the parts of the fingerprint that an export never holds, each by a pattern (fnmatch).
    """

    export: str
    replaces: str
    argv: tuple[str, ...]
    timeout_s: float
    before_start: bool = False
    trouble: str = ""
    tolerated: tuple[str, ...] = ()
    not_kept: tuple[str, ...] = ()


class Service(Protocol):
    """One product: everything known about it. Implemented by `services/<product>.py`, class `Product`."""

    name: str
    acts_on_start: bool  # it changes the outside world as soon as it starts: its start is the commit
    stop_grace_s: int
    clean_exit_codes: frozenset[int]
    ready_deadline_s: float
    state_paths: tuple[str, ...]  # container paths that must lie on a mount
    writable_noise: tuple[str, ...]  # path patterns (fnmatch) of `docker diff` that hold no state
    trouble: tuple[LogPattern, ...]
    noise: tuple[LogPattern, ...]

    def ready(self, at: Target) -> Judgement:
        """Ask once whether the service can do its work now (the caller repeats until the deadline)."""

    def smoke(self, at: Target, nonce: str) -> Judgement:
        """Use the service's function through its real client, with objects named after `nonce`, removed afterwards."""

    def fingerprint(self, at: Target, since: Fingerprint | None) -> Fingerprint:
        """Read the fingerprint; with `since`, read the same parts within the same bounds, plus parts that are new."""

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:
        """Return the logical backup of this product as commands (empty: only its volumes are archived)."""


@runtime_checkable
class Restorable(Protocol):
    """A product that also tells how its backup comes back, so that a drill can prove it. Optional: without it, no drill.

    One that can't be proven alone, since what it holds is elsewhere, says so in `why_not_drilled` instead.
    """

    def restore_commands(self, container: ContainerFacts) -> tuple[RestoreCommand, ...]:
        """Return how its logical exports come back (empty: from its archived volumes, as they are)."""


@runtime_checkable
class SavesFirst(Protocol):
    """A product that can write out what it holds in memory while it still serves, so that its stop is short and loses nothing. Optional."""

    def save_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:
        """Return the commands that run inside the container right before its stop, in order; each ends with 0 once all is saved."""


@dataclass(frozen=True)
class ApiRequest:
    """A deed of a product as data: one request to its own API, sent by actions; `headers` may hold a credential, and stand in no message."""

    method: str
    path: str
    body: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


@runtime_checkable
class Repointable(Protocol):
    """A product that holds addresses of other services in its own store, and tells how one is changed through its API. Optional."""

    def read_address(self, at: Target, name: str) -> str:
        """Return the address that the named thing has; raises AssertionError when there is no such thing, or it can't be changed."""

    def address_request(self, at: Target, name: str, value: str) -> ApiRequest:
        """Return the request that gives the named thing another address and changes nothing else of it."""


@runtime_checkable
class NeedsKernel(Protocol):
    """A product that needs the host's kernel set in some way. Optional."""

    kernel_needs: tuple[KernelNeed, ...]


@runtime_checkable
class MayForget(Protocol):
    """A product that can run in a way in which a stop loses what it holds. Optional."""

    def lost_by_stop(self, at: Target) -> tuple[str, ...]:
        """Return what a stop would lose, each with the settings that say so; empty when it keeps all. Raises CouldNotLookError."""


@runtime_checkable
class PlacesItsState(Protocol):
    """A product whose settings say where its state lies. Optional: without it, it lies at `state_paths`."""

    def state_paths_of(self, container: ContainerFacts) -> tuple[str, ...]:
        """Return the container paths that must lie on a mount."""


@runtime_checkable
class KnowsItsLayer(Protocol):
    """A product that writes state outside its mounts in some versions or settings. Optional; all are fnmatch patterns of paths."""

    layer_state: tuple[str, ...]  # state for sure: a move refuses, whatever reason is written to ignore it

    def layer_doubts(self, container: ContainerFacts) -> tuple[str, ...]:
        """Return what is not noise although a pattern of `writable_noise` fits: somebody must have looked."""


Note = dict[str, Any]
"""Facts that undo, verify or a resume will need; written to the journal: JSON-able, no secrets."""


class DurableNote(dict[str, Any]):
    """The note that the saga hands to an action: what it holds can be put on record in the middle of `do`."""

    def __init__(self, note: Note, record: Callable[[Note], None]) -> None:
        """Know how it is recorded."""
        super().__init__(note)
        self._record = record

    def keep(self) -> None:
        """Record what the note holds now."""
        self._record(dict(self))


def keep(note: Note) -> None:
    """Have a note on record, in the journal and on the hosts, before the next change of a host; for facts found in the middle of `do`.

    A plain dict, as a test hands over, has no record. Raises what keeps an action from going on, as the record of an intent does.
    """
    if isinstance(note, DurableNote):
        note.keep()


class Action(Protocol):
    """A deed that changes a host. All three methods are idempotent."""

    @property
    def key(self) -> str:
        """Return its name, "stop-source": stable and unique within a move."""

    @property
    def effect(self) -> Effect:
        """Return what it does to the hosts."""

    @property
    def commits(self) -> bool:
        """Return whether nothing is undone automatically after it."""

    def describe(self) -> str:
        """Return the dry run's line: what would be done, where, without secrets."""

    def estimate_s(self) -> float | None:
        """Return the expected duration in seconds, None when unknown."""

    def do(self, note: Note) -> None:
        """Do it; put into `note` what undo and verify will need, before the deed where possible."""

    def verify(self, note: Note) -> Judgement:
        """Ask the hosts whether it is done; never changes anything."""

    def undo(self, note: Note) -> None:
        """Put back what `do` changed, by what the hosts show now; raise NeedsPersonError with the commands left when that can't be done.

        The note of a run that was killed may be empty: the hosts decide, never the note alone.
        """


@runtime_checkable
class Observing(Protocol):
    """An action whose undo, verify or resume needs facts that are gone once it has begun. Optional."""

    def observe(self, note: Note) -> None:
        """Look at the hosts and put into `note` what undo, verify or a resume will need; changes nothing.

        Called before the intent is recorded, so that the record is complete before a host is changed. What an earlier run of
        this attempt observed stays: the saga keeps the first value of each key. Raises CouldNotLookError when there is no answer.
        """


class Host(Protocol):
    """A machine reached over ssh; implemented by `hosts.transport.SshHost`, faked in unit tests."""

    name: str  # "wf005": the inventory's name
    address: str  # as seen by the other hosts, from environments/<environment>.yaml

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Run argv on the host (quoted, never through a shell line of ours) and return its result, exit code included.

        Raises UnreachableError when ssh itself fails (exit 255) and DeadlineError after `timeout_s`.
        """

    def forward(self, port: int, address: str = "127.0.0.1") -> Endpoint:
        """Return an endpoint on this machine that reaches `address:port` as seen from the host."""
