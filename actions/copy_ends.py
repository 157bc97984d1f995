"""The two ends of a move's copy: one toolbox container on each host, in which copies and readings of its places run.

They are found by name and label: a second start adopts them, ends what an orphan still does in them, or replaces them,
before anything touches the places. When a container is removed, everything in it ends with it.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import PurePosixPath
from typing import IO, Final

from actions.places import DataPlace
from actions.route import Route, checked, docker_api, helper_name, inspect_container, run_checked
from actions.toolbox import ToolboxMount, remove_helpers, toolbox_argv
from actions.transfers import Channel, Peer, channel_of, close_channel, make_channel, shell_line
from checks.names import PathFacts, read_paths
from engine.model import CommandResult, ContainerCommand
from engine.product import LABEL_MOVE
from hosts.docker_exec import begun, run_inside
from hosts.fencing import change, changing
from hosts.toolbox import PROGRAM, PROGRAM_AT
from hosts.whole import taking

ROLE: Final = "copy"
PURPOSE: Final = "copy"
LONGEST_COPY_S: Final = 6 * 3600.0
START_S: Final = 60.0
MAKE_S: Final = 30.0
SINK: Final = "sink"
"""What a speed test asks the other end for: take everything and throw it away."""

SEES_ALL: Final = ("--cap-add", "SYS_ADMIN", "--init")
"""Attributes of the name space `trusted` are shown to nobody else. xattr(7)"""

ENTER: Final = (
    "enter() { name=$1; shift; pid=$(docker inspect -f '{{.State.Pid}}' \"$name\") || exit 1; "
    '[ "$pid" -gt 0 ] || { echo "$name does not run" >&2; exit 1; }; '
    'if command -v nsenter >/dev/null; then exec nsenter -t "$pid" -m -p -n -- "$@"; fi; '
    'exec docker exec -i -e SSH_ORIGINAL_COMMAND "$name" "$@"; }; '
)
"""Runs a command beside what runs in a container: through the engine's own pipe data cost twice the processor time (measured: 10.5 s
for 1 GiB against 4.0 s), and starting a command half a tenth of a second more. One line: authorized_keys has it."""
RUN_IN: Final = f'{ENTER}enter "$@"'
TAKE: Final = f'{ENTER}case "$SSH_ORIGINAL_COMMAND" in sink) exec cat >/dev/null;; esac; enter %s rrsync -wo -no-lock /'
"""The target's end of a connection: rsync in a container that sees the places of this move, write only; rrsync itself would refuse to
make pipes and devices below any directory but the root."""

END_STRAYS: Final = """\
found=0
for comm in /proc/[0-9]*/comm; do
  read -r name < "$comm" 2>/dev/null || continue
  pid=${comm#/proc/}; pid=${pid%/comm}
  case "$name" in rsync|rrsync|python3|zstd) [ "$pid" = 1 ] || { kill -9 "$pid" 2>/dev/null && found=$((found + 1)); };; esac
