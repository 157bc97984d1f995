"""Set a service's data aside on its own host before anything is written over it, prove the copy, and put it back.

Rolling back writes into the only pristine copy of the data: it is kept next to the data until decommission.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from actions.common.base_action import RouteAction
from actions.common.labels import labels
from actions.common.route import Route, docker_api, remove_container, run_checked
from actions.common.toolbox import ToolboxMount, remove_helpers, toolbox_argv
from actions.container_spec.identity import need_source_at_rest
from actions.container_spec.saved_spec import read_privately, save_privately
from actions.copy.locations import MAKE_PATH, DataPlace, check_depth, remove_place, volume_label
from actions.copy.volumes import LONGEST_COPY_S, RSYNC
from checks.containers.name_conflicts import read_paths
from engine.constants import HOST_STATE_DIR, NAME
from engine.contracts.action import Note
from engine.errors import ActionError, RefusedError
from engine.finding import joined, say
from engine.verdict import Judgement, failed, passed
from hosts.manifest.manifest import compare_manifests
from hosts.manifest.reader import read_manifest

DIRECTORY: Final = f"{HOST_STATE_DIR}/asides"
ROLE: Final = "aside"
COPY_BYTES_PER_S: Final = 100e6
START_S: Final = 3.0
AND_FLUSH: Final = 'at=$1; shift; "$0" "$@" && exec sync --file-system -- "$at"'
"""The other copy is removed or written over next: this one must be on the disk by then, or fail. sync(1), syncfs(2)"""


def aside_of(place: DataPlace, move_label: str) -> DataPlace:
    """Return where a place is set aside: a volume or path next to it, named after the attempt."""
    attempt = move_label.rsplit("/", 1)[1]
    between = "-" if place.kind == "volume" else "."
    return DataPlace(place.kind, f"{place.source}{between}{NAME}-aside-{attempt}")


@dataclass(frozen=True)
class SafetyCopy(RouteAction):
    """Copy each place to a place next to it on `host` and prove the copy; nothing set aside is removed before
    decommission.
    """

    host: str
    places: tuple[DataPlace, ...]
    size_bytes: int | None = None
    key = "safety-copy"

    def describe(self) -> str:
        """Return the dry run's line."""
        places = joined(
            ", ",
            (
                say("{place} as {source}", place=place.text(), source=aside_of(place, self.route.move_label).source)
                for place in self.places
            ),
        )
        return say("{host}: set aside {places}, and prove the copy", host=self.host, places=places or say("nothing"))

    def estimate_s(self) -> float | None:
        """Return seconds at a disk's rate, None when the size is not known."""
        return None if self.size_bytes is None else START_S + self.size_bytes / COPY_BYTES_PER_S

    def observe(self, note: Note) -> None:
        """Note where the places are set aside."""
        note["aside"] = [aside_of(place, self.route.move_label).source for place in self.places]

    def do(self, note: Note) -> None:
        """Copy, prove the copies and write that down on the host; what was proven once is never written to again."""
        self.observe(note)
        if self._missing() == []:
            return
        need_source_at_rest(self.route)
        remove_helpers(self.route.fleet, self.host, self.route.move_label, ROLE)
        for position, place in enumerate(self.places):
            aside = aside_of(place, self.route.move_label)
            self._make(aside, place)
            copy_aside(self.route, self.host, f"{self.key}-{position}", place=place, to=aside)
        note["entries"] = prove_aside(self.route, self.host, self.places)
        note["proven"] = True
        content = {"move": self.route.move_label, "places": [place.text() for place in self.places]}
        doing = say("write down that what was set aside is whole")
        save_privately(
            self.route.fleet, self.host, proof_path(self.route.service), json.dumps(content).encode(), doing=doing
        )

    def verify(self, note: Note) -> Judgement:
        """Judge whether each copy is there and was proven, according to its host."""
        missing = self._missing()
        if missing:
            return failed(
                say(
                    "{host}: {missing}: not set aside and proven. Expected: a whole copy, kept until decommission. "
                    "Run it again",
                    host=self.host,
                    missing=joined(", ", missing),
                )
            )
        entries = note.get("entries")
        proven = (
            say(", {entries:,} entries identical", entries=entries)
            if entries is not None
            else say(", proven when they were")
        )
        measured = {"entries_compared": entries} if entries is not None else {}
        return passed(
            say("{host}: {count} places are set aside{proven}", host=self.host, count=len(self.places), proven=proven),
            **measured,
        )

    def undo(self, note: Note) -> None:
        """Remove helpers and copies that did not become whole; what was set aside whole stays until decommission, it
        may be the only one left.

        Nothing is brought back over data whose copy is not whole, so the data itself is untouched then.
        """
        route = self.route
        remove_helpers(route.fleet, self.host, route.move_label, ROLE)
        for place in self.places:
            if (
                not note.get("proven")
                and is_there(route, self.host, place)
                and not is_set_aside(route, self.host, place)
            ):
                remove_place(route, self.host, aside_of(place, route.move_label), self.key)

    def _missing(self) -> list[str]:
        return [place.text() for place in self.places if not is_set_aside(self.route, self.host, place)]

    def _make(self, aside: DataPlace, place: DataPlace) -> None:
        route = self.route
        if is_there(route, self.host, place):
            return
        route.audit(self.host, self.key, f"create {aside.text()}")
        if aside.kind == "volume":
            if volume_label(route, self.host, aside.source) is not None:
                raise RefusedError(
                    say(
                        "{host}: volume {source} exists and is not of {move_label}. Expected: none. Rename or remove "
                        "it",
                        host=self.host,
                        source=aside.source,
                        move_label=route.move_label,
                    )
                )
            with docker_api(route.fleet, self.host, say("create volume {source}", source=aside.source)) as api:
                api.create_volume(aside.source, labels=labels(route.move_label, ROLE))
            return
        paths = read_paths(route.fleet[self.host], [aside.source, place.source])
        check_depth(self.host, aside.source)
        if not paths[aside.source].free:
            raise RefusedError(
                say(
                    "{host}: {source} exists and is not of {move_label}. Expected: missing. Move it away",
                    host=self.host,
                    source=aside.source,
                    move_label=route.move_label,
                )
            )
        argv = ["sh", "-c", MAKE_PATH, "make", aside.source, paths[place.source].kind, route.move_label]
        run_checked(route.fleet, self.host, argv, doing=say("create {source}", source=aside.source))


