"""What can disturb a watch: the causes that restart its clock, as the plan names them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from engine.finding import say


class Cause(StrEnum):
    """Why the watched hours of a plan may have to begin again."""

    MOVE = "move"
    ROLLBACK = "rollback"
    REPOINT = "repoint"
    """Repointing dependants, or its undo."""
    INCIDENT_CRITICAL = "incident_critical"
    INCIDENT_MAJOR = "incident_major"
    INCIDENT_MINOR = "incident_minor"
    REBOOT = "reboot"
    ENGINE_RESTART = "engine_restart"
    OOM_KILL = "oom_kill"
    CONTAINER_DIED = "container_died"
    CONTAINER_RESTARTED = "container_restarted"
    CONTAINER_CHANGED = "container_changed"
    """It has another id or image than at its commit."""
    OTHER_CONTAINER = "other_container"
    """A container outside the plan stopped or started again."""
    THRESHOLD = "threshold"
    """An episode over a limit that made a check fail."""
    GAP = "gap"
    """A time without samples that is longer than 12 hours."""

    @property
    def words(self) -> str:
        """Return the cause as a person reads it."""
        return WORDS[self]


RESTARTS: Final = (
    Cause.MOVE,
    Cause.ROLLBACK,
    Cause.REPOINT,
    Cause.INCIDENT_CRITICAL,
    Cause.INCIDENT_MAJOR,
    Cause.REBOOT,
    Cause.ENGINE_RESTART,
    Cause.OOM_KILL,
    Cause.CONTAINER_DIED,
    Cause.CONTAINER_RESTARTED,
    Cause.CONTAINER_CHANGED,
    Cause.THRESHOLD,
    Cause.GAP,
)
"""What restarts the clock unless the plan lists other causes; everything else is only noted."""
WORDS: Final = {
    Cause.MOVE: say("a move"),
    Cause.ROLLBACK: say("a rollback"),
    Cause.REPOINT: say("repointing"),
    Cause.INCIDENT_CRITICAL: say("a critical incident"),
    Cause.INCIDENT_MAJOR: say("a major incident"),
    Cause.INCIDENT_MINOR: say("a minor incident"),
    Cause.REBOOT: say("a reboot"),
    Cause.ENGINE_RESTART: say("a restart of the Docker Engine"),
    Cause.OOM_KILL: say("an OOM kill"),
    Cause.CONTAINER_DIED: say("a container that died"),
    Cause.CONTAINER_RESTARTED: say("a restarted container"),
    Cause.CONTAINER_CHANGED: say("a container that was replaced"),
    Cause.OTHER_CONTAINER: say("a container outside the plan"),
    Cause.THRESHOLD: say("a limit exceeded for too long"),
    Cause.GAP: say("more than 12 hours without samples"),
}
