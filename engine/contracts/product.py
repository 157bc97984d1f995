"""Contracts that every room shares: hosts, endpoints, containers, fingerprints, services and actions.

Protocols and frozen values only; nothing here opens a socket or a process.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

from engine.contracts.action import Note
from engine.contracts.container import CommandResult, ContainerCommand, ContainerFacts
from engine.contracts.fingerprint import Fingerprint
from engine.contracts.host import Endpoint
from engine.contracts.replication import Replication
from engine.finding import joined, say
from engine.redaction.redactor import Secret
from engine.verdict import Judgement

DRAWN: Final = secrets.token_bytes(32)
"""The salt of a process that has no journal: nothing that it seals can be found again by another."""


def _sealed(name: str) -> str:
    return "#" + hmac.new(DRAWN, name.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:16]


def _no_other_port(port: int) -> Endpoint:
    raise LookupError(f"no way to port {port}")


def _nothing_inside(command: ContainerCommand) -> CommandResult:
    raise LookupError(f"no way to run {command.argv[0]} inside")


@dataclass(frozen=True)
class ServiceInstance:
    """One running service to ask: its container, where to connect, its options and its resolved credentials.

    `options` is the service's `options:` of the inventory; `secrets` maps names of its `secrets:` to values. `files`
    returns {path below a container directory: SHA-256} of the files there, read on the host itself. `at_port` returns
    the endpoint of another of its container's ports, for a product that has several. `inside` runs a command that only
    reads inside its container and returns what it answered. `sealed` returns how a name of data (a key, a person, an
    object) is called in fingerprints and messages: never by its own name. `names` gets what such digests stand for,
    once per reading, for the run's private folder. `recorded` returns what is on record of the service from its last
    reading, None when there is nothing, or this is its source.
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
    """A setting of the host's kernel that a product needs: a number of at least `at_least`, or one of `words`; and who
    asks for it.
    """

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
        return (
            say("at least {at_least}", at_least=self.at_least)
            if self.at_least is not None
            else joined(" or ", self.words)
        )


@dataclass(frozen=True)
class RestoreCommand:
    """How one logical export comes back, as data: argv reads the export from standard input, `argv` holds no secret.

    `export` is the `saves_as` of the export; `replaces` the container path of the mount that it makes anew, empty
    before. `before_start`: argv runs in the toolbox, with that mount at the same path; else inside the started
    container. A line of its output that matches `trouble` and none of `tolerated` (regular expressions) is a failure,
    as is a non-zero exit. `not_kept` names the parts of the fingerprint that an export never holds, each by a pattern
    (fnmatch).
    """

    export: str
    replaces: str
    argv: tuple[str, ...]
    timeout_s: float
    before_start: bool = False
    trouble: str = ""
    tolerated: tuple[str, ...] = ()
    not_kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProbeQuestion:
    """What the outage probe asks at a product's own level, before any login: what it sends, and how each good answer
    begins.
    """

    name: str
    sends: bytes
    good: tuple[bytes, ...]


@dataclass(frozen=True)
class ManualCheck:
    """A step of the checklist ("phase/key") that a person does for a service, unless an option lets a program do it.

    `text` returns what the person is asked, from the service's name and options.
    """

    step: str
    text: Callable[[str, Mapping[str, Any]], str]
    unless_option: str


class Product(Protocol):
    """One product: everything known about it, and nothing of it is known elsewhere. Implemented by
    `services/<product>/product.py`, class `Product`, which inherits the defaults.
    """

    name: str
    acts_on_start: bool  # it changes the outside world as soon as it starts: its start is the commit
    stop_grace_s: int
    clean_exit_codes: frozenset[int]
    ready_deadline_s: float
    state_paths: tuple[str, ...]  # container paths that must lie on a mount
    writable_noise: tuple[str, ...]  # path patterns (fnmatch) of `docker diff` that hold no state
    trouble: tuple[LogPattern, ...]
    noise: tuple[LogPattern, ...]
    image_names: tuple[str, ...] = ()  # ends of its images' names, by which discover knows it
    settings_role: str = ""  # what a setting of it that names another service is called
    probe_question: ProbeQuestion | None = None  # none: its health path, or whether the port is open
    manual_checks: tuple[ManualCheck, ...] = ()
    replication: Replication | None = None

    def ready(self, at: ServiceInstance) -> Judgement:
        """Ask once whether the service can do its work now (the caller repeats until the deadline)."""

    def smoke(self, at: ServiceInstance, nonce: str) -> Judgement:
        """Use the service's function through its real client, with objects named after `nonce`, removed afterwards."""

    def fingerprint(self, at: ServiceInstance, since: Fingerprint | None) -> Fingerprint:
        """Read the fingerprint; with `since`, read the same parts within the same bounds, plus parts that are new."""

    def export_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:
        """Return the logical backup of this product as commands (empty: only its volumes are archived)."""


