"""Copy a service's data from host to host, encrypted on the way, and prove that both sides hold the same."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

import docker.errors

from actions.labels import labels
from actions.places import MAKE_PATH, REMOVE_PATH, DataPlace, check_depth, refuse_occupied
from actions.route import Route, docker_api, run_checked
from actions.toolbox import ToolboxMount, remove_helpers, toolbox_argv
from actions.transfers import Channel, Peer, close_channel, open_channel, shell_line
from checks.names import MARKER_SUFFIX, PathFacts, read_paths
from engine.errors import ActionError, RefusedError
from engine.model import Note
from engine.product import LABEL_MOVE
from engine.verdict import Effect, Judgement, failed, passed
from hosts.manifest import Drift, compare_manifests
from hosts.toolbox import read_manifest

RSYNC: Final = ("rsync", "-aHAXS", "--numeric-ids", "--stats", "--no-human-readable")
START_S: Final = 3.0
COPY_BYTES_PER_S: Final = 50e6
PROVE_BYTES_PER_S: Final = 300e6
LONGEST_COPY_S: Final = 6 * 3600.0
AT_ONCE: Final = 3
OWN_PID: Final = "OWN_PID"
"""Stands for the number of the shell that sshd starts: one receiver for each place that is copied at the same time."""

ROLE: Final = "copy"
PURPOSE: Final = "copy"
BYTES: Final = re.compile(rb"^Total file size: (\d+)", re.MULTILINE)
SENT: Final = re.compile(rb"^Total bytes sent: (\d+)", re.MULTILINE)


@dataclass(frozen=True)
class CopyVolumes:
    """Copy every mount with rule `copy` with rsync from host to host; only into what this move created itself."""

    route: Route
    places: tuple[DataPlace, ...]
    peer: Peer
    size_bytes: int | None = None
    key: str = field(default="copy-volumes", init=False)
    effect: Effect = field(default=Effect.CHANGES_STATE, init=False)
    commits: bool = field(default=False, init=False)

    def describe(self) -> str:
        """Return the dry run's line."""
        places = ", ".join(place.text() for place in self.places) or "nothing"
        return f"copy {places} from {self.route.source} to {self.route.target} (rsync over ssh, a key for this copy only)"

    def estimate_s(self) -> float | None:
        """Return seconds at a rate that a plain gigabit link and one disk keep, None when the size is not known."""
        return None if self.size_bytes is None else START_S + self.size_bytes / COPY_BYTES_PER_S

    def do(self, note: Note) -> None:
        """Create what is missing on the target, then copy each place; bytes and seconds go into the note."""
        route, started = self.route, time.monotonic()
        self._stop_orphans()
        kinds = read_paths(route.fleet[route.source], [p.source for p in self.places if p.kind == "bind"])
        note["created"] = [place.text() for place in self.places]
        for place in self.places:
            self._make_place(place, kinds)
        copied: dict[str, Any] = {}
        forced = shell_line(self._receiver(kinds)).replace(OWN_PID, "$$")
        if self.places:
            with open_channel(
                route.fleet,
                route.source,
                self.peer,
                move_label=route.move_label,
                purpose=PURPOSE,
                forced_command=forced,
                valid_s=LONGEST_COPY_S,
            ) as channel:
                with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
                    jobs = [pool.submit(self._copy, channel, *item, kinds) for item in enumerate(self.places)]
                copied = {place.text(): job.result() for place, job in zip(self.places, jobs, strict=True)}
        note["copied"] = copied
        note["size_bytes"] = sum(item["size_bytes"] for item in copied.values())
        note["seconds"] = round(time.monotonic() - started, 3)

    def verify(self, note: Note) -> Judgement:
        """Judge whether each place was copied to its end; whether it is the same is prove-volumes' question."""
        copied = note.get("copied")
        missing = [place.text() for place in self.places if place.text() not in (copied or {})]
        if copied is None or missing:
            return failed(
                f"{self.route.target}: {', '.join(missing) or 'nothing'} not copied to its end. Expected: all "
                f"{len(self.places)} places. Run the move again: it copies only the rest"
            )
        return passed(
            f"{self.route.source} to {self.route.target}: {len(self.places)} places, {note['size_bytes']:,} bytes in {note['seconds']:.1f} s",
            tuple(f"{name}: {item['size_bytes']:,} bytes, {item['seconds']:.1f} s" for name, item in copied.items()),
            size_bytes=note["size_bytes"],
            seconds=note["seconds"],
        )

    def undo(self, note: Note) -> None:  # noqa: ARG002
        """Remove from the target what carries this attempt's label or marker, and the temporary key; nothing else."""
        route = self.route
        self._stop_orphans()
        close_channel(route.fleet, route.source, route.target, move_label=route.move_label, purpose=PURPOSE)
        for place in self.places:
            if place.kind == "volume":
                self._remove_volume(place.source)
            else:
                check_depth(route.target, place.source)
                argv = ["sh", "-c", REMOVE_PATH, "remove", place.source, route.move_label]
                route.audit(route.target, self.key, f"remove {place.source} if this attempt created it")
                run_checked(route.fleet, route.target, argv, doing=f"remove {place.source}", timeout_s=600.0)

    def _stop_orphans(self) -> None:
        for host in (self.route.source, self.route.target):
            remove_helpers(self.route.fleet, host, self.route.move_label, ROLE)

    def _make_place(self, place: DataPlace, kinds: dict[str, PathFacts]) -> None:
        if place.kind == "volume":
            self._make_volume(place.source)
            return
        route, there = self.route, read_paths(self.route.fleet[self.route.target], [place.source])[place.source]
        here = kinds[place.source]
        if here.kind not in {"file", "directory"}:
            raise RefusedError(
                f"{route.source}: {place.source} is a {here.kind}. Expected: a file or a directory. State rule "
                "same_on_target or drop for it in inventory.yaml"
            )
        check_depth(route.target, place.source)
        if there.marker != route.move_label:
            refuse_occupied(route, there)
            route.audit(route.target, self.key, f"create {place.source} with its marker {place.source}{MARKER_SUFFIX}")
            argv = ["sh", "-c", MAKE_PATH, "make", place.source, here.kind, route.move_label]
            run_checked(route.fleet, route.target, argv, doing=f"create {place.source}")

    def _make_volume(self, name: str) -> None:
        """Create the volume on the target like the source's; `docker volume create` would reuse a stranger's silently."""
        route = self.route
        with docker_api(route.fleet, route.source, f"inspect volume {name}") as api:
            original = api.inspect_volume(name)
        with docker_api(route.fleet, route.target, f"create volume {name}") as api:
            try:
                present = api.inspect_volume(name)
            except docker.errors.NotFound:
                route.audit(route.target, self.key, f"create volume {name}")
                mine = {**(original.get("Labels") or {}), **labels(route.move_label, "data")}
                api.create_volume(name, driver=original["Driver"], driver_opts=original.get("Options") or {}, labels=mine)
                return
        label = (present.get("Labels") or {}).get(LABEL_MOVE, "")
        if label != route.move_label:
            raise RefusedError(
                f"{route.target}: volume {name} exists already ({label or 'not ours'}). Expected: none, or labelled "
                f"{LABEL_MOVE}={route.move_label}. Look: ssh {route.target} docker volume inspect {name}"
            )

    def _remove_volume(self, name: str) -> None:
        route = self.route
        with docker_api(route.fleet, route.target, f"remove volume {name}") as api:
            try:
                present = api.inspect_volume(name)
            except docker.errors.NotFound:
                return
            if (present.get("Labels") or {}).get(LABEL_MOVE) == route.move_label:
                route.audit(route.target, self.key, f"remove volume {name}, created by this attempt")
                api.remove_volume(name)

    def _receiver(self, kinds: dict[str, PathFacts]) -> list[str]:
        """Return the target's end: rsync confined to the places of this move, write only."""
        mounts = [_mount(place, kinds, position, read_only=False) for position, place in enumerate(self.places)]
        return toolbox_argv(
            ["rrsync", "-wo", "/data"],
            name=f"{self.route.slug('receive')}-{OWN_PID}",
            move_label=self.route.move_label,
            role=ROLE,
            mounts=mounts,
            interactive=True,
            env={"SSH_ORIGINAL_COMMAND": ""},
        )

    def _copy(self, channel: Channel, position: int, place: DataPlace, kinds: dict[str, PathFacts]) -> dict[str, Any]:
        route, started = self.route, time.monotonic()
        here = f"/data/{position}/"
        one_file = place.kind == "bind" and kinds[place.source].kind == "file"
        what = here + PurePosixPath(place.source).name if one_file else here
        argv = toolbox_argv(
            [
                *RSYNC,
                *([] if one_file else ["--delete"]),
                "-e",
                shell_line(channel.ssh()),
                what,
                f"{channel.destination()}:/{position}/",
            ],
            name=route.slug(f"copy-{position}"),
            move_label=route.move_label,
            role=ROLE,
            mounts=[_mount(place, kinds, position, read_only=True), channel.mount()],
            network="host",
        )
        doing = f"copy {place.text()} to {route.target}"
        route.audit(route.source, self.key, doing)
        result = run_checked(route.fleet, route.source, argv, doing=doing, timeout_s=LONGEST_COPY_S)
        size, sent = BYTES.search(result.stdout), SENT.search(result.stdout)
        if size is None or sent is None:
            raise ActionError(f"{route.source}: rsync of {place.text()} printed no totals. Expected: its --stats")
        seconds = round(time.monotonic() - started, 3)
        return {"size_bytes": int(size[1]), "sent_bytes": int(sent[1]), "seconds": seconds}