def proof_path(service: str) -> str:
    """Return where the host of a service keeps which of its places were set aside whole."""
    return f"{DIRECTORY}/{service}.json"


def is_there(route: Route, host: str, place: DataPlace) -> bool:
    """Return whether this attempt has begun to set a place aside."""
    aside = aside_of(place, route.move_label)
    if aside.kind == "volume":
        return volume_label(route, host, aside.source) == route.move_label
    return read_paths(route.fleet[host], [aside.source])[aside.source].marker == route.move_label


def is_set_aside(route: Route, host: str, place: DataPlace) -> bool:
    """Return whether this attempt's copy of a place is there and was proven whole."""
    proof = read_privately(route.fleet, host, proof_path(route.service), expected=say("which places were set aside"))
    proven = (
        isinstance(proof, dict)
        and proof.get("move") == route.move_label
        and place.text() in (proof.get("places") or ())
    )
    return proven and is_there(route, host, place)


def prove_aside(route: Route, host: str, places: Sequence[DataPlace]) -> int:
    """Return how many entries of places and their copies are identical; raises ActionError when one differs."""
    compared = 0
    for place in places:
        aside = aside_of(place, route.move_label)
        here, there = (read_manifest(route.fleet, host, one.source, route.move_label) for one in (place, aside))
        drift = compare_manifests(here, there, ())
        compared += drift.compared
        if drift.count or not drift.compared:
            first = drift.differences[0] if drift.differences else say("nothing compared")
            raise ActionError(
                say(
                    "{host}: {aside} is not {place}: {count:,} of {compared:,} differ: {first}. Expected: identical. "
                    "Find out who writes there: ssh {host} docker ps -a",
                    host=host,
                    aside=aside.text(),
                    place=place.text(),
                    count=drift.count,
                    compared=drift.compared,
                    first=first,
                )
            )
    return compared


def copy_aside(route: Route, host: str, step: str, *, place: DataPlace, to: DataPlace) -> None:
    """Make `to` equal to `place` on one host, with all that rsync can carry; what is only in `to` is deleted."""
    argv, mounts = _words(route, host, place, to)
    argv = ["sh", "-c", AND_FLUSH, argv[0], "/to" if place.kind == "volume" else "/at", *argv[1:]]
    name = route.slug(step)
    command = toolbox_argv(argv, name=name, move_label=route.move_label, role=ROLE, mounts=mounts)
    doing = say("copy {place_source} to {to_source}", place_source=place.source, to_source=to.source)
    route.audit(host, step, doing)
    remove_container(route.fleet, host, name)  # of a run that was killed: it may still write
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
    return [*RSYNC, *flags, f"/at/{here.name}{end}", f"/at/{there.name}{end}"], (
        ToolboxMount("bind", str(here.parent), "/at"),
    )