@runtime_checkable
class Restorable(Protocol):
    """A product that also says how its backup is restored, so that a drill can prove it. Optional: without it, no
    drill.

    One that can't be proven alone, since what it holds is elsewhere, says so in `why_not_drilled` instead.
    """

    def restore_commands(self, container: ContainerFacts) -> tuple[RestoreCommand, ...]:
        """Return how its logical exports come back (empty: from its archived volumes, as they are)."""


@runtime_checkable
class SavesFirst(Protocol):
    """A product that can write out what it holds in memory while it still serves, so that its stop is short and loses
    nothing. Optional.
    """

    def save_commands(self, container: ContainerFacts) -> tuple[ContainerCommand, ...]:
        """Return the commands that run inside the container right before its stop, in order; each ends with 0 once all
        is saved.
        """


@dataclass(frozen=True)
class ApiRequest:
    """An action of a product as data: one request to its own API, sent by actions; `headers` may hold a credential, and
    appear in no message.
    """

    method: str
    path: str
    body: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


@runtime_checkable
class Repointable(Protocol):
    """A product that holds addresses of other services in its own store, and says how one is changed through its API.
    Optional.
    """

    def read_address(self, at: ServiceInstance, name: str) -> str:
        """Return the address that the named thing has; raises AssertionError when there is no such thing, or it can't
        be changed.
        """

    def address_request(self, at: ServiceInstance, name: str, value: str) -> ApiRequest:
        """Return the request that gives the named thing another address and changes nothing else of it."""


@runtime_checkable
class NeedsKernel(Protocol):
    """A product that needs the host's kernel set in some way. Optional."""

    kernel_needs: tuple[KernelNeed, ...]


@runtime_checkable
class MayForget(Protocol):
    """A product that can run in a way in which a stop loses what it holds. Optional."""

    def lost_by_stop(self, at: ServiceInstance) -> tuple[str, ...]:
        """Return what a stop would lose, each with the settings that say so; empty when it keeps all. Raises
        CouldNotLookError.
        """


@runtime_checkable
class PlacesItsState(Protocol):
    """A product whose settings say where its state lies. Optional: without it, it lies at `state_paths`."""

    def state_paths_of(self, container: ContainerFacts) -> tuple[str, ...]:
        """Return the container paths that must lie on a mount."""


@runtime_checkable
class KnowsItsLayer(Protocol):
    """A product that writes state outside its mounts in some versions or settings. Optional; all are fnmatch patterns
    of paths.
    """

    layer_state: tuple[str, ...]  # state for sure: a move refuses, whatever reason is written to ignore it

    def layer_doubts(self, container: ContainerFacts) -> tuple[str, ...]:
        """Return what is not noise although a pattern of `writable_noise` fits: somebody must have looked."""


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
    """Have a note on record, in the journal and on the hosts, before the next change of a host; for facts found in the
    middle of `do`.

    A plain dict, as a test hands over, has no record. Raises what keeps an action from continuing, as the record of an
    intent does.
    """
    if isinstance(note, DurableNote):
        note.keep()


@runtime_checkable
class Observing(Protocol):
    """An action whose undo, verify or resume needs facts that are gone once it has begun. Optional."""

    def observe(self, note: Note) -> None:
        """Look at the hosts and put into `note` what undo, verify or a resume will need; changes nothing.

        Called before the intent is recorded, so that the record is complete before a host is changed. What an earlier
        run of this attempt observed stays: the saga keeps the first value of each key. Raises CouldNotLookError when
        there is no answer.
        """


@runtime_checkable
class Committing(Protocol):
    """An action that commits, and can look on the hosts whether it did. Optional."""

    def why_committed(self) -> str:
        """Return what shows that it happened, or may have; empty when the hosts show that it did not, so that all
        before it may be undone.

        Raises NeedsPersonError when both sides ran since, so that each may hold writes that the other lacks.
        """
