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
from engine.contracts.action import Action
from engine.contracts.replication import Login, Replication
from engine.journal.kinds import RecordKind
from hosts.local.secret_references import resolve_secret
from phases.assess.readiness import approved_digest
from phases.context.path_rates import measured_rates
from phases.context.service_facts import peer_of
from phases.context.service_move import ServiceMove

START_AND_READY_S: Final = 8.0
"""Stopping, creating, starting and becoming ready, about: what of an outage no copy can shorten."""


@dataclass(frozen=True)
class DataSteps:
    """The actions that carry the data: while the service runs, once it is stopped, and when all is over."""

    before: tuple[Action, ...]
    after: tuple[Action, ...]
    clear: RemoveCopyHelpers


def data_steps(move: ServiceMove, route: Route) -> DataSteps:
    """Return the actions of the move's strategy."""
    places, size = move.places(), move.bytes_to_copy()
    copying = _copying(move, route, places, size)
    proving = _proving(copying)
    clear = RemoveCopyHelpers(route, copying.ends)
    kind = move.product.replication
    if move.planned.strategy == "replicate" and kind is not None:
        return _replicating(move, copying, kind)
    before = (Precopy(copying, START_AND_READY_S),) if copies_live(move.planned) else ()
    return DataSteps(before, (copying, proving), clear)


def _copying(move: ServiceMove, route: Route, places: tuple[DataPlace, ...], size: int | None) -> CopyVolumes:
    return CopyVolumes(
        route, places, peer_of(move.context, move.target), size, limits_of(move), move.context.reporters(move.service)
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


def _replicating(move: ServiceMove, copying: CopyVolumes, kind: Replication) -> DataSteps:
    """Return the actions of strategy replicate, which fall back to those of precopy."""
    place = _place_at(move, kind.data_at, copying.places)
    others = _copying(move, copying.route, tuple(one for one in copying.places if one != place), None)
    replica = Replica(
        copying.route,
        copying.peer,
        kind,
        _login(move),
        place,
        lambda: copying.make_places((place,) if place else ()),
        approved_digest(move),
    )

    def replicates() -> bool:
        return is_replicated(move)

    live, other_live = Precopy(copying, START_AND_READY_S), Precopy(others, START_AND_READY_S)
    finish = FinishReplica(replica, others, copying, replicates)
    prove = ProveReplica(_proving(others), _proving(copying), replicates)
    return DataSteps(
        (StartReplica(replica, other_live, live),),
        (finish, prove),
        RemoveCopyHelpers(copying.route, copying.ends, replica.remove, replica.left),
    )


def is_replicated(move: ServiceMove) -> bool:
    """Return whether the data comes by replication; read from the journal, so that a resumed move knows it too."""
    if move.planned.strategy != "replicate":
        return False
    outcomes = [
        record
        for record in move.context.journal.records(kind=RecordKind.OUTCOME, service=move.service)
        if record.key == "precopy"
    ]
    note = (outcomes[-1].body.get("note") or {}) if outcomes else {}
    return bool(note.get("replica")) and not note.get("fallback")


def are_writers_held(move: ServiceMove) -> bool:
    """Return whether the operator's own hook keeps the writers away before the source is read and stopped."""
    return move.planned.strategy == "replicate" and move.entry.hooks.before_hold is not None


def _place_at(move: ServiceMove, path: str, places: tuple[DataPlace, ...]) -> DataPlace | None:
    """Return the copied place that is mounted at a path of the container."""
    container = move.find_container()
    mounts = container.mounts if container else ()
    at = next((DataPlace(mount.kind, mount.source) for mount in mounts if mount.destination == path), None)
    return at if at in places else None


def _login(move: ServiceMove) -> Login:
    """Return who the replica is: the inventory's user and password of the service."""
    entry, container = move.entry, move.find_container()
    user = str(entry.options.get("user", move.service))
    if "password" not in entry.secrets or container is None:
        return Login(user)
    return Login(user, move.context.redactor.register(resolve_secret(entry.secrets["password"], container.env)))


def copies_live(move: PlannedMove) -> bool:
    """Return whether the move copies while its service runs."""
    return move.strategy != "stop_copy"


def limits_of(move: ServiceMove) -> Limits:
    """Return what the plan allows, and what the path between the two hosts carried when prepare tried it."""
    plan, sampled = move.context.scope.plan, measured_rates(move.context.journal).get((move.source, move.target))
    budget_s = move.planned.outage_budget_s or plan.outage_budget_s
    return Limits(plan.bandwidth_limit_mb_s, budget_s, move.planned.verify, sampled)
