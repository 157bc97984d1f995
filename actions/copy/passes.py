"""One pass of a copy from host to host: all places in parallel, resumed when the connection breaks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import IO, Final

from actions.copy.endpoints import CopyEndpoints
from actions.copy.rsync import PIPE_BYTES, RUN, CopyPass, RsyncOptions, RsyncResult, parse_rsync, progress_of, summed
from actions.copy.ssh_channel import shell_line
from actions.copy.survey import missing_room
from engine.cancellation import pause
from engine.errors import ActionError, NotObservedError, UnreachableError
from engine.finding import say
from engine.polling import Polling

AT_ONCE: Final = 3
MOST_CUTS: Final = 30
LONGEST_PAUSE_S: Final = 10.0
PATIENCE_S: Final = 600.0
"""For this long a copy while the service runs retries a target that it does not reach."""
PATIENCE_IN_OUTAGE_S: Final = 60.0
"""And so long one that the service is stopped for: undone, it serves again."""
LOCK_PATIENCE_S: Final = 60.0
"""So long a copy that was cut waits for an answer whether its lock is still its own."""
MASTER: Final = ("-o", "ControlPath=/tmp/way", "-o", "ControlMaster=auto", "-o", "ControlPersist=600")
"""The last pass comes over a connection that is there already: a fresh one costs 0.1 to 0.6 s of the outage."""


@dataclass
class Progress:
    """How far a pass is, over all its places; `report` gets a line now and then."""

    total_bytes: int
    report: Callable[[str], None]
    started: float = field(default_factory=time.monotonic)
    done: dict[int, int] = field(default_factory=dict)
    sent: dict[int, int] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def seen(self, position: int, done_bytes: int, sent_bytes: int) -> None:
        """Take what is known of one place's rsync: how much it has read, and handed to ssh."""
        with self._lock:
            self.done[position], self.sent[position] = done_bytes, sent_bytes
            self.report(self.text())

    def text(self) -> str:
        """Return how much is done, how fast, and how long the rest will take."""
        done, seconds = sum(self.done.values()), max(time.monotonic() - self.started, 0.001)
        rate = done / seconds
        left = (
            say(", {total_bytes:.0f} s left", total_bytes=(self.total_bytes - done) / rate)
            if rate and self.total_bytes > done
            else ""
        )
        of = say(" of {total_bytes:,.0f}", total_bytes=self.total_bytes / 1e6) if self.total_bytes else ""
        return say("{done:,.0f}{of} MB, {rate:,.0f} MB/s{left}", done=done / 1e6, of=of, rate=rate / 1e6, left=left)


