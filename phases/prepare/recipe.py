"""Recipe."""

from __future__ import annotations

from actions.backup.backup import TakeBackup
from actions.backup.restic import Repository
from actions.backup.restore_drill import DRILLED, READ
from actions.images.ship import ShipImage
from engine.config.scope import PlannedMove
from engine.contracts.action import Action
from engine.errors import InputError
from hosts.local.secret_references import resolve_secret
from phases.context.routes import route_of
from phases.context.run_context import RunContext
from phases.context.service_facts import peer_of, places_of
from phases.prepare import backup_drill


def prepare_recipe(context: RunContext, move: PlannedMove) -> tuple[Action, ...]:
    """Return what is done for a move before the window."""
    route = route_of(context, move, 1)
    backup = context.scope.environment.backup
    if backup is None:
        raise InputError(
            f"environments/{context.scope.environment.environment}.yaml: backup: missing; expected host, path and "
            "password: "
            "no move starts without a backup away from its source"
        )
    container = context.container(move.service, move.source)
    repository = Repository(
        peer_of(context, backup.host), backup.path, context.redactor.register(resolve_secret(backup.password))
    )
    commands = context.product(move.service).export_commands(container)
    before = (
        ShipImage(route, peer_of(context, move.target)),
        backup_drill.backup_of(context, move, TakeBackup(route, repository, commands, places_of(context, move))),
    )
    return (
        before
        if backup_drill.keeps_nothing(context, move.service)
        else (*before, backup_drill.drill_of(context, move, route, repository))
    )


def carrier_of(move: PlannedMove, key: str) -> str:
    """Return the host that carries a deed before the window: a drill is its target's, all else reads from
    the source.
    """
    return move.target if key in {DRILLED, READ} else move.source
