"""The two ends of a move's copy: one toolbox container on each host, in which copies and readings of its places run.

They are found by name and label: a second start adopts them, ends what an orphan still does in them, or replaces them,
before anything touches the places. When a container is removed, everything in it ends with it.

What comes over the copy's key is not trusted: it runs on the target without any right that a copy does not need, and
the kernel lets it write below the places only. Its programs come from the toolbox's image or over standard input.
"""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import PurePosixPath
from typing import IO, Any, Final

from actions.common.route import Route, checked, docker_api, helper_name, inspect_container, run_checked
from actions.common.toolbox import ToolboxMount, remove_helpers, toolbox_argv
from actions.copy.earlier_attempts import remove_earlier
from actions.copy.locations import DataPlace
from actions.copy.ssh_channel import Channel, Peer, channel_of, close_channel, extend_channel, make_channel, shell_line
from checks.containers.name_conflicts import PathFacts, read_paths
from engine.constants import LABEL_MOVE
from engine.contracts.container import CommandResult, ContainerCommand
from engine.errors import ActionError, NotObservedError
from engine.finding import say
from hosts.coordination.fencing import change, changing
from hosts.docker.exec import begun, exec_in_container

ROLE: Final = "copy"
PURPOSE: Final = "copy"
LIFE_S: Final = 6 * 3600.0
"""So long the ends and the key live when nobody renews them: whoever copies does, each RENEW_S."""
RENEW_S: Final = 1800.0
LONGEST_COPY_S: Final = 14 * 86400.0
"""The deadline of one pass: not a limit of what can be moved, only of a command that hangs."""
START_S: Final = 60.0
SINK: Final = "sink"
"""What a speed test asks the other end for: take everything and throw it away."""

LIVE: Final = """\
end=$(($(date +%s) + $1))
while [ "$(date +%s)" -lt "$end" ]; do
  sleep 10
  [ ! -s /tmp/until ] || read -r end < /tmp/until
done
"""
RENEW: Final = 'echo "$(($(date +%s) + $1))" > /tmp/until.part && mv /tmp/until.part /tmp/until'

READS: Final = ("DAC_OVERRIDE", "SYS_ADMIN")
"""What reads needs to see everything: attributes of the name space `trusted` are shown to nobody else. xattr(7)"""
WRITES: Final = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP")
"""All that a copy needs to make entries of every kind with their owners, modes and attributes. capabilities(7)"""
CONFINES: Final = ("KILL", "SETPCAP")
"""What it takes to end strays and, on a host without nsenter, to take the other rights away."""
OWN_ATTRIBUTES: Final = """\
import os, sys
for root in map(os.fsencode, sys.argv[1:]):
    for folder, folders, files in os.walk(root) if os.path.isdir(root) else [(root, [], [])]:
        for path in (folder, *(os.path.join(folder, name) for name in (*folders, *files))):
            try:
                found = os.listxattr(path, follow_symlinks=False)
            except OSError:
                continue
            if any(one.startswith(("trusted.", "security.")) and one != "security.capability" for one in found):
                print("yes")
                raise SystemExit
    print("no")
"""
"""Whether a place has attributes that only SYS_ADMIN may write. xattr(7)"""

ENTER: Final = (
    "enter() { name=$1; shift; pid=$(docker inspect -f '{{.State.Pid}}' \"$name\") || exit 1; "
    '[ "$pid" -gt 0 ] || { echo "$name does not run" >&2; exit 1; }; '
    'if command -v nsenter >/dev/null; then exec nsenter -t "$pid" -m -p -n -- "$@"; fi; '
    'exec docker exec -i -e SSH_ORIGINAL_COMMAND "$name" "$@"; }; '
)
"""Runs a command beside what runs in a container: through the engine's own pipe data cost twice the processor time
(measured: 10.5 s
for 1 GiB against 4.0 s), and starting a command half a tenth of a second more. One line: authorized_keys has it."""
RUN_IN: Final = f'{ENTER}enter "$@"'
READING: Final = (
    "setpriv",
    "--no-new-privs",
    "--inh-caps=-all",
    "--bounding-set=" + ",".join(("-all", *(f"+{right.lower()}" for right in READS))),
)
"""A host's root enters the container with all its rights: whoever reads there keeps only these. setpriv(1)"""
CONFINE: Final = (
    'no() { echo "rrsync error: $1 could not be closed to the copy" >&2; exit 1; }; '
    'while read -r _ _ _ _ at options _; do at=$(printf %b "$at"); case "$at" in '
    '/data/*) mount -o remount,bind,nodev,nosuid,noexec "$at" || no "$at";; '
    '*) case "$options" in rw*) mount -o remount,bind,ro "$at" || no "$at";; esac;; '
    'esac; done < /proc/self/mountinfo; exec setpriv --no-new-privs --inh-caps=-all "--bounding-set=-all,$1" rrsync '
    "-wo -no-lock /"
)
"""In a mount name space of its own everything but the places becomes read-only; devices below the places can't be
opened and programs
there can't be run. Then all rights go that a copy does not need, for ever. proc(5) mountinfo, mount(8), setpriv(1)"""
TAKE: Final = (
    f'{ENTER}case "$SSH_ORIGINAL_COMMAND" in sink) exec cat >/dev/null;; esac; enter NAME unshare --mount sh -c '
    "CONFINE confine RIGHTS"
)
"""The target's end of a connection: rsync that can write below the places of this move and nowhere else. The root
directory stays
rrsync's: with any other it drops pipes and devices; the kernel holds the line instead."""