@dataclass(frozen=True)
class ProveVolumes:
    """Read a manifest of each place on both hosts and compare them entry by entry; changes nothing."""

    route: Route
    places: tuple[DataPlace, ...]
    size_bytes: int | None = None
    key: str = field(default="prove-volumes", init=False)
    effect: Effect = field(default=Effect.READ_ONLY, init=False)
    commits: bool = field(default=False, init=False)

    def describe(self) -> str:
        """Return the dry run's line."""
        return f"compare {len(self.places)} places file by file between {self.route.source} and {self.route.target}"

    def estimate_s(self) -> float | None:
        """Return seconds at the rate of one core's SHA-256, None when the size is not known."""
        return None if self.size_bytes is None else START_S + self.size_bytes / PROVE_BYTES_PER_S

    def do(self, note: Note) -> None:
        """Do nothing: a proof changes nothing."""

    def verify(self, note: Note) -> Judgement:
        """Judge whether both sides are identical; names the first differences and counts all."""
        started = time.monotonic()
        if not self.places:
            return passed(f"{self.route.service}: has no mount to copy, nothing to compare", places=0)
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            drifts = dict(zip((place.text() for place in self.places), pool.map(self._drift, self.places), strict=True))
        different = [f"{name}: {line}" for name, drift in drifts.items() for line in drift.differences]
        count = sum(drift.count for drift in drifts.values())
        compared = sum(drift.compared for drift in drifts.values())
        note["compared"] = compared
        seconds = time.monotonic() - started
        where = f"{self.route.source} and {self.route.target}"
        if count or not compared:
            return failed(
                f"{where}: {count:,} of {compared:,} entries differ, first {different[0] if different else '(nothing compared)'}. "
                "Expected: none. Find out who writes to the target's volume, then run the move again",
                tuple(different[:20]),
                entries_different=count,
                entries_compared=compared,
            )
        return passed(
            f"{where}: {compared:,} entries in {len(self.places)} places are identical",
            tuple(f"{name}: {drift.compared:,} entries" for name, drift in drifts.items()),
            entries_compared=compared,
            seconds=round(seconds, 1),
        )

    def undo(self, note: Note) -> None:
        """Undo nothing."""

    def _drift(self, place: DataPlace) -> Drift:
        route = self.route
        with ThreadPoolExecutor(max_workers=2) as pool:
            here = pool.submit(read_manifest, route.fleet, route.source, place.source, route.move_label)
            there = pool.submit(read_manifest, route.fleet, route.target, place.source, route.move_label)
            return compare_manifests(here.result(), there.result(), ())


def _mount(place: DataPlace, kinds: dict[str, PathFacts], position: int, *, read_only: bool) -> ToolboxMount:
    """Return where a place is mounted in the toolbox; of a single file its directory, because rsync renames into place."""
    one_file = place.kind == "bind" and kinds[place.source].kind == "file"
    source = str(PurePosixPath(place.source).parent) if one_file else place.source
    return ToolboxMount(place.kind, source, f"/data/{position}", read_only=read_only)
