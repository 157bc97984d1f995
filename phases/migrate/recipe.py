"""The order of a move, once: the list of actions that migrate, dry run and resume share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from actions.common.route import Route
from actions.container.commit import Commit
from actions.container.hooks import RunHook
from actions.container.source import STOPPED_STATES, DisableRestart, RenameSource, StopSource
from actions.container.target import CreateTarget, StartTarget
from actions.container_spec.saved_spec import SaveSourceSpec
from actions.outage.probe import MeasureOutage, StartProbe
from actions.outage.vantage_point import ProbeTarget, choose_probe_target
from actions.relays.before_start import RelayDependencies, own_links
from actions.relays.planning import wanted_forwarders
from actions.relays.reconcile import refuse_outside
from checks.containers.state_paths import judge_shared_volumes
from engine.config.inventory import Hook
from engine.config.scope import PlannedMove, Scope
from engine.contracts.action import Action
from engine.contracts.container import ContainerCommand
from engine.contracts.product import SavesFirst
from engine.verdict import Judgement
from phases.assess import readiness
from phases.assess.shared_mounts import judge_mounts_filled, judge_mounts_there
from phases.context import outage_record
from phases.context.readonly_step import ReadOnlyStep
from phases.context.routes import addresses_of, route_of
from phases.context.service_move import ServiceMove
from phases.migrate import readonly_steps as migrate
from phases.migrate.data_strategy import are_writers_held, data_steps

BEFORE_HOLD: Final = "hook-before-hold"
AFTER_COMMIT: Final = "hook-after-commit"


REPEATABLE: Final = frozenset(
    {
        "start-probe",
        "disable-restart",
        "relay-dependencies",
        "commit",
        "measure-outage",
        "remove-copy-helpers",
        "rename-source",
    }
)
"""Actions that a resumed move may do again whatever came after them: none of them writes into data."""
MEASURES: Final = frozenset({"start-probe", "measure-outage"})
"""Actions that only measure: once a move has begun, a measurement that is lost never keeps it from its end."""
LATER: Final = frozenset({"record-baseline", "remove-copy-helpers"})
"""What follows a commit and can be made up for: the line continues without it, and the move is done when it is."""
PREPARED: Final = frozenset({"image-shipped", "backup-taken"})
"""What a preparation that failed keeps: an image and a backup harm nobody, and are used by the next one."""
SUPERSEDED_BY: Final = {"start-probe": "measure-outage", "precopy": "copy-volumes"}
"""With which action another has served its purpose: what it left behind is taken away on purpose."""


def recipe(move: ServiceMove, attempt: int) -> tuple[Action, ...]:
    """Return the actions of a move by its strategy, in order."""
    route, product = route_of(move, attempt), move.product
    data = data_steps(move, route)
    aim, dropped = (
        choose_probe_target(move.context.scope, move.service, move.context.where()),
        move.dropped_mounts,
    )
    approved = readiness.approved_digest(move)
    return (
        migrate.confirm_source(move),
        *([StartProbe(route, aim)] if aim else []),
        SaveSourceSpec(route, dropped, approved),
        *data.before,
        *_hold_and_read(move, route),
        DisableRestart(route),
        StopSource(
            route,
            product.stop_grace_s,
            product.clean_exit_codes,
            *before_stop(move, move.source),
            unshared=lambda: _judge_unshared(move),
        ),
        *data.after,
        CreateTarget(
            route, dropped, addresses_of(move), move.planned.ports, lambda: judge_mounts_there(move), approved
        ),
        *_links(move, route),
        StartTarget(
            route,
            product.stop_grace_s,
            acts=product.acts_on_start,
            reached_by=reached_on_start(move.context.scope, move.planned, move.context.where()),
            mounts_filled=lambda: judge_mounts_filled(move),
            unwritten=lambda: judge_shared_volumes(
                move.source_facts(), move.container(), move.mount_rules, move.entry.restart_guards
            ),
        ),
        migrate.ready_target(move),
        migrate.fingerprint_target(move),
        _commit(move, route),
        *_hook(route, AFTER_COMMIT, move.target, move.entry.hooks.after_commit),
        migrate.smoke_target(move),
        *_dependants(move),
        migrate.record_baseline(move),
        *([_measure(move, route, aim)] if aim else []),
        data.clear,
        RenameSource(route),
    )


def _judge_unshared(move: ServiceMove) -> Judgement:
    """Judge whether no other container runs that may write to what the service's source holds."""
    move.context.fleet.forget_facts(move.source)
    facts, container = move.source_facts(), move.container()
    facts.need_docker()
    running = tuple(one for one in facts.containers if one.name == container.name or one.state not in STOPPED_STATES)
    return judge_shared_volumes(
        replace(facts, containers=running), container, move.mount_rules, move.entry.restart_guards
    )


