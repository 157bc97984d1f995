"""Before the window: a backup whose content is known, and the drill that restores it next to everything that serves."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

from actions.backup.backup import TakeBackup, expected_objects, recorded_backup
from actions.backup.restic import Repository
from actions.backup.restore_drill import DRILLED, READ, DrillQuestions, RestoreDrill, why_not
from actions.common.base_action import WrappedAction
from actions.common.route import Route, inspect_container
from checks.capacity.disk_space import judge_space
from engine.contracts.action import Note
from engine.contracts.product import Restorable
from engine.errors import NotObservedError
from engine.finding import say
from engine.polling import quick_polling
from engine.verdict import Judgement, failed, unknown
from phases.context.service_move import ServiceMove
from services.fingerprints.stable_parts import judge_restored, moved_parts, settle

MOMENT: Final = "backup"
"""The fingerprint in the journal that a restored backup is compared with."""


@dataclass(frozen=True)
class FingerprintedBackup(WrappedAction):
    """The backup, with what the service held just before and just after it: what stayed the same must be in it."""

    move: ServiceMove
    key = "backup-taken"

    def do(self, note: Note) -> None:
        """Read, take, read again, record."""
        move, at = self.move, self.move.instance(self.move.source)
        before = move.product.fingerprint(at, since=None)
        super().do(note)
        expected = settle(before, move.product.fingerprint(at, since=before))
        move.record_fingerprint(move.source, MOMENT, expected)
        note["parts"], note["moved"] = len(expected.parts), moved_parts(expected)


def backup_of(move: ServiceMove, taking: TakeBackup) -> TakeBackup | FingerprintedBackup:
    """Return the backup, with the service's fingerprint around it when a drill will ask for it."""
    return taking if not_drilled(move) else FingerprintedBackup(taking, move)


def not_drilled(move: ServiceMove) -> str:
    """Return why a service can't be drilled, "" when it can."""
    return why_not(move.product, move.container_on(move.source).raw)


def keeps_nothing(move: ServiceMove) -> bool:
    """Return whether a service has neither data nor an export of its own."""
    container = move.container_on(move.source)
    return not expected_objects(move.product, container, move.mount_rules)


def steps_left_out(move: ServiceMove) -> dict[str, str]:
    """Return which of the drill's two steps a service does not have, with the reason; a silent host is reported by its
    own row.
    """
    try:
        if keeps_nothing(move):
            return dict.fromkeys(
                (DRILLED, READ), "it keeps nothing of its own, so there is no backup to restore or read"
            )
        reason = not_drilled(move)
    except NotObservedError:
        reason = ""
    return (
        {DRILLED: f"NOT DRILLED: {reason}"}
        if reason
        else {READ: "its backup is restored in a drill, which reads all of it"}
    )


def drill_of(move: ServiceMove, route: Route, repository: Repository) -> RestoreDrill:
    """Return the drill of the backup that is on record when it begins."""
    container, product = move.container_on(move.source), move.product
    commands = product.restore_commands(container) if isinstance(product, Restorable) else ()
    not_kept = frozenset(name for command in commands for name in command.not_kept)
    return RestoreDrill(
        route,
        repository,
        lambda: recorded_backup(move.context.journal, move.service)[0],
        container.mounts,
        move.mount_rules,
        commands,
        not_drilled(move),
        DrillQuestions(
            room=lambda: judge_space(move.target_facts(), move.space_needs()),
            ready=lambda name: judge_scratch_ready(_seen_as(move, name), name),
            same=lambda name: _judge_same(_seen_as(move, name), not_kept),
        ),
    )


def _seen_as(move: ServiceMove, container: str) -> ServiceMove:
    """Return the move in which the service's container is the scratch copy."""
    entry = move.entry.model_copy(update={"container": container})
    scope = replace(move.context.scope, services={**move.context.scope.services, move.service: entry})
    return replace(move, context=replace(move.context, scope=scope), entry=entry)


def judge_scratch_ready(move: ServiceMove, container: str) -> Judgement:
    """Wait until the scratch copy can do its work; one that has ended is not waited for."""
    product = move.product
    move.context.fleet.forget_facts(move.target)
    what = f"the scratch copy of {move.service} on {move.target}"
    wait = quick_polling(what, product.ready_deadline_s, report=move.context.waits)
    return wait.judge_in_time(_once(move, container))


def _once(move: ServiceMove, container: str) -> Callable[[], Judgement]:
    def ask() -> Judgement:
        inspect = inspect_container(move.context.fleet, move.target, container)
        state = inspect["State"] if inspect else {"Status": "missing"}
        if state.get("Status") not in {"running", "restarting"}:
            raise AssertionError(
                f"the scratch copy is {state.get('Status')} with exit code {state.get('ExitCode')}. Expected: running"
            )
        try:
            return move.product.ready(move.instance(move.target))
        except NotObservedError as error:
            move.context.fleet.forget_facts(move.target)
            return unknown(str(error))

    return ask


def _judge_same(move: ServiceMove, not_kept: Collection[str]) -> Judgement:
    expected = move.recorded_fingerprint(MOMENT)
    if expected is None:
        return failed(
            say(
                "{service}: no fingerprint of the backup's moment is on record. Expected: one. Run prepare again",
                service=move.service,
            )
        )
    move.context.fleet.forget_facts(move.target)
    restored = move.fingerprint(move.target, since=expected)
    return judge_restored(
        expected, restored, [name for name in expected.parts if any(fnmatchcase(name, pattern) for pattern in not_kept)]
    )