END_STRAYS: Final = """\
found=0
for comm in /proc/[0-9]*/comm; do
  read -r name < "$comm" 2>/dev/null || continue
  pid=${comm#/proc/}; pid=${pid%/comm}
  case "$name" in rsync|rrsync|python3|zstd) [ "$pid" = 1 ] || { kill -9 "$pid" 2>/dev/null && found=$((found + 1));
    };; esac
done
echo "$found"
"""
LINKED: Final = (
    'for place; do [ -z "$(find "$place" -type f -links +1 -print -quit 2>/dev/null)" ] && echo no || echo yes; done'
)
LONGEST_LOOK_S: Final = 600.0
LONGEST_FLUSH_S: Final = 3600.0
FLUSH: Final = ("sync", "--file-system", "--")
"""syncfs(2): all that was written to these file systems is on their disks, or it says that it is not. sync(1)"""


def taking_end(name: str, *, own_attributes: bool = False) -> list[str]:
    """Return the forced command of a key that may write below the places of the end `name`; the words fit one line."""
    rights = ",".join(f"+{right.lower()}" for right in (*WRITES, *(["SYS_ADMIN"] if own_attributes else [])))
    script = TAKE
    for word, value in (("NAME", name), ("CONFINE", CONFINE), ("RIGHTS", rights)):
        script = script.replace(word, shlex.quote(value), 1)
    return ["sh", "-c", script]


