"""Set a service's data aside on its own host before anything is written over it, prove the copy, and put it back.

Rolling back writes into the only pristine copy of the data (review 5): it is kept beside itself until decommission.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

from actions.labels import labels
from actions.places import MAKE_PATH, DataPlace, check_depth, remove_place, volume_label
from actions.route import Route, docker_api, run_checked
from actions.toolbox import ToolboxMount, remove_helpers, toolbox_argv
from actions.volumes import LONGEST_COPY_S, RSYNC
from checks.names import read_paths
from engine.errors import RefusedError
from engine.model import Note
from engine.product import NAME
from engine.verdict import Effect, Judgement, failed, passed
from hosts.manifest import compare_manifests
from hosts.toolbox import read_manifest

ROLE: Final = "aside"
COPY_BYTES_PER_S: Final = 100e6
START_S: Final = 3.0
AND_FLUSH: Final = 'at=$1; shift; "$0" "$@" && exec sync --file-system -- "$at"'
"""The other copy is removed or written over next: this one must be on the disk by then, or fail. sync(1), syncfs(2)"""


def aside_of(place: DataPlace, move_label: str) -> DataPlace:
    """Return where a place is set aside: a volume or path beside it, named after the attempt."""
    attempt = move_label.rsplit("/", 1)[1]
    between = "-" if place.kind == "volume" else "."
    return DataPlace(place.kind, f"{place.source}{between}{NAME}-aside-{attempt}")


@dataclass(frozen=True)
class SetAside:
    """Copy each place beside itself on `host` and prove the copy; nothing set aside is removed before decommission."""

    route: Route
    host: str
    places: tuple[DataPlace, ...]
    size_bytes: int | None = None
    key: str = field(default="set-aside", init=False)
    effect: Effect = field(default=Effect.CHANGES_STATE, init=False)
    commits: bool = field(default=False, init=False)

    def describe(self) -> str:
        """Return the dry run's line."""
        places = ", ".join(f"{place.text()} as {aside_of(place, self.route.move_label).source}" for place in self.places)
        return f"{self.host}: set aside {places or 'nothing'}, and prove the copy"

    def estimate_s(self) -> float | None:
        """Return seconds at a disk's rate, None when the size is not known."""
        return None if self.size_bytes is None else START_S + self.size_bytes / COPY_BYTES_PER_S

    def do(self, note: Note) -> None:
        """Copy; a copy that an earlier run finished and proved is not touched."""
        if note.get("proven"):
            return
        remove_helpers(self.route.fleet, self.host, self.route.move_label, ROLE)
        for position, place in enumerate(self.places):
            aside = aside_of(place, self.route.move_label)
            self._make(aside, place)
            copy_beside(self.route, self.host, f"{self.key}-{position}", place=place, to=aside)
        note["aside"] = [aside_of(place, self.route.move_label).source for place in self.places]

    def verify(self, note: Note) -> Judgement:
        """Judge whether each copy equals what it was made of; once proven, only whether it is still there."""
        if note.get("proven"):
            return self._still_there()
        compared = 0
        for place in self.places:
            aside = aside_of(place, self.route.move_label)
            here, there = (read_manifest(self.route.fleet, self.host, one.source, self.route.move_label) for one in (place, aside))
            drift = compare_manifests(here, there, ())
            compared += drift.compared
            if drift.count or not drift.compared:
                first = drift.differences[0] if drift.differences else "nothing compared"
                return failed(f"{self.host}: {aside.text()} is not {place.text()}: {drift.count:,} of {drift.compared:,} differ: {first}")
        note["proven"] = True
        return passed(f"{self.host}: {len(self.places)} places set aside, {compared:,} entries identical", entries_compared=compared)

    def undo(self, note: Note) -> None:  # noqa: ARG002
        """Remove what was set aside by this attempt: what it was made of has been put back by then."""
        route = self.route
        remove_helpers(route.fleet, self.host, route.move_label, ROLE)
        for place in self.places:
            remove_place(route, self.host, aside_of(place, route.move_label), self.key)

    def _still_there(self) -> Judgement:
        missing = [place.text() for place in self.places if not is_set_aside(self.route, self.host, place)]
        if missing:
            return failed(f"{self.host}: {', '.join(missing)}: what was set aside is gone. Expected: kept until decommission")
        return passed(f"{self.host}: {len(self.places)} places are set aside, proven when they were")

    def _make(self, aside: DataPlace, place: DataPlace) -> None:
        route = self.route
        if is_set_aside(route, self.host, place):
            return
        route.audit(self.host, self.key, f"create {aside.text()}")
        if aside.kind == "volume":
            if volume_label(route, self.host, aside.source) is not None:
                raise RefusedError(f"{self.host}: volume {aside.source} exists and is not of {route.move_label}. Expected: none. Rename or remove it")
            with docker_api(route.fleet, self.host, f"create volume {aside.source}") as api:
                api.create_volume(aside.source, labels=labels(route.move_label, ROLE))
            return
        paths = read_paths(route.fleet[self.host], [aside.source, place.source])
        check_depth(self.host, aside.source)
        if not paths[aside.source].free:
            raise RefusedError(f"{self.host}: {aside.source} exists and is not of {route.move_label}. Expected: missing. Move it away")
        argv = ["sh", "-c", MAKE_PATH, "make", aside.source, paths[place.source].kind, route.move_label]
        run_checked(route.fleet, self.host, argv, doing=f"create {aside.source}")


def is_set_aside(route: Route, host: str, place: DataPlace) -> bool:
    """Return whether this attempt's copy of a place is there."""
    aside = aside_of(place, route.move_label)
    if aside.kind == "volume":
        return volume_label(route, host, aside.source) == route.move_label
    return read_paths(route.fleet[host], [aside.source])[aside.source].marker == route.move_label


def copy_beside(route: Route, host: str, step: str, *, place: DataPlace, to: DataPlace) -> None:
    """Make `to` equal to `place` on one host, with all that rsync can carry; what is only in `to` is deleted."""
    argv, mounts = _words(route, host, place, to)
    argv = ["sh", "-c", AND_FLUSH, argv[0], "/to" if place.kind == "volume" else "/at", *argv[1:]]
    name = route.slug(step)
    command = toolbox_argv(argv, name=name, move_label=route.move_label, role=ROLE, mounts=mounts)
    doing = f"copy {place.source} to {to.source}"
    route.audit(host, step, doing)
    run_checked(route.fleet, host, command, doing=doing, timeout_s=LONGEST_COPY_S)


def _words(route: Route, host: str, place: DataPlace, to: DataPlace) -> tuple[list[str], Sequence[ToolboxMount]]:
    """Return rsync's words and mounts; of a path its parent is mounted, because a single file is renamed into place."""
    if place.kind == "volume":
        return [*RSYNC, "--delete", "/from/", "/to/"], (
            ToolboxMount("volume", place.source, "/from", read_only=True),
            ToolboxMount("volume", to.source, "/to"),
        )
    here, there = PurePosixPath(place.source), PurePosixPath(to.source)
    one_file = read_paths(route.fleet[host], [place.source])[place.source].kind == "file"
    end = "" if one_file else "/"
    flags = [] if one_file else ["--delete"]
    return [*RSYNC, *flags, f"/at/{here.name}{end}", f"/at/{there.name}{end}"], (ToolboxMount("bind", str(here.parent), "/at"),)
