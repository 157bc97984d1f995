"""Removing from the old host what a move left there, when its new host is declared lost and nobody can ask it."""

from __future__ import annotations

from dataclasses import dataclass

from actions.common.base_action import RouteAction
from actions.common.route import docker_api, run_checked
from actions.common.toolbox import remove_helpers
from actions.copy.ssh_channel import has_key, key_directory
from actions.outage.probe import left_probe, probe_is_there, remove_probe
from engine.constants import LABEL_MOVE, LABEL_ROLE
from engine.contracts.action import Note
from engine.finding import say
from engine.verdict import Judgement, failed, passed


@dataclass(frozen=True)
class CleanSource(RouteAction):
    """Remove from the source what a move had there in addition to the service: probe, ends of the copy, tunnel of a
    replica, and the private keys that opened the target.

    `roles` are those of its helpers, `ways` the purposes of its keys.
    """

    roles: tuple[str, ...]
    ways: tuple[str, ...]
    key = "clean-source"
    seconds = 2.0

    def describe(self) -> str:
        """Return the dry run's line."""
        return say(
            "{source}: remove helpers, probe and temporary keys of the move of {service}",
            source=self.route.source,
            service=self.route.service,
        )

    def do(self, note: Note) -> None:  # noqa: ARG002
        """Remove them; the target is not asked."""
        route = self.route
        route.audit(route.source, self.key, self.describe())
        remove_probe(route)
        for role in self.roles:
            remove_helpers(route.fleet, route.source, route.move_label, role)
        for way in self.ways:
            argv = ["rm", "-rf", "--", key_directory(route.move_label, way)]
            run_checked(route.fleet, route.source, argv, doing=say("remove a temporary key"))

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether none of it is left."""
        route, label = self.route, self.route.move_label
        keys = [way for way in self.ways if has_key(route.fleet, route.source, move_label=label, purpose=way)]
        with docker_api(
            route.fleet, route.source, say("list helpers of {move_label}", move_label=route.move_label)
        ) as api:
            listed = api.containers(all=True, filters={"label": [f"{LABEL_MOVE}={route.move_label}"]})
        helpers = [one for one in listed if (one.get("Labels") or {}).get(LABEL_ROLE) in self.roles]
        if keys or helpers:
            what = (
                say("the key for the {key}", key=keys[0])
                if keys
                else say("{count} helper containers", count=len(helpers))
            )
            return failed(
                say("{source}: still there: {what}. Expected: removed. Run it again", source=route.source, what=what)
            )
        if probe_is_there(route):
            return failed(say("{source}: {left_probe}", source=route.source, left_probe=left_probe(route)))
        return passed(
            say(
                "{source}: no helper, probe or key of the move is left; {target} was not asked",
                source=route.source,
                target=route.target,
            )
        )
