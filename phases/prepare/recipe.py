"""Recipe."""

from __future__ import annotations

from actions.backup.backup import TakeBackup
from actions.backup.restic import Repository
from actions.backup.restore_drill import DRILLED, READ
from actions.images.ship import ShipImage
from engine.config.scope import PlannedMove
from engine.contracts.action import Action
from engine.errors import InputError
from engine.finding import say
from hosts.local.secret_references import resolve_secret
from phases.context.routes import route_of
from phases.context.service_facts import peer_of
from phases.context.service_move import ServiceMove
from phases.prepare import backup_drill


def prepare_recipe(move: ServiceMove) -> tuple[Action, ...]:
    """Return what is done for a move before the window."""
    route = route_of(move, 1)
    backup = move.context.scope.environment.backup
    if backup is None:
        raise InputError(
            say(
                "environments/{environment}.yaml: backup: missing; expected host, path and password: no move starts "
                "without a backup away from its source",
                environment=move.environment,
            )
        )
    container = move.container_on(move.source)
    repository = Repository(
        peer_of(move.context, backup.host), backup.path, move.context.redactor.register(resolve_secret(backup.password))
    )
    commands = move.product.export_commands(container)
    before = (
        ShipImage(route, peer_of(move.context, move.target)),
        backup_drill.backup_of(move, TakeBackup(route, repository, commands, move.places())),
    )
    return before if backup_drill.keeps_nothing(move) else (*before, backup_drill.drill_of(move, route, repository))


def carrier_of(move: PlannedMove, key: str) -> str:
    """Return the host that carries a deed before the window: a drill is its target's, all else reads from
    the source.
    """
    return move.target if key in {DRILLED, READ} else move.source