@dataclass(frozen=True)
class PassRunner:
    """How this move's passes are run."""

    ends: CopyEndpoints
    words: RsyncOptions
    total_bytes: int = 0
    report: Callable[[str], None] = field(default=lambda _line: None, repr=False, compare=False)
    doing: str = "copy"

    def copy(self, *, live: bool, reuse_way: bool = False) -> CopyPass:
        """Copy all places once; raises ActionError when one can't be trusted, which also says how much room
        was missing.
        """
        started, progress = time.monotonic(), Progress(self.total_bytes, self.report)
        positions = range(len(self.ends.places))
        shared = self._shared(len(positions))
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            patience_s = PATIENCE_S if live else PATIENCE_IN_OUTAGE_S
            jobs = [
                pool.submit(shared.copy_place, position, progress, reuse_way=reuse_way, patience_s=patience_s)
                for position in positions
            ]
            self.ends.outlive(jobs)
        answers = [job.result() for job in jobs]
        for position, (said, _) in enumerate(answers):
            self._judge(said, position, live=live)
        if live:
            linked = self.ends.with_links(positions)
            self.ends.linked.update({position: position in linked for position in positions})
        return summed(time.monotonic() - started, (said for said, _ in answers), sum(cuts for _, cuts in answers))

    def _shared(self, places: int) -> PassRunner:
        """Return the same with each stream's part of the bandwidth."""
        limit = self.words.limit_mb_s
        return (
            replace(self, words=replace(self.words, limit_mb_s=limit / min(AT_ONCE, places)))
            if limit and places
            else self
        )

    def copy_place(
        self,
        position: int,
        progress: Progress,
        *,
        reuse_way: bool = False,
        listed: bytes = b"",
        patience_s: float = PATIENCE_IN_OUTAGE_S,
    ) -> tuple[RsyncResult, int]:
        """Run rsync for one place until it ends without the connection breaking; return what it said and how often that
        broke.

        Raises UnreachableError when it broke too often, or when nothing got through for `patience_s`; LockLostError
        when somebody else holds a host by the time it would continue.
        """
        cuts, last_through = 0, time.monotonic()
        while True:
            progress.sent.pop(position, None)
            in_place = self.ends.is_file(position) or (
                self.words.in_place and not self._is_linked(position, again=cuts > 0)
            )
            said = self._run(position, progress, reuse_way=reuse_way and not cuts, listed=listed, in_place=in_place)
            if not said.cut:
                return said, cuts
            cuts += 1
            if progress.sent.get(position, 0) > PIPE_BYTES:
                last_through = time.monotonic()
            waited_s = time.monotonic() - last_through
            if cuts > MOST_CUTS or waited_s > patience_s:
                place = self.ends.places[position].text()
                raise UnreachableError(
                    say(
                        "{source}: the connection to {target} broke {cuts} times during the copy of {place}, nothing "
                        "got through for {waited_s:.0f} s (last: {complaints}). Expected: it holds. Run the move "
                        "again: it resumes",
                        source=self.ends.route.source,
                        target=self.ends.route.target,
                        cuts=cuts,
                        place=place,
                        waited_s=waited_s,
                        complaints=" / ".join(said.complaints[-2:]),
                    )
                )
            self.report(f"the connection broke ({cuts} times); resuming where it stopped")
            pause(min(0.5 * cuts, LONGEST_PAUSE_S))
            self._look_who_holds(position)

    def _look_who_holds(self, position: int) -> None:
        """Raise LockLostError when somebody else took over meanwhile; a host that does not answer now is asked before
        it is written to.
        """
        doing = f"continue the {self.doing} {self.ends.places[position].text()}"
        Polling(
            "both hosts say who holds them", LOCK_PATIENCE_S, first_s=LONGEST_PAUSE_S, longest_s=LONGEST_PAUSE_S
        ).repeat(lambda: self.ends.check_lock(doing), lambda error: isinstance(error, NotObservedError))

    def _is_linked(self, position: int, *, again: bool) -> bool:
        """Return whether files there have further names, or may have: asked after the pass before, or now."""
        known = self.ends.linked.pop(position, None)
        if known is not None and not again:
            return known
        try:
            return bool(self.ends.with_links([position]))
        except NotObservedError:
            return True

    def _run(self, position: int, progress: Progress, *, reuse_way: bool, listed: bytes, in_place: bool) -> RsyncResult:
        ends, source = self.ends, self.ends.route.source
        one_file = ends.is_file(position)
        words = replace(self.words, delete=not one_file, only_listed=bool(listed), in_place=in_place).words()
        channel = ends.channel
        ssh = [*channel.ssh(), *(MASTER if reuse_way else ())]
        what = ends.at(position) if one_file else f"{ends.at(position)}/"
        argv = [
            "sh",
            "-c",
            RUN,
            "rsync",
            *words,
            "-e",
            shell_line(ssh),
            what,
            f"{channel.destination()}:/data/{position}/",
        ]
        try:
            with ends.streaming(source, argv, stdin=listed) as output:
                return parse_rsync(
                    "".join(_without_progress(output, lambda done, sent: progress.seen(position, done, sent)))
                )
        except NotObservedError:
            if not ends.runs(source):
                raise
            return RsyncResult(255, {}, ("the command's own connection broke",))

    def _judge(self, said: RsyncResult, position: int, *, live: bool) -> None:
        place = self.ends.places[position].text()
        trouble = said.trouble(live=live)
        room = missing_room(self.ends) if said.no_space or said.is_file_trouble else ""
        if room or said.no_space:
            raise ActionError(
                say(
                    "{target}: {place}: {room}. Expected: it fits",
                    target=self.ends.route.target,
                    place=place,
                    room=room or say("no space left"),
                )
            )
        if trouble:
            raise ActionError(
                say(
                    "{source} to {target}: {doing} {place}: {trouble}. Expected: exit 0",
                    source=self.ends.route.source,
                    target=self.ends.route.target,
                    doing=self.doing,
                    place=place,
                    trouble=trouble,
                )
            )

    def repair(self, position: int, paths: list[bytes]) -> None:
        """Copy these paths of a place once more, whatever their size and time say; all of it without paths."""
        again = replace(self, words=replace(self.words, checksum=True, in_place=False))
        paths = [] if self.ends.is_file(position) else paths
        said, _ = again.copy_place(position, Progress(0, self.report), reuse_way=True, listed=b"\0".join(paths))
        self._judge(said, position, live=False)


def _without_progress(output: IO[bytes], seen: Callable[[int, int], None]) -> Iterator[str]:
    """Yield what rsync says, without its progress, which `seen` gets."""
    left = ""
    while chunk := output.read1(65536):  # type: ignore[attr-defined]
        words, newest, left = progress_of(left + chunk.decode("utf-8", "backslashreplace"))
        yield words
        if newest:
            seen(*newest)
    yield left
