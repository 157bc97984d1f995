"""What a move left on its source for its own use, once the target is lost: nobody removes it with the moved service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from actions.common.base_action import RouteAction
from actions.common.route import look, run_checked
from actions.common.toolbox import remove_helpers
from actions.copy.ssh_channel import has_key, key_directory
from engine.constants import LABEL_MOVE, LABEL_ROLE
from engine.contracts.action import Note
from engine.errors import NotObservedError
from engine.verdict import Judgement, failed, passed

KEY: Final = "clean-source"


@dataclass(frozen=True)
class CleanSource(RouteAction):
    """Remove the move's helper containers of these roles, and its temporary keys, from the source.

    The target is not asked.
    """

    roles: tuple[str, ...]
    purposes: tuple[str, ...]
    key = KEY
    seconds = 2.0

    def describe(self) -> str:
        """Return the dry run's line."""
        return (
            f"{self.route.source}: remove this move's helper containers and temporary keys; {self.route.target} is lost"
        )

    def do(self, note: Note) -> None:  # noqa: ARG002
        """Remove what is there; a second time finds nothing."""
        route = self.route
        route.audit(route.source, self.key, self.describe())
        for role in self.roles:
            remove_helpers(route.fleet, route.source, route.move_label, role)
        for purpose in self.purposes:
            argv = ["rm", "-rf", "--", key_directory(route.move_label, purpose)]
            run_checked(route.fleet, route.source, argv, doing="remove the temporary key")

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether no helper container and no key of this move is left on the source."""
        route = self.route
        for role in self.roles:
            wanted = ["--filter", f"label={LABEL_MOVE}={route.move_label}", "--filter", f"label={LABEL_ROLE}={role}"]
            listed = look(route.fleet, route.source, ["docker", "ps", "--all", "--quiet", *wanted])
            if listed.exit_code:
                again = f"ssh {route.source} docker ps --all --filter label={LABEL_MOVE}={route.move_label}"
                raise NotObservedError(f"{route.source}: could not list containers: {listed.error_text}. Try: {again}")
            if left := listed.text.split():
                return failed(
                    f"{route.source}: the {role} container {left[0]} is still there. Expected: removed. Run it again"
                )
        for purpose in self.purposes:
            if has_key(route.fleet, route.source, move_label=route.move_label, purpose=purpose):
                return failed(f"{route.source}: the {purpose} key is still there. Expected: removed. Run it again")
        return passed(f"{route.source}: no helper container and no temporary key of this move is left")
