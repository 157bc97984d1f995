"""Bringing the data of a moved service back to its old host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actions.common.route import inspect_container
from actions.container_spec.identity import (
    find_moved,
    find_source,
    why_not_at_rest,
)
from actions.copy.locations import DataPlace
from actions.copy.safety_copy import aside_of, copy_aside, is_set_aside, is_there, prove_aside
from actions.copy.volumes import CopyVolumes
from checks.containers.name_conflicts import PathFacts
from engine.contracts.action import Note
from engine.errors import ManualInterventionError, RefusedError
from engine.finding import joined, say


@dataclass(frozen=True)
class CopyBack(CopyVolumes):
    """Copy what was written on the target back over the source's places; each was set aside before.

    `route` leads from the target to the source: the same engine in the other direction.
    """

    key = "copy-back"

    def describe(self) -> str:
        """Return the dry run's line."""
        places = joined(", ", (place.text() for place in self.places)) or say("nothing")
        return say(
            "copy {places} back from {source} to {target}, over what was set aside there",
            places=places,
            source=self.route.source,
            target=self.route.target,
        )

    def do(self, note: Note) -> None:
        """See both containers at rest, then copy."""
        self._see_at_rest()
        moved = find_moved(self.route.turned())
        reason = why_not_at_rest(self.route, self.route.source, moved) if moved else ""
        if reason:
            raise RefusedError(
                say(
                    "{reason}. Expected: stopped by this rollback, so that all that was written there is brought back",
                    reason=reason,
                )
            )
        super().do(note)

    def undo(self, note: Note) -> None:  # noqa: ARG002 the host is asked
        """Put back what was set aside, whatever is known of how far the copy came, prove it, and remove the temporary
        key.
        """
        self.ends.remove()
        host, label = self.route.target, self.route.move_label
        there = [place for place in self.places if is_set_aside(self.route, host, place)]
        begun = [place for place in self.places if place not in there and is_there(self.route, host, place)]
        if begun:
            raise ManualInterventionError(
                say(
                    "{host}: {source} is there, but nothing says that it is a whole copy of {first_begun}, so it was "
                    "not put back. Expected: proven when it was made. Compare both by hand: ssh {host} docker volume "
                    "ls",
                    host=host,
                    source=aside_of(begun[0], label).source,
                    first_begun=begun[0].text(),
                )
            )
        if not there:
            return  # nothing is written over what is not set aside
        self._see_at_rest()
        for position, place in enumerate(self.places):
            if place in there:
                copy_aside(self.route, host, f"{self.key}-{position}", place=aside_of(place, label), to=place)
        prove_aside(self.route, host, tuple(there))

    def _see_at_rest(self) -> None:
        """Raise NeedsPersonError when the source's container, over whose data is written, runs or ran since it was
        moved.
        """
        back = self.route.turned()
        inspect = find_source(back)
        reason = why_not_at_rest(back, back.source, inspect) if inspect else ""
        if reason:
            raise ManualInterventionError(
                say(
                    "{reason}. Expected: stopped since the move: its data may hold newer writes, so nothing was "
                    "written over it. What it held before is kept next to it. Look: ssh {source} docker ps -a; docker "
                    "volume ls",
                    reason=reason,
                    source=back.source,
                )
            )

    def _refuse_under_container(self) -> None:
        """Raise RefusedError when another container has the source's name; the source itself still has it when the move
        did not come to rename it.
        """
        back = self.route.turned()
        source, named = find_source(back), inspect_container(back.fleet, back.source, back.container)
        if named is not None and (source is None or named["Id"] != source["Id"]):
            raise RefusedError(
                say(
                    "{source}: {container} is another container ({id}). Expected: none, or the one that was moved: it "
                    "could run and write. Look: ssh {source} docker inspect {container}",
                    source=back.source,
                    container=back.container,
                    id=str(named["Id"])[:12],
                )
            )

    def _make_place(self, place: DataPlace, kinds: Mapping[str, PathFacts]) -> None:  # noqa: ARG002 as the copy to a target has it
        """Create nothing: the place is there, and is written to only when it has been set aside."""
        if not is_set_aside(self.route, self.route.target, place):
            raise RefusedError(
                say(
                    "{target}: {place} has not been set aside. Expected: a proven copy before it is written over",
                    target=self.route.target,
                    place=place.text(),
                )
            )