def reached_on_start(scope: Scope, move: PlannedMove, where: Mapping[str, str]) -> tuple[str, ...]:
    """Return the dependants that are on the target already: its engine lets them reach the service by name as soon as
    it runs.

    What they write there before the commit is acknowledged, so that start is where nothing is undone automatically any
    more.
    """
    return tuple(
        sorted({link.from_ for link in scope.dependants_of(move.service) if where.get(link.from_) == move.target})
    )


def _hold_and_read(move: ServiceMove, route: Route) -> tuple[Action, ...]:
    """Return the reading of the source and the hook that holds its writers; what replicates is read once they are held,
    to be compared whole.
    """
    reading: tuple[Action, ...] = (migrate.fingerprint_source(move),)
    holding = _hook(route, BEFORE_HOLD, move.source, move.entry.hooks.before_hold)
    return (*holding, *reading) if are_writers_held(move) else (*reading, *holding)


def before_stop(move: ServiceMove, host: str) -> tuple[tuple[ContainerCommand, ...], float]:
    """Return what its product runs in a service's container before it is stopped, and how many bytes it holds in
    memory.
    """
    product, facts = move.product, move.context.facts(host)
    container = facts.container(move.entry.container)
    if container is None:
        return (), 0.0
    usage = facts.around.usage.get(container.id)
    commands = product.save_commands(container) if isinstance(product, SavesFirst) else ()
    return commands, float(usage.memory_bytes or 0) if usage else 0.0


def _links(move: ServiceMove, route: Route) -> tuple[RelayDependencies, ...]:
    """Return the action that keeps the names which the service uses; no action when it uses none."""
    if not move.context.scope.providers_of(move.service):
        return ()
    scope, before = move.context.scope, move.context.where()
    wanted, now = (
        own_links(scope, move.service, {**before, move.service: move.target}),
        wanted_forwarders(scope, before),
    )
    refuse_outside(scope.hosts, wanted | now, scope.environment.environment)
    return (RelayDependencies(route, wanted, now, scope.hosts),)


def _commit(move: ServiceMove, route: Route) -> Commit:
    scope, before = (
        move.context.scope,
        {**move.context.where(), move.service: move.source},
    )  # also once it was begun: the undo looks for what is new
    wanted, now = wanted_forwarders(scope, {**before, move.service: move.target}), wanted_forwarders(scope, before)
    refuse_outside(
        scope.hosts, wanted | now, scope.environment.environment
    )  # found before the move begins, not when its service is down
    return Commit(route, wanted, now, scope.hosts)


def _hook(route: Route, key: str, host: str, hook: Hook | None) -> tuple[RunHook, ...]:
    return (RunHook(route, key, host, hook),) if hook else ()


def _dependants(move: ServiceMove) -> tuple[ReadOnlyStep, ...]:
    return (migrate.dependants_work(move),) if move.context.scope.dependants_of(move.service) else ()


def _measure(move: ServiceMove, route: Route, aim: ProbeTarget) -> outage_record.RecordedOutage:
    return outage_record.RecordedOutage(MeasureOutage(route, aim), move)
