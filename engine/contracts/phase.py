"""The phases of a migration, in order: one table from which everything that depends on a phase's nature is derived.

Derived are: nox sessions, `./longshore --help`, pytest markers, each phase's help and flags, the title and the headline
of its evidence, the next command, notifications, and which phases may be sharded or waived. docs/new-phase.md shows how
a phase is added.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from engine.i18n.marking import term, terms


class Notifies(str, Enum):
    """Which messages a phase sends to the addresses in LONGSHORE_NOTIFY."""

    NOTHING = "nothing"
    EVERY_STEP = "start, moves, failures and end of a run with --apply"
    CHANGES = "only what differs from the last run"


@dataclass(frozen=True)
class Phase:
    """One phase. What is optional here is what a read-only phase does not need.

    `help` is the line of the menu, `title` and `headline` name the phase in its evidence, and `next` is the phase that
    follows a pass. `flags` are those that only some phases take; the others follow from `writes`.
    """

    name: str
    help: str
    title: str
    headline: tuple[str, str]
    writes: bool = False
    next: str = ""
    flags: tuple[str, ...] = ()
    by_service: bool = False
    """Services are named as words: `rollback postgres`."""
    needs_service: bool = False
    """Refused without a service."""
    opens_gate: bool = False
    """Later phases rely on its results, so all its steps run, in order."""
    needs_approval: bool = False
    """What it begins must be approved, and its evidence is verified against the approvals."""
    retries_whole: bool = False
    """After a failure the same command is run again; no other phase comes before it."""
    moved_only: bool = False
    """Its steps apply only to services that were moved."""
    diff_first: bool = False
    """Console and page show first what changed since the last run."""
    notifies: Notifies = Notifies.NOTHING

    @property
    def all_flags(self) -> tuple[str, ...]:
        """Return all flags that the phase takes."""
        return (*COMMON_FLAGS, *(WRITING_FLAGS if self.writes else READING_FLAGS), *self.flags)


COMMON_FLAGS: Final = (
    "--environment",
    "--lab",
    "--service",
    "--wave",
    "--inventory",
    "--plan",
    "--ssh-config",
    "--lang",
    "--waivers",
    "--state",
    "--project",
)
WRITING_FLAGS: Final = ("--apply", "--outside-window", "--break-lock")
READING_FLAGS: Final = ("--shard", "--run-name")

TABLE: Final = (
    Phase(
        "prepare",
        help=(
            "Before the window: copy toolbox and images to the hosts, take backups, test-restore them (--apply does it)"
        ),
        title=term("preparation"),
        headline=terms("Preparation of {number} service", "Preparation of {number} services"),
        writes=True,
        next="preflight",
        retries_whole=True,
        notifies=Notifies.EVERY_STEP,
    ),
    Phase(
        "preflight",
        help="Check whether the moves can start tonight; changes nothing",
        title=term("preflight"),
        headline=terms("Preflight of {number} service", "Preflight of {number} services"),
        next="migrate",
        opens_gate=True,
    ),
    Phase(
        "migrate",
        help="Move the services one after the other (--apply does it; without it: print the steps)",
        title=term("migration"),
        headline=terms("Migration of {number} service", "Migration of {number} services"),
        writes=True,
        next="validate",
        flags=("--retry",),
        needs_approval=True,
        notifies=Notifies.EVERY_STEP,
    ),
    Phase(
        "validate",
        help="After the moves, and every night: check that the services work and hold their data",
        title=term("validation"),
        headline=terms("Validation of {number} service", "Validation of {number} services"),
        moved_only=True,
        diff_first=True,
        notifies=Notifies.CHANGES,
    ),
    Phase(
        "repoint",
        help=(
            "Write the new addresses into dependent services, so that relays can be removed (--apply does it; "
            "--revert reverts it)"
        ),
        title=term("re-pointing"),
        headline=terms("Re-pointing to {number} service", "Re-pointing to {number} services"),
        writes=True,
        flags=("--revert", "--target-lost"),
        by_service=True,
        needs_approval=True,
        retries_whole=True,
        notifies=Notifies.EVERY_STEP,
    ),
    Phase(
        "rollback",
        help=(
            "Bring services back to their source (--apply does it; without it: print what would be lost or "
            "brought back)"
        ),
        title=term("rollback"),
        headline=terms("Rollback of {number} service", "Rollback of {number} services"),
        writes=True,
        flags=("--discard-target-writes", "--target-lost"),
        by_service=True,
        needs_service=True,
        notifies=Notifies.EVERY_STEP,
    ),
)
BY_NAME: Final = {phase.name: phase for phase in TABLE}
PHASES: Final = tuple(BY_NAME)
WRITING_PHASES: Final = tuple(phase.name for phase in TABLE if phase.writes)
READING_PHASES: Final = tuple(phase.name for phase in TABLE if not phase.writes)
NEXT_PHASE: Final = {phase.name: phase.next for phase in TABLE if phase.next}
APPROVED_PHASES: Final = tuple(phase.name for phase in TABLE if phase.needs_approval)
ORDERED_PHASES: Final = tuple(phase.name for phase in TABLE if phase.writes or phase.opens_gate)
"""Phases whose steps all run, in order."""
DIFF_FIRST: Final = tuple(phase.name for phase in TABLE if phase.diff_first)


def notifies(command: str) -> Notifies:
    """Return which messages a phase sends; a command that is no phase sends none."""
    return BY_NAME[command].notifies if command in BY_NAME else Notifies.NOTHING
