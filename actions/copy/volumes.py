"""Copy a service's data from host to host, encrypted on the way, into what this move created on the target itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from actions.common.base_action import RouteAction
from actions.common.labels import labels
from actions.common.route import docker_api, refuse_under_container, run_checked
from actions.container_spec.identity import refuse_used_places
from actions.copy.endpoints import LONGEST_COPY_S, PURPOSE, CopyEndpoints
from actions.copy.locations import MAKE_PATH, DataPlace, check_depth, refuse_occupied, remove_place, volume_label
from actions.copy.passes import PassRunner
from actions.copy.rsync import KEEP, SPARSE, TO_THE_NANOSECOND, CopyPass, RsyncOptions
from actions.copy.ssh_channel import Peer
from actions.copy.survey import look_at_files, measure_link, read_room
from actions.copy.verification import Level, Verifier, VerifyVolumes
from checks.containers.name_conflicts import MARKER_SUFFIX, PathFacts, read_paths
from engine.constants import LABEL_MOVE
from engine.contracts.action import Note
from engine.errors import ActionError, RefusedError
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed

__all__ = ["LONGEST_COPY_S", "PURPOSE", "RSYNC", "CopyVolumes", "Limits", "VerifyVolumes"]

ANONYMOUS: Final = "com.docker.volume.anonymous"
"""What Docker labels a volume with that it may prune as soon as no container uses it; moved data is never that."""
RSYNC: Final = ("rsync", *KEEP, SPARSE, TO_THE_NANOSECOND, "--stats", "--no-human-readable")
"""A copy on one host."""
START_S: Final = 3.0
COPY_BYTES_PER_S: Final = 50e6


@dataclass(frozen=True)
class Limits:
    """What the plan allows a copy: how much bandwidth, how long an outage, how much proof; and what the path carried in
    a sample.
    """

    bandwidth_mb_s: float | None = None
    outage_budget_s: float = 30.0
    proof: Level = "full"
    sampled_bytes_per_s: float | None = None

    @property
    def predicted_bytes_per_s(self) -> float:
        """Return the rate of a copy: what a plain gigabit link and one disk keep, or less where the plan or the path
        carries less.
        """
        allowed = self.bandwidth_mb_s * 1e6 if self.bandwidth_mb_s else COPY_BYTES_PER_S
        return min(COPY_BYTES_PER_S, allowed, self.sampled_bytes_per_s or COPY_BYTES_PER_S)


@dataclass(frozen=True)
class CopyVolumes(RouteAction):
    """Copy every mount with rule `copy` with rsync from host to host; only into what this move created itself."""

    places: tuple[DataPlace, ...]
    peer: Peer
    size_bytes: int | None = None
    limits: Limits = Limits()
    report: Callable[[str], None] = field(default=lambda _line: None, repr=False, compare=False)
    _learnt: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)
    key = "copy-volumes"

    @cached_property
    def ends(self) -> CopyEndpoints:
        """Return the two ends of this copy."""
        return CopyEndpoints(self.route, self.places, self.peer, self._make_place)

    def copying(self, doing: str) -> PassRunner:
        """Return how the passes are run, with what was measured about the link."""
        learnt = self._learnt
        words = RsyncOptions(
            compress=bool(learnt.get("compress")),
            sparse=bool(learnt.get("sparse", True)),
            whole_files=bool(learnt.get("whole_files")),
            limit_mb_s=self.limits.bandwidth_mb_s,
        )
        return PassRunner(self.ends, words, int(learnt.get("total_bytes", 0)), self.report, doing)

    def proving(self) -> Verifier:
        """Return how both sides are read."""
        return Verifier(self.ends, self.limits.proof)

    def describe(self) -> str:
        """Return the dry run's line."""
        places = joined(", ", (place.text() for place in self.places)) or say("nothing")
        return say(
            "copy {places} from {source} to {target} (rsync over ssh, a key for this copy only)",
            places=places,
            source=self.route.source,
            target=self.route.target,
        )

    def estimate_s(self) -> float | None:
        """Return seconds at the predicted rate, None when the size is not known."""
        return None if self.size_bytes is None else START_S + self.size_bytes / self.limits.predicted_bytes_per_s

    def do(self, note: Note) -> None:
        """Copy what is not there yet, over the ends that an earlier pass left open; bytes and seconds go
        into the note.
        """
        note["created"] = [place.text() for place in self.places]
        started = time.monotonic()
        if not self.places:
            note["copied"], note["size_bytes"] = CopyPass(0.0).record(), 0
            return
        self._refuse_under_container()
        was_open = self.ends.open()
        if not was_open:
            self.begin(note)
        self.route.audit(self.route.source, self.key, self.describe())
        done = self.copying("copy").copy(live=False, reuse_way=was_open)
        note["copied"] = {**done.record(), "seconds": round(time.monotonic() - started, 3)}
        note["size_bytes"] = done.size_bytes

    def _refuse_under_container(self) -> None:
        """Raise RefusedError when the host that is written to has a container of this name already: it could run and
        write.
        """
        refuse_under_container(self.route)

    def begin(self, note: Note) -> None:
        """See that the data fits on the target, and find out what the link and the data are like."""
        rooms, note["total_bytes"] = read_room(self.ends)
        missing = joined("; ", (text for room in rooms if (text := room.missing())))
        if missing:
            raise ActionError(
                say(
                    "{target}: {missing}. Expected: it fits. Make room: ssh {target} df -h",
                    target=self.route.target,
                    missing=missing,
                )
            )
        link, (sparse, largest) = measure_link(self.ends, self.limits.bandwidth_mb_s), look_at_files(self.ends)
        note["link"] = link.text
        self._learnt.update(
            compress=int(link.compress),
            total_bytes=note["total_bytes"],
            sparse=int(sparse),
            whole_files=int(link.sends_whole(largest)),
        )

    def verify(self, note: Note) -> Judgement:
        """Judge whether each place was copied to its end; whether it is the same is verify-volumes' question."""
        copied = note.get("copied")
        if copied is None:
            return failed(
                say(
                    "{target}: {places} not copied to its end. Expected: all {count} places. Run the move again: it "
                    "copies only the rest",
                    target=self.route.target,
                    places=joined(", ", (place.text() for place in self.places)),
                    count=len(self.places),
                )
            )
        size, sent, seconds = copied["size_bytes"], copied["sent_bytes"], copied["seconds"]
        again = say(", the connection broke {retries} times", retries=copied["retries"]) if copied["retries"] else ""
        return passed(
            say(
                "{source} to {target}: {count} places, {size:,} bytes, {sent:,} of them sent in {seconds:.1f} s{again}",
                source=self.route.source,
                target=self.route.target,
                count=len(self.places),
                size=size,
                sent=sent,
                seconds=seconds,
                again=again,
            ),
            (str(note["link"]),) if note.get("link") else (),
            size_bytes=size,
            sent_bytes=sent,
            seconds=seconds,
        )

    def undo(self, note: Note) -> None:  # noqa: ARG002
        """Remove from the target what carries this attempt's label or marker, and the temporary key; nothing else."""
        route = self.route
        self.ends.remove()
        refuse_used_places(route, route.target, {place.source: place.kind for place in self.places})
        for place in self.places:
            remove_place(route, route.target, place, self.key)

    def make_places(self, places: tuple[DataPlace, ...]) -> None:
        """Create these places on the target, empty, labelled or marked as this attempt's."""
        for place in places:
            self._make_place(place, self.ends.kinds)

    def _make_place(self, place: DataPlace, kinds: Mapping[str, PathFacts]) -> None:
        if place.kind == "volume":
            self._make_volume(place.source)
            return
        route, there = self.route, read_paths(self.route.fleet[self.route.target], [place.source])[place.source]
        here = kinds[place.source]
        if here.kind not in {"file", "directory"}:
            raise RefusedError(
                say(
                    "{route_source}: {place_source} is a {kind}. Expected: a file or a directory. State rule "
                    "same_on_target or drop for it in inventory.yaml",
                    route_source=route.source,
                    place_source=place.source,
                    kind=here.kind,
                )
            )
        check_depth(route.target, place.source)
        if there.marker != route.move_label:
            refuse_occupied(route, there)
            route.audit(route.target, self.key, f"create {place.source} with its marker {place.source}{MARKER_SUFFIX}")
            argv = ["sh", "-c", MAKE_PATH, "make", place.source, here.kind, route.move_label]
            run_checked(route.fleet, route.target, argv, doing=say("create {source}", source=place.source))

    def _make_volume(self, name: str) -> None:
        """Create the volume on the target like the source's; `docker volume create` would reuse a
        stranger's silently.
        """
        route = self.route
        with docker_api(route.fleet, route.source, say("inspect volume {name}", name=name)) as api:
            original = api.inspect_volume(name)
        label = volume_label(route, route.target, name)
        if label is None:
            route.audit(route.target, self.key, f"create volume {name}")
            theirs = {name: value for name, value in (original.get("Labels") or {}).items() if name != ANONYMOUS}
            mine = {**theirs, **labels(route.move_label, "data")}
            with docker_api(route.fleet, route.target, say("create volume {name}", name=name)) as api:
                api.create_volume(
                    name, driver=original["Driver"], driver_opts=original.get("Options") or {}, labels=mine
                )
        elif label != route.move_label:
            raise RefusedError(
                say(
                    "{target}: volume {name} exists already ({label}). Expected: none, or labelled "
                    "{label_move}={move_label}. Look: ssh {target} docker volume inspect {name}",
                    target=route.target,
                    name=name,
                    label=label or say("not ours"),
                    label_move=LABEL_MOVE,
                    move_label=route.move_label,
                )
            )
