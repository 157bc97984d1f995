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
from engine.finding import say
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
            return say(
                "{target}: keep the stopped {container} as {kept}, with what was written there",
                target=self.route.target,
                container=self.route.container,
                kept=self._kept(),
            )
        return say(
            "{target}: remove {container} and its copied data, which {source} holds now",
            target=self.route.target,
            container=self.route.container,
            source=self.route.source,
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
                say(
                    "{reason}. Expected: stopped since this rollback stopped it: it may hold newer writes, so nothing "
                    "was removed. Look: ssh {target} docker logs --tail 50 {container}; {source} serves meanwhile",
                    reason=reason,
                    target=route.target,
                    container=route.container,
                    source=route.source,
                )
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
            doing = say("stop {container}: {source} serves", container=name_of(moved), source=route.source)
            route.audit(route.target, self.key, doing)
            with docker_api(route.fleet, route.target, doing) as api:
                api.update_container(str(moved["Id"]), restart_policy={"Name": "no"})
                api.stop(str(moved["Id"]), timeout=self.stop_grace_s)

    def _see_source_runs(self) -> None:
        """Raise RefusedError unless the source's container runs: nothing is removed as long as nothing else serves."""
        inspect = need_source(self.route)
        if inspect["State"].get("Status") != "running":
            raise RefusedError(
                say(
                    "{source}: {inspect} is {status}. Expected: running, before anything is removed from {target}. "
                    "Read: ssh {source} docker logs --tail 50 {inspect}",
                    source=self.route.source,
                    inspect=name_of(inspect),
                    status=inspect["State"].get("Status"),
                    target=self.route.target,
                )
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
                say(
                    "{target}: {first_left} is still there. Expected: {keep}",
                    target=route.target,
                    first_left=left[0],
                    keep=say("renamed") if self.keep else say("removed"),
                )
            )
        if probe_is_there(route):
            return failed(say("{source}: {left_probe}", source=route.source, left_probe=left_probe(route)))
        cleared = self.clearing().verify({}) if self.clearing else None
        if cleared is not None and not cleared.passed:
            return cleared
        if not self.keep:
            return passed(
                say(
                    "{target}: {container} and what this move had copied are removed",
                    target=route.target,
                    container=route.container,
                )
            )
        kept = inspect_container(route.fleet, route.target, self._kept())
        if kept is not None and kept["State"].get("Running"):
            return failed(
                say(
                    "{target}: {kept} is running. Expected: stopped: {source} serves",
                    target=route.target,
                    kept=self._kept(),
                    source=route.source,
                )
            )
        if kept is None:
            raise ActionError(
                say(
                    "{target}: neither {container} nor {kept} is there. Expected: the stopped container, kept",
                    target=route.target,
                    container=route.container,
                    kept=self._kept(),
                )
            )
        places = " ".join(place.source for place in self.copying.places if place.kind == "volume")
        return passed(
            say(
                "{target}: {kept} keeps what was written there and not brought back. Before {service} can move there "
                "again, remove it: ssh {target} 'docker rm {kept}{places}",
                target=route.target,
                kept=self._kept(),
                service=route.service,
                places=say(" && docker volume rm {places}'", places=places) if places else "'",
            )
        )

    def _is_left(self, place: DataPlace) -> bool:
        """Return whether what this move copied to a place of the target is there."""
        route = self.route
        if place.kind == "volume":
            return volume_label(route, route.target, place.source) == route.move_label
        return read_paths(route.fleet[route.target], [place.source])[place.source].marker == route.move_label

    def _kept(self) -> str:
        return discarded_name(self.route.container, self.route.move_label)
