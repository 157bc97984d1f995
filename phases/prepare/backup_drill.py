"""Before the window: a backup whose content is known, and the drill that restores it beside everything that serves."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Final

from actions.backup.backup import TakeBackup, expected_objects, recorded_backup
from actions.backup.restic import Repository
from actions.backup.restore_drill import DRILLED, READ, DrillQuestions, RestoreDrill, why_not
from actions.common.route import Route, inspect_container
from checks.capacity.disk_space import judge_space
from engine.config.scope import PlannedMove
from engine.contracts.action import Note
from engine.contracts.product import Restorable
from engine.errors import NotObservedError
from engine.polling import quick_polling
from engine.verdict import Effect, Judgement, failed, unknown
from phases.context import service_facts
from phases.context.run_context import RunContext
from services.fingerprints.stable_parts import judge_restored, moved_parts, settle

MOMENT: Final = "backup"
"""The fingerprint in the journal that a restored backup is compared with."""


@dataclass(frozen=True)
class FingerprintedBackup:
    """The backup, with what the service held just before and just after it: what stayed the same must be in it."""

    taking: TakeBackup
    world: RunContext
    move: PlannedMove
    key: str = field(default="backup-taken", init=False)
    effect: Effect = field(default=Effect.CHANGES_STATE, init=False)
    commits: bool = field(default=False, init=False)

    def describe(self) -> str:
        """Return the dry run's line."""
        return self.taking.describe()

    def estimate_s(self) -> float | None:
        """Return seconds."""
        return self.taking.estimate_s()

    def do(self, note: Note) -> None:
        """Read, take, read again, record."""
        world, move = self.world, self.move
        product, at = world.product(move.service), world.target(move.service, move.source)
        before = product.fingerprint(at, since=None)
        self.taking.do(note)
        expected = settle(before, product.fingerprint(at, since=before))
        world.record_fingerprint(move.service, move.source, MOMENT, expected)
        note["parts"], note["moved"] = len(expected.parts), moved_parts(expected)

    def verify(self, note: Note) -> Judgement:
        """Judge whether every object got a snapshot."""
        return self.taking.verify(note)

    def undo(self, note: Note) -> None:
        """Leave snapshots; remove helpers and the temporary key."""
        self.taking.undo(note)


def backup_of(world: RunContext, move: PlannedMove, taking: TakeBackup) -> TakeBackup | FingerprintedBackup:
    """Return the backup, with the service's fingerprint around it when a drill will ask for it."""
    return taking if not_drilled(world, move) else FingerprintedBackup(taking, world, move)


def not_drilled(world: RunContext, move: PlannedMove) -> str:
    """Return why a service can't be drilled, "" when it can."""
    return why_not(world.product(move.service), world.container(move.service, move.source).raw)


def keeps_nothing(world: RunContext, service: str) -> bool:
    """Return whether a service has neither data nor an export of its own."""
    container = world.container(service, world.move_of(service).source)
    return not expected_objects(world.product(service), container, service_facts.mount_rules(world, service))


def steps_left_out(world: RunContext, service: str) -> dict[str, str]:
    """Return which of the drill's two steps a service does not have, with the reason; a silent host is told by its own
    row.
    """
    try:
        if keeps_nothing(world, service):
            return dict.fromkeys(
                (DRILLED, READ), "it keeps nothing of its own, so there is no backup to restore or read"
            )
        reason = not_drilled(world, world.move_of(service))
    except NotObservedError:
        reason = ""
    return (
        {DRILLED: f"NOT DRILLED: {reason}"}
        if reason
        else {READ: "its backup is restored in a drill, which reads all of it"}
    )


def drill_of(world: RunContext, move: PlannedMove, route: Route, repository: Repository) -> RestoreDrill:
    """Return the drill of the backup that is on record when it begins."""
    container, product = world.container(move.service, move.source), world.product(move.service)
    commands = product.restore_commands(container) if isinstance(product, Restorable) else ()
    not_kept = frozenset(name for command in commands for name in command.not_kept)
    return RestoreDrill(
        route,
        repository,
        lambda: recorded_backup(world.journal, move.service)[0],
        container.mounts,
        service_facts.mount_rules(world, move.service),
        commands,
        not_drilled(world, move),
        DrillQuestions(
            room=lambda: judge_space(world.facts(move.target), service_facts.space_needs(world, move.service)),
            ready=lambda name: judge_scratch_ready(_seen_as(world, move, name), move, name),
            same=lambda name: _judge_same(_seen_as(world, move, name), move, not_kept),
        ),
    )


def _seen_as(world: RunContext, move: PlannedMove, container: str) -> RunContext:
    """Return the world in which the service's container is the scratch copy."""
    entry = world.entry(move.service).model_copy(update={"container": container})
    return replace(world, scope=replace(world.scope, services={**world.scope.services, move.service: entry}))


def judge_scratch_ready(world: RunContext, move: PlannedMove, container: str) -> Judgement:
    """Wait until the scratch copy can do its work; one that has ended is not waited for."""
    product = world.product(move.service)
    world.fleet.forget_facts(move.target)
    what = f"the scratch copy of {move.service} on {move.target}"
    return quick_polling(what, product.ready_deadline_s, tell=world.waits).judge_in_time(_once(world, move, container))


def _once(world: RunContext, move: PlannedMove, container: str) -> Callable[[], Judgement]:
    def ask() -> Judgement:
        inspect = inspect_container(world.fleet, move.target, container)
        state = inspect["State"] if inspect else {"Status": "missing"}
        if state.get("Status") not in {"running", "restarting"}:
            raise AssertionError(
                f"the scratch copy is {state.get('Status')} with exit code {state.get('ExitCode')}. Expected: running"
            )
        try:
            return world.product(move.service).ready(world.target(move.service, move.target))
        except NotObservedError as error:
            world.fleet.forget_facts(move.target)
            return unknown(str(error))

    return ask


def _judge_same(world: RunContext, move: PlannedMove, not_kept: Collection[str]) -> Judgement:
    expected = world.recorded_fingerprint(move.service, MOMENT)
    if expected is None:
        return failed(
            f"{move.service}: no fingerprint of the backup's moment is on record. Expected: one. Run prepare again"
        )
    world.fleet.forget_facts(move.target)
    restored = world.product(move.service).fingerprint(world.target(move.service, move.target), since=expected)
    return judge_restored(
        expected, restored, [name for name in expected.parts if any(fnmatchcase(name, pattern) for pattern in not_kept)]
    )
