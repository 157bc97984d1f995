"""Removing from the new host what a rollback leaves there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from actions.common.base_action import RouteAction
from actions.common.route import docker_api, inspect_container
from actions.container.target import CreateTarget
from actions.container_spec.identity import (
    find_moved,
    labelled_containers,
    name_of,
    need_source,
    started_at,
    why_not_at_rest,
)
from actions.copy.locations import DataPlace, volume_label
from actions.copy.precopy import RemoveCopyHelpers
from actions.copy.volumes import CopyVolumes
from actions.outage.probe import left_probe, probe_is_there, remove_probe
from checks.containers.name_conflicts import read_paths
from engine.container_names import discarded_name
from engine.contracts.action import Note
from engine.errors import ActionError, RefusedError
from engine.verdict import Judgement, failed, passed


@dataclass(frozen=True)
class CleanTarget(RouteAction):
    """Remove from the target what the move created there; with `keep`, only give its container another name.

    Removed is only what carries the move's label, and only after the source holds the same data and serves it.
    `clearing` returns what removes the helpers and keys of a copy or a replica, which are there when the move did not
    come to do so itself.
    """

    creating: CreateTarget
    copying: CopyVolumes
    keep: bool
    clearing: Callable[[], RemoveCopyHelpers] | None = field(default=None, repr=False, compare=False)
    stop_grace_s: float = 30.0
    key = "clean-target"
    seconds = 3.0

    def describe(self) -> str:
        """Return the dry run's line."""
        if self.keep:
            return (
                f"{self.route.target}: keep the stopped {self.route.container} as {self._kept()}, with what was "
                "written there"
            )
        return (
            f"{self.route.target}: remove {self.route.container} and its copied data, which {self.route.source} "
            "holds now"
        )

    def observe(self, note: Note) -> None:
        """Note which container goes, and in which run it was last."""
        moved = find_moved(self.route)
        if moved is not None:
            note["container_id"], note["started_at"] = str(moved["Id"]), started_at(moved)

    def do(self, note: Note) -> None:
        """See that the source serves and that the moved container is in the run that was stopped; then remove or rename
        it.
        """
        route = self.route
        self.observe(note)
        moved = find_moved(route)
        self._see_source_runs()
        reason = why_not_at_rest(route, route.target, moved) if moved and not self.keep else ""
        if reason:
            raise RefusedError(
                f"{reason}. Expected: stopped since this rollback stopped it: it may hold newer writes, so nothing "
                "was removed. Look: "
                f"ssh {route.target} docker logs --tail 50 {route.container}; {route.source} serves meanwhile"
            )
        remove_probe(route)
        if self.clearing:
            self.clearing().do({})
        if not self.keep:
            self.creating.undo(note)
            self.copying.undo(note)
        elif moved is not None:
            self._stop_once_more(moved)
        if self.keep and moved is not None and name_of(moved) != self._kept():
            route.audit(route.target, self.key, self.describe())
            with docker_api(route.fleet, route.target, self.describe()) as api:
                api.rename(str(moved["Id"]), self._kept())

    def _stop_once_more(self, moved: dict[str, Any]) -> None:
        """Stop the moved container that is kept, whoever started it again: the source serves, and no running container
        is renamed.
        """
        route = self.route
        if moved["State"].get("Running"):
            route.audit(route.target, self.key, f"stop {name_of(moved)}: {route.source} serves")
            with docker_api(route.fleet, route.target, f"stop {name_of(moved)}") as api:
                api.update_container(str(moved["Id"]), restart_policy={"Name": "no"})
                api.stop(str(moved["Id"]), timeout=self.stop_grace_s)

    def _see_source_runs(self) -> None:
        """Raise RefusedError unless the source's container runs: nothing is removed as long as nothing else serves."""
        inspect = need_source(self.route)
        if inspect["State"].get("Status") != "running":
            raise RefusedError(
                f"{self.route.source}: {name_of(inspect)} is {inspect['State'].get('Status')}. Expected: running, "
                "before anything is removed from "
                f"{self.route.target}. Read: ssh {self.route.source} docker logs --tail 50 {name_of(inspect)}"
            )

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether nothing that carries the label, or has the service's name, is left on the target; or that it is
        kept.
        """
        route = self.route
        left = [
            name_of(one)
            for one in labelled_containers(route, route.target)
            if not (self.keep and name_of(one) == self._kept())
        ]
        if not left and inspect_container(route.fleet, route.target, route.container) is not None:
            left = [route.container]
        if not left and not self.keep:
            left = [place.text() for place in self.copying.places if self._is_left(place)]
        if left:
            return failed(
                f"{route.target}: {left[0]} is still there. Expected: {'renamed' if self.keep else 'removed'}"
            )
        if probe_is_there(route):
            return failed(f"{route.source}: {left_probe(route)}")
        cleared = self.clearing().verify({}) if self.clearing else None
        if cleared is not None and not cleared.passed:
            return cleared
        if not self.keep:
            return passed(f"{route.target}: {route.container} and what this move had copied are removed")
        kept = inspect_container(route.fleet, route.target, self._kept())
        if kept is not None and kept["State"].get("Running"):
            return failed(f"{route.target}: {self._kept()} is running. Expected: stopped: {route.source} serves")
        if kept is None:
            raise ActionError(
                f"{route.target}: neither {route.container} nor {self._kept()} is there. Expected: the "
                "stopped container, kept"
            )
        places = " ".join(place.source for place in self.copying.places if place.kind == "volume")
        return passed(
            f"{route.target}: {self._kept()} keeps what was written there and not brought back. Before "
            f"{route.service} can move there "
            f"again, remove it: ssh {route.target} 'docker rm {self._kept()}"
            + (f" && docker volume rm {places}'" if places else "'")
        )

    def _is_left(self, place: DataPlace) -> bool:
        """Return whether what this move copied to a place of the target is there."""
        route = self.route
        if place.kind == "volume":
            return volume_label(route, route.target, place.source) == route.move_label
        return read_paths(route.fleet[route.target], [place.source])[place.source].marker == route.move_label

    def _kept(self) -> str:
        return discarded_name(self.route.container, self.route.move_label)