done
echo "$found"
"""
LINKED: Final = 'for place; do [ -z "$(find "$place" -type f -links +1 -print -quit 2>/dev/null)" ] && echo no || echo yes; done'
LONGEST_LOOK_S: Final = 600.0
SAVE: Final = f"take {PROGRAM_AT}.part && mv {PROGRAM_AT}.part {PROGRAM_AT}"
WHOLE: Final = f"[ -s {PROGRAM_AT} ] || exit 1\n"
"""An end that was killed while it was made lacks its program: it is made anew."""


@dataclass(frozen=True)
class CopyEnds:
    """Both ends of one move's copy."""

    route: Route
    places: tuple[DataPlace, ...]
    peer: Peer
    make_place: Callable[[DataPlace, Mapping[str, PathFacts]], None] = field(repr=False, compare=False)
    linked: dict[int, bool] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What `with_links` said of places after a pass; it counts for the next pass only."""
    _ours: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    """The hosts whose end this process has opened and only used since, without trouble: nothing of a killed run is in there."""

    @cached_property
    def kinds(self) -> dict[str, PathFacts]:
        """Return what lies at each bind path of the source."""
        return read_paths(self.route.fleet[self.route.source], [place.source for place in self.places if place.kind == "bind"])

    @property
    def name(self) -> str:
        """Return the name of both containers; the way back has ends of its own, with other rights.

        It tells which places are mounted where: ends with another order of places are never adopted, since a pass would
        copy one place over another.
        """
        places = "\n".join(f"{position} {place.text()}" for position, place in enumerate(self.places))
        return helper_name(ROLE, self.route.move_label, "to", self.route.target, hashlib.sha256(places.encode()).hexdigest()[:8])

    @property
    def channel(self) -> Channel:
        """Return the way between them."""
        return channel_of(self.route.move_label, PURPOSE, self.peer)

    def open(self) -> bool:
        """Make the places on the target and have both ends and the way between them ready; return whether they were there already."""
        route, hosts = self.route, {self.route.source, self.route.target}
        if self._ours or self._adopted():
            self._ours.update(hosts)
            return True
        self.remove()
        for place in self.places:
            self.make_place(place, self.kinds)
        make_channel(
            route.fleet, route.source, self.peer, move_label=route.move_label, purpose=PURPOSE,
            forced_command=shell_line(["sh", "-c", TAKE % shlex.quote(self.name)]), valid_s=LONGEST_COPY_S,
        )  # fmt: skip
        with ThreadPoolExecutor(max_workers=2) as pool:
            for job in [pool.submit(self._start, host) for host in hosts]:
                job.result()
        self._ours.update(hosts)
        return False

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
        argv = toolbox_argv(
            ["sleep", str(int(LONGEST_COPY_S))],
            name=self.name,
            move_label=self.route.move_label,
            role=ROLE,
            mounts=[*mounts, *([self.channel.mount()] if at_source else [])],
            network="host" if at_source else "none",
            flags=(*SEES_ALL, "--detach"),
        )
        run_checked(self.route.fleet, host, argv, doing="start a toolbox for the copy", timeout_s=START_S)
        self.inside(host, taking(SAVE, "save", PROGRAM), stdin=PROGRAM)

    def _adopted(self) -> bool:
        """End what an earlier, killed run still does in both ends; return whether both are there."""
        hosts = (self.route.source, self.route.target)
        with ThreadPoolExecutor(max_workers=2) as pool:
            return all(pool.map(lambda host: self._strays(host) is not None, hosts))

    def _strays(self, host: str) -> int | None:
        answer = self._run(host, ["sh", "-c", WHOLE + END_STRAYS], START_S)
        return None if answer.exit_code else int(answer.text or 0)

    def _run(self, host: str, argv: list[str], timeout_s: float) -> CommandResult:
        """Run argv in an end, asked of the engine itself."""
        with docker_api(self.route.fleet, host, f"run {argv[0]} in {self.name}") as api:
            return run_inside(api, host, self.name, ContainerCommand(tuple(argv), timeout_s))

    def runs(self, host: str) -> bool:
        """Return whether this move's end on a host runs."""
        there = inspect_container(self.route.fleet, host, self.name)
        return bool(there and there["State"]["Running"] and (there["Config"].get("Labels") or {}).get(LABEL_MOVE) == self.route.move_label)

    def remove(self) -> None:
        """Remove both ends, with all that still runs in them, and the key; what can't be reached does not keep the rest."""
        route = self.route
        self._ours.clear()
        with ExitStack() as last_first:
            last_first.callback(close_channel, route.fleet, route.source, route.target, move_label=route.move_label, purpose=PURPOSE)
            for host in (route.target, route.source):
                last_first.callback(remove_helpers, route.fleet, host, route.move_label, ROLE)

    def inside(self, host: str, argv: list[str], *, stdin: bytes = b"", timeout_s: float = START_S) -> CommandResult:
        """Run argv in an end; a non-zero exit is an ActionError."""
        doing = f"run {argv[0]} in {self.name}"
        run = self._run if not stdin else partial(self._run_with, stdin)
        with self._trusting():
            return checked(begun(lambda: run(host, argv, timeout_s)), host, doing)

    def _run_with(self, stdin: bytes, host: str, argv: list[str], timeout_s: float) -> CommandResult:
        return change(self.route.fleet, host, ["docker", "exec", "-i", self.name, *argv], stdin=stdin, timeout_s=timeout_s)

    def with_links(self, positions: Iterable[int]) -> set[int]:
        """Return the places in which files of the target have further names."""
        wanted = tuple(positions)
        argv = ["sh", "-c", LINKED, "linked", *(self.at(position) for position in wanted)]
        told = self.inside(self.route.target, argv, timeout_s=LONGEST_LOOK_S).text.split()
        return {position for position, answer in zip(wanted, told, strict=True) if answer == "yes"}

    @contextmanager
    def streaming(self, host: str, argv: list[str], *, stdin: bytes = b"", timeout_s: float = LONGEST_COPY_S) -> Iterator[IO[bytes]]:
        """Yield the output of argv in an end while it comes."""
        words = ["sh", "-c", RUN_IN, "run", self.name, *argv]
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
        """Return where a place is mounted; of a single file its directory, because it may be missing still."""
        source = str(PurePosixPath(place.source).parent) if self.is_file(position) else place.source
        return ToolboxMount(place.kind, source, f"/data/{position}", read_only=read_only)
