"""The proof that both sides hold the same, and the readings made before it so that it costs little outage."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from actions.common.base_action import RouteAction
from actions.common.route import inspect_container, refuse_under_container
from actions.copy.endpoints import CopyEndpoints
from actions.copy.locations import DataPlace
from actions.copy.passes import PassRunner
from actions.copy.ssh_channel import shell_line
from engine.cancellation import pause
from engine.contracts.action import Note
from engine.errors import ActionError
from engine.finding import say
from engine.verdict import Effect, Judgement, failed, passed
from hosts.manifest.manifest import KEPT, Drift, Manifest, compare_manifests, raw_path
from hosts.manifest.reader import PROGRAM, manifest_words

Level = Literal["metadata", "sampled", "full"]

START_S: Final = 3.0
PROVE_BYTES_PER_S: Final = 300e6
AT_ONCE: Final = 3
LONGEST_PROOF_S: Final = 14 * 86400.0
"""The deadline of one reading: of a command that hangs, not of how much can be proven."""
REST_S: Final = 2.2
"""Whoever reads files for a later proof lets them rest first: a digest counts only for what was at rest 2 s before the
flush.
"""
SOON_READ_BYTES: Final = 512 << 20
"""So much is read again in the time that the rest takes."""
LITTLE_BYTES: Final = 32 << 20
"""So much is read again in the outage before anybody notices: no rest is worth it."""

WORTH_MEASURING_BYTES: Final = 256 << 20
USUAL_HASH: Final = "sha256"
CHOSEN: Final = f'--hash "$(cat /tmp/hash 2>/dev/null || echo {USUAL_HASH})"'
"""Both ends hold the name of the hash that was chosen for this copy; they are always started together."""

ALIKE: Final = {
    "metadata": say("have the same names, kinds, sizes, owners, modes and times"),
    "sampled": say("are the same as far as they were read"),
    "full": say("are identical"),
}
"""What a comparison of each level may say: identical is only what was read whole."""
READ: Final = {
    "metadata": say("no content"),
    "sampled": say("three parts of each file's content"),
    "full": say("all content"),
}


@dataclass(frozen=True)
class Verifier:
    """How the places of one copy are read and compared."""

    ends: CopyEndpoints
    level: Level = "full"

    def remember(self, *, rest: bool = True) -> float:
        """Read both sides while the service runs, so that the proof reads only what changed since; return the seconds.

        Without `rest` what was written just now is read again the next time.
        """
        if self.level != "full" or not self.ends.places:
            return 0.0
        if rest:
            pause(REST_S)
        started = time.monotonic()
        route, positions = self.ends.route, range(len(self.ends.places))
        work = [(host, position) for position in positions for host in (route.source, route.target)]
        with ThreadPoolExecutor(max_workers=2 * AT_ONCE) as pool:
            jobs = [pool.submit(self._remember, *item) for item in work]
            self.ends.outlive(jobs)
            for job in jobs:
                job.result()
        return time.monotonic() - started

    def _remember(self, host: str, position: int) -> None:
        memory = _memory(position)
        words = manifest_words(self.ends.at(position), known=memory, remember=memory, given=True)
        self.ends.inside(
            host, ["sh", "-c", f"{shell_line(words)} {CHOSEN} >/dev/null"], stdin=PROGRAM, timeout_s=LONGEST_PROOF_S
        )

    def compare(self) -> dict[int, Drift]:
        """Compare both sides of each place, streamed from both hosts."""
        positions = range(len(self.ends.places))
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            jobs = [pool.submit(self._drift, position) for position in positions]
            self.ends.outlive(jobs)
        return {position: job.result() for position, job in zip(positions, jobs, strict=True)}

    def flush(self) -> None:
        """Have on the target's disks what was copied and compared: a comparison reads what may only be in memory.
        Raises ActionError.
        """
        self.ends.flush()

    def _drift(self, position: int) -> Drift:
        ends, route = self.ends, self.ends.route
        program = manifest_words(ends.at(position), known=_memory(position), level=self.level, given=True)
        words = ["sh", "-c", f"{shell_line(program)} {CHOSEN}"]
        place = ends.places[position].text()
        with (
            ends.streaming(route.source, words, stdin=PROGRAM, timeout_s=LONGEST_PROOF_S) as here,
            ends.streaming(route.target, words, stdin=PROGRAM, timeout_s=LONGEST_PROOF_S) as there,
        ):
            return compare_manifests(Manifest(route.source, place, here), Manifest(route.target, place, there))


def _memory(position: int) -> str:
    return f"/tmp/read-{position}"  # noqa: S108 in the container, which is ours alone


def choose_algorithm(ends: CopyEndpoints, size_bytes: int | None) -> str:
    """Have both ends hash with what the slower of both hosts computes fastest, measured now; return its name.

    Little data is read before the measuring would end.
    """
    if size_bytes is not None and size_bytes < WORTH_MEASURING_BYTES:
        return USUAL_HASH
    hosts = (ends.route.source, ends.route.target)
    with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
        speeds = list(
            pool.map(
                lambda host: _speeds(ends.inside(host, [*manifest_words(given=True), "--speeds"], stdin=PROGRAM).text),
                hosts,
            )
        )
    chosen = fastest_for_both(*speeds)
    for host in hosts:
        ends.inside(host, ["sh", "-c", 'echo "$1" > /tmp/hash', "choose", chosen], changes=True)
    return chosen


def fastest_for_both(one: dict[str, float], other: dict[str, float]) -> str:
    """Return the algorithm whose slower side is fastest."""
    return max(one, key=lambda name: min(one[name], other.get(name, 0.0)))


def _speeds(text: str) -> dict[str, float]:
    return {name: float(value) for name, _, value in (word.partition("=") for word in text.split())}


@dataclass(frozen=True)
class VerifyVolumes(RouteAction):
    """Read a manifest of each place on both hosts and compare them entry by entry.

    With `mending`, what differs is copied once more whatever its size and time say, and proven again: a second
    difference is a failure. Without, nothing is changed. With `tidy` the ends of the copy are removed at the end.
    """

    places: tuple[DataPlace, ...]
    size_bytes: int | None
    proving: Verifier
    mending: PassRunner | None = None
    tidy: bool = True
    key = "verify-volumes"
    _fresh: list[dict[int, Drift]] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def effect(self) -> Effect:
        """Return whether it may change the target."""
        return Effect.CHANGES_STATE if self.mending else Effect.READ_ONLY

    def describe(self) -> str:
        """Return the dry run's line."""
        again = say("; what differs is copied once more and compared again") if self.mending else ""
        level = READ[self.proving.level]
        return say(
            "compare {count} places entry by entry between {source} and {target}, {level}{again}",
            count=len(self.places),
            source=self.route.source,
            target=self.route.target,
            level=level,
            again=again,
        )

    def estimate_s(self) -> float | None:
        """Return seconds at the rate of one core's SHA-256, None when the size is not known."""
        return None if self.size_bytes is None else START_S + self.size_bytes / PROVE_BYTES_PER_S

    def do(self, note: Note) -> None:
        """Compare, and copy once more what is found different; never under a container that exists already."""
        if not self.mending or not self.places:
            return
        refuse_under_container(self.route)
        self.proving.ends.open()
        drifts = self.proving.compare()
        wrong = {position: drift for position, drift in drifts.items() if drift}
        note["mended"] = [line for position, drift in wrong.items() for line in self._named(position, drift)][:20]
        for position, drift in wrong.items():
            self.route.audit(
                self.route.target, self.key, f"copy {drift.count:,} entries of {self.places[position].text()} once more"
            )
            self.mending.repair(position, [raw_path(path) for path in drift.paths] if drift.count < KEPT else [])
        if not wrong:
            self._fresh.append(drifts)

    def verify(self, note: Note) -> Judgement:
        """Judge whether both sides are identical; names the first differences and counts all.

        Once the target's container exists its files may change: then the proof that was made before it holds.
        """
        if not self.places:
            return passed(
                say("{service}: no mount is copied, so no file was compared", service=self.route.service), places=0
            )
        if self.mending and note.get("proven") and self._container_there():
            return passed(
                say(
                    "{proven}, before {container} was created on {target}",
                    proven=note["proven"],
                    container=self.route.container,
                    target=self.route.target,
                )
            )
        started = time.monotonic()
        if not self._fresh:
            self.proving.ends.open()
        drifts = self._fresh.pop() if self._fresh else self.proving.compare()
        judgement = self._judge(drifts, note.get("mended") or (), time.monotonic() - started)
        if judgement.passed:
            try:
                self.proving.flush()
            except ActionError as error:
                return failed(
                    say(
                        "{error}. Expected: all that was copied is on the disks of {target}. Look: ssh {target} dmesg "
                        "| tail",
                        error=error,
                        target=self.route.target,
                    )
                )
            note["proven"] = judgement.text
            if self.tidy:
                self.proving.ends.remove()
        return judgement

    def _container_there(self) -> bool:
        return inspect_container(self.route.fleet, self.route.target, self.route.container) is not None

    def _named(self, position: int, drift: Drift) -> list[str]:
        return [say("{place}: {line}", place=self.places[position].text(), line=line) for line in drift.differences]

    def _judge(self, drifts: dict[int, Drift], mended: Iterable[str], seconds: float) -> Judgement:
        different = [line for position, drift in drifts.items() for line in self._named(position, drift)]
        count = sum(drift.count for drift in drifts.values())
        compared = sum(drift.compared for drift in drifts.values())
        where = say("{source} and {target}", source=self.route.source, target=self.route.target)
        if count or not all(drift.compared for drift in drifts.values()):
            return failed(
                say(
                    "{where}: {count:,} of {compared:,} entries differ, first {first_different}. Expected: none. Find "
                    "out who writes to the target's volume, then run the move again",
                    where=where,
                    count=count,
                    compared=compared,
                    first_different=different[0] if different else say("(nothing compared)"),
                ),
                tuple(different[:20]),
                entries_different=count,
                entries_compared=compared,
            )
        mended = tuple(mended)
        again = say("; {count} were copied once more first", count=len(mended)) if mended else ""
        return passed(
            say(
                "{where}: {compared:,} entries in {count} places {alike} ({read}) and on the disks of {target}{again}",
                where=where,
                compared=compared,
                count=len(self.places),
                alike=ALIKE[self.proving.level],
                read=_read(drifts.values(), self.proving.level),
                target=self.route.target,
                again=again,
            ),
            (
                *(
                    say("{place}: {compared:,} entries", place=self.places[position].text(), compared=drift.compared)
                    for position, drift in drifts.items()
                ),
                *mended,
            ),
            entries_compared=compared,
            seconds=round(seconds, 1),
        )


def _read(drifts: Iterable[Drift], level: Level) -> str:
    """Return the denominators: of how many bytes and files how much was read now."""
    some: list[Any] = list(drifts)
    size, read = sum(drift.compared_bytes for drift in some), sum(drift.read_bytes for drift in some)
    files, reused = sum(drift.files for drift in some), sum(drift.reused for drift in some)
    if level != "full":
        return say("{level}: {read:,} of {size:,} bytes were read", level=READ[level], read=read, size=size)
    earlier = (
        say(", {reused:,} of {files:,} files proven unchanged since they were read", reused=reused, files=files)
        if reused
        else ""
    )
    return say("{read:,} of {size:,} bytes read{earlier}", read=read, size=size, earlier=earlier)