@dataclass(frozen=True)
class CopyEndpoints:
    """Both ends of one move's copy."""

    route: Route
    places: tuple[DataPlace, ...]
    peer: Peer
    make_place: Callable[[DataPlace, Mapping[str, PathFacts]], None] = field(repr=False, compare=False)
    linked: dict[int, bool] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What `with_links` said of places after a pass; it counts for the next pass only."""
    _own_attributes: list[bool] = field(default_factory=list, init=False, repr=False, compare=False)
    """Whether a place has attributes that only SYS_ADMIN may write, once that was looked at."""
    _renewed: list[float] = field(default_factory=list, init=False, repr=False, compare=False)
    """When this process last gave them their whole life."""
    _ours: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    """The hosts whose end this process has opened and only used since, without trouble: nothing of a killed run is in
    there.
    """

    @cached_property
    def kinds(self) -> dict[str, PathFacts]:
        """Return what lies at each bind path of the source."""
        return read_paths(
            self.route.fleet[self.route.source], [place.source for place in self.places if place.kind == "bind"]
        )

    @property
    def name(self) -> str:
        """Return the name of both containers; the way back has ends of its own, with other rights.

        It tells which places are mounted where: ends with another order of places are never adopted, since a pass would
        copy one place over another.
        """
        places = "\n".join(f"{position} {place.text()}" for position, place in enumerate(self.places))
        return helper_name(
            ROLE, self.route.move_label, "to", self.route.target, hashlib.sha256(places.encode()).hexdigest()[:8]
        )

    @property
    def channel(self) -> Channel:
        """Return the way between them."""
        return channel_of(self.route.move_label, PURPOSE, self.peer)

    def open(self) -> bool:
        """Make the places on the target and have both ends and the way between them ready; return whether they were
        there already.

        Ends that are there get their whole life again, so that what follows does not end with their age.
        """
        hosts = {self.route.source, self.route.target}
        if (self._ours or self._adopted()) and self._live_on():
            self._ours.update(hosts)
            return True
        self.remove()
        remove_earlier(self.route)
        for place in self.places:
            self.make_place(place, self.kinds)
        route = self.route
        make_channel(
            route.fleet,
            route.source,
            self.peer,
            move_label=route.move_label,
            purpose=PURPOSE,
            forced_command=shell_line(taking_end(self.name)),
            valid_s=LIFE_S,
        )
        with ThreadPoolExecutor(max_workers=2) as pool:
            for job in [pool.submit(self._start, host) for host in hosts]:
                job.result()
        self._ours.update(hosts)
        self._renewed[:] = [time.monotonic()]
        if self._needs_own_attributes():
            self.renew()
        return False

    def _live_on(self) -> bool:
        """Give ends that are there their whole life; return False when one of them has ended meanwhile: both are made
        anew then.
        """
        try:
            self.renew(unless_since_s=RENEW_S)
        except ActionError:
            if all(self.runs(host) for host in (self.route.source, self.route.target)):
                raise
            return False
        return True

    def renew(self, *, unless_since_s: float = 0.0) -> None:
        """Give both ends and the key their whole life again, unless this process did so lately; raises LockLostError
        when it may not go on.
        """
        if self._renewed and time.monotonic() - self._renewed[-1] < unless_since_s:
            return
        route = self.route
        for host in (route.source, route.target):
            self.inside(host, ["sh", "-c", RENEW, "renew", str(int(LIFE_S))], changes=True)
        command = shell_line(taking_end(self.name, own_attributes=self._needs_own_attributes()))
        extend_channel(
            route.fleet,
            route.source,
            self.peer,
            move_label=route.move_label,
            purpose=PURPOSE,
            forced_command=command,
            valid_s=LIFE_S,
        )
        self._renewed[:] = [time.monotonic()]

    def outlive(self, jobs: Iterable[Future[Any]]) -> None:
        """Wait until all jobs are done and renew what they use meanwhile: no copy and no reading ends because it takes
        long.
        """
        left: set[Future[Any]] = set(jobs)
        while left:
            _, left = wait(left, timeout=RENEW_S)
            if left:
                with suppress(NotObservedError, ActionError):  # there is time for several tries; a lost lock is neither
                    self.renew()

    def check_lock(self, doing: str) -> None:
        """Raise LockLostError when somebody else took a host over: nothing is copied on then."""
        for host in (self.route.target, self.route.source):
            self.route.audit(host, PURPOSE, doing)

    def _needs_own_attributes(self) -> bool:
        if not self._own_attributes:
            places = [self.at(position) for position in range(len(self.places))]
            answers = self.inside(
                self.route.source, ["python3", "-c", OWN_ATTRIBUTES, *places], timeout_s=LONGEST_FLUSH_S
            ).text.split()
            self._own_attributes.append("yes" in answers)
        return self._own_attributes[0]

    def flush(self) -> None:
        """Have everything that was written to the places of the target on its disks; raises ActionError
        when it is not.
        """
        places = [self.at(position) for position in range(len(self.places))]
        if places:
            self.inside(self.route.target, [*FLUSH, *places], timeout_s=LONGEST_FLUSH_S)

    @contextmanager
    def _trusting(self) -> Iterator[None]:
        """Whatever goes wrong in an end, the next `open` looks again what is there."""
        try:
            yield
        except BaseException:
            self._ours.clear()
            raise

    def _start(self, host: str) -> None:
        """Start one end; it ends by itself when nobody came back for it."""
        at_source = host == self.route.source
        mounts = [self._mount(place, position, read_only=at_source) for position, place in enumerate(self.places)]
        rights = tuple(dict.fromkeys((*READS, *(() if at_source else WRITES), *CONFINES)))
        argv = toolbox_argv(
            ["sh", "-c", LIVE, "live", str(int(LIFE_S))],
            name=self.name,
            move_label=self.route.move_label,
            role=ROLE,
            mounts=[*mounts, *([self.channel.mount()] if at_source else [])],
            network="host" if at_source else "none",
            flags=(*self._closed(), *(word for right in rights for word in ("--cap-add", right)), "--init", "--detach"),
        )
        run_checked(self.route.fleet, host, argv, doing=say("start a toolbox for the copy"), timeout_s=START_S)

    def _closed(self) -> tuple[str, ...]:
        """Return what closes an end: a root file system that nobody writes to, no rights but those given; what it
        remembers is in a volume.
        """
        memory = f"type=volume,target=/tmp,volume-label={LABEL_MOVE}={self.route.move_label}"
        return ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--mount", memory)

    def _adopted(self) -> bool:
        """End what an earlier, killed run still does in both ends; return whether both are there."""
        hosts = (self.route.source, self.route.target)
        with ThreadPoolExecutor(max_workers=2) as pool:
            return all(pool.map(lambda host: self._strays(host) is not None, hosts))

    def _strays(self, host: str) -> int | None:
        answer = self._change(b"", host, ["sh", "-c", END_STRAYS], START_S)
        return None if answer.exit_code else int(answer.text or 0)

    def _run(self, host: str, argv: list[str], timeout_s: float) -> CommandResult:
        """Ask an end by argv, which changes nothing: over the engine's socket, past the fence."""
        with docker_api(
            self.route.fleet, host, say("run {first_argv} in {name}", first_argv=argv[0], name=self.name)
        ) as api:
            return exec_in_container(api, host, self.name, ContainerCommand(tuple(argv), timeout_s))

    def runs(self, host: str) -> bool:
        """Return whether this move's end on a host runs."""
        there = inspect_container(self.route.fleet, host, self.name)
        return bool(
            there
            and there["State"]["Running"]
            and (there["Config"].get("Labels") or {}).get(LABEL_MOVE) == self.route.move_label
        )

    def remove(self) -> None:
        """Remove both ends, with all that still runs in them, and the key; what can't be reached does not keep the
        rest.
        """
        route = self.route
        self._ours.clear()
        self._renewed.clear()
        with ExitStack() as last_first:
            last_first.callback(
                close_channel, route.fleet, route.source, route.target, move_label=route.move_label, purpose=PURPOSE
            )
            for host in (route.target, route.source):
                last_first.callback(remove_helpers, route.fleet, host, route.move_label, ROLE)

    def inside(
        self, host: str, argv: list[str], *, stdin: bytes = b"", timeout_s: float = START_S, changes: bool = False
    ) -> CommandResult:
        """Run argv in an end; a non-zero exit is an ActionError. What `changes` something there goes under the fence of
        the host's lock.
        """
        doing = say("run {first_argv} in {name}", first_argv=argv[0], name=self.name)
        run = partial(self._change, stdin) if stdin or changes else self._run
        with self._trusting():
            return checked(begun(lambda: run(host, argv, timeout_s)), host, doing)

    def _change(self, stdin: bytes, host: str, argv: list[str], timeout_s: float) -> CommandResult:
        return change(
            self.route.fleet, host, ["docker", "exec", "-i", self.name, *argv], stdin=stdin, timeout_s=timeout_s
        )

    def with_links(self, positions: Iterable[int]) -> set[int]:
        """Return the places in which files of the target have further names."""
        wanted = tuple(positions)
        argv = ["sh", "-c", LINKED, "linked", *(self.at(position) for position in wanted)]
        told = self.inside(self.route.target, argv, timeout_s=LONGEST_LOOK_S).text.split()
        return {position for position, answer in zip(wanted, told, strict=True) if answer == "yes"}

    @contextmanager
    def streaming(
        self, host: str, argv: list[str], *, stdin: bytes = b"", timeout_s: float = LONGEST_COPY_S
    ) -> Iterator[IO[bytes]]:
        """Yield the output of argv in an end while it comes."""
        words = ["sh", "-c", RUN_IN, "run", self.name, *READING, *argv]
        with self._trusting(), changing(self.route.fleet, host, words, stdin=stdin, timeout_s=timeout_s) as output:
            yield output

    def at(self, position: int) -> str:
        """Return where a place lies in an end: a file or a directory."""
        name = PurePosixPath(self.places[position].source).name
        return f"/data/{position}/{name}" if self.is_file(position) else f"/data/{position}"

    def is_file(self, position: int) -> bool:
        """Return whether a place is a single file."""
        place = self.places[position]
        return place.kind == "bind" and self.kinds[place.source].kind == "file"

    def _mount(self, place: DataPlace, position: int, *, read_only: bool) -> ToolboxMount:
        """Return where a place is mounted.

        Of a single file the source's end gets its directory, since whoever edits it may put another in its place; the
        target's end gets the file alone, or the key could write to all that lies beside it there.
        """
        if not self.is_file(position):
            return ToolboxMount(place.kind, place.source, f"/data/{position}", read_only=read_only)
        if read_only:
            return ToolboxMount(
                place.kind, str(PurePosixPath(place.source).parent), f"/data/{position}", read_only=True
            )
        return ToolboxMount(place.kind, place.source, self.at(position))
