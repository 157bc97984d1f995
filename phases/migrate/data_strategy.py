"""How a move's data travels: the actions before the stop and after it, chosen by the plan's strategy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from actions.common.route import Route
from actions.copy.locations import DataPlace
from actions.copy.precopy import Precopy, RemoveCopyHelpers
from actions.copy.volumes import CopyVolumes, Limits, VerifyVolumes
from actions.replication.replica import Replica
from actions.replication.steps import FinishReplica, ProveReplica, StartReplica
from engine.config.scope import PlannedMove
from engine.container_names import kept_name
from engine.contracts.action import Action
from engine.contracts.replication import Login, Replication
from engine.journal.kinds import RecordKind
from hosts.local.secret_references import resolve_secret
from phases.context import service_facts
from phases.context.path_rates import measured_rates
from phases.context.run_context import RunContext
from phases.context.service_facts import peer_of, places_of

START_AND_READY_S: Final = 8.0
"""Stopping, creating, starting and becoming ready, about: what of an outage no copy can shorten."""


@dataclass(frozen=True)
class DataSteps:
    """The actions that carry the data: while the service runs, once it is stopped, and when all is over."""

    before: tuple[Action, ...]
    after: tuple[Action, ...]
    clear: RemoveCopyHelpers


def data_steps(world: RunContext, move: PlannedMove, route: Route) -> DataSteps:
    """Return the actions of the move's strategy."""
    places, size = places_of(world, move), service_facts.bytes_to_copy(world, move.service)
    copying = _copying(world, move, route, places, size)
    proving = _proving(copying)
    clear = RemoveCopyHelpers(route, copying.ends)
    kind = world.product(move.service).replication
    if move.strategy == "replicate" and kind is not None:
        return _replicating(world, move, copying, kind)
    before = (Precopy(copying, START_AND_READY_S),) if copies_live(move) else ()
    return DataSteps(before, (copying, proving), clear)


def _copying(
    world: RunContext, move: PlannedMove, route: Route, places: tuple[DataPlace, ...], size: int | None
) -> CopyVolumes:
    return CopyVolumes(
        route, places, peer_of(world, move.target), size, limits_of(world, move), world.tells(move.service)
    )


def _proving(copying: CopyVolumes) -> VerifyVolumes:
    return VerifyVolumes(
        copying.route,
        copying.places,
        copying.size_bytes,
        copying.proving(),
        copying.copying("copy once more"),
        tidy=False,
    )


def _replicating(world: RunContext, move: PlannedMove, copying: CopyVolumes, kind: Replication) -> DataSteps:
    """Return the actions of strategy replicate, which fall back to those of precopy."""
    place = _place_at(world, move, kind.data_at, copying.places)
    others = _copying(world, move, copying.route, tuple(one for one in copying.places if one != place), None)
    replica = Replica(
        copying.route,
        copying.peer,
        kind,
        _login(world, move),
        place,
        lambda: copying.make_places((place,) if place else ()),
    )

    def replicates() -> bool:
        return is_replicated(world, move)

    live, other_live = Precopy(copying, START_AND_READY_S), Precopy(others, START_AND_READY_S)
    finish = FinishReplica(replica, others, copying, replicates)
    prove = ProveReplica(_proving(others), _proving(copying), replicates)
    return DataSteps(
        (StartReplica(replica, other_live, live),),
        (finish, prove),
        RemoveCopyHelpers(copying.route, copying.ends, replica.remove, replica.left),
    )


def is_replicated(world: RunContext, move: PlannedMove) -> bool:
    """Return whether the data comes by replication; told by the journal, so that a resumed move knows it too."""
    if move.strategy != "replicate":
        return False
    outcomes = [
        record
        for record in world.journal.records(kind=RecordKind.OUTCOME, service=move.service)
        if record.key == "precopy"
    ]
    note = (outcomes[-1].body.get("note") or {}) if outcomes else {}
    return bool(note.get("replica")) and not note.get("fallback")


def are_writers_held(world: RunContext, move: PlannedMove) -> bool:
    """Return whether the operator's own hook keeps the writers away before the source is read and stopped."""
    return move.strategy == "replicate" and world.entry(move.service).hooks.before_hold is not None


def _place_at(world: RunContext, move: PlannedMove, path: str, places: tuple[DataPlace, ...]) -> DataPlace | None:
    """Return the copied place that is mounted at a path of the container."""
    facts, name = world.facts(move.source), world.entry(move.service).container
    container = facts.container(name) or facts.container(kept_name(name))
    mounts = container.mounts if container else ()
    at = next((DataPlace(mount.kind, mount.source) for mount in mounts if mount.destination == path), None)
    return at if at in places else None


def _login(world: RunContext, move: PlannedMove) -> Login:
    """Return who the replica is: the inventory's user and password of the service."""
    entry, facts = world.entry(move.service), world.facts(move.source)
    container = facts.container(entry.container) or facts.container(kept_name(entry.container))
    user = str(entry.options.get("user", move.service))
    if "password" not in entry.secrets or container is None:
        return Login(user)
    return Login(user, world.redactor.register(resolve_secret(entry.secrets["password"], container.env)))


def copies_live(move: PlannedMove) -> bool:
    """Return whether the move copies while its service runs."""
    return move.strategy != "stop_copy"


def limits_of(world: RunContext, move: PlannedMove) -> Limits:
    """Return what the plan allows, and what the path between the two hosts carried when prepare tried it."""
    plan, sampled = world.scope.plan, measured_rates(world.journal).get((move.source, move.target))
    return Limits(plan.bandwidth_limit_mb_s, move.outage_budget_s or plan.outage_budget_s, move.verify, sampled)
