"""A move that has begun continues with the plan and the inventory as they were when it began, not with the files as
they are now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from engine.config.inventory import ServiceEntry
from engine.config.scope import PlannedMove, Scope
from engine.contracts.move_state import MoveState
from engine.errors import RefusedError
from engine.finding import say
from engine.journal.journal import Journal, Record
from engine.journal.kinds import RecordKind
from phases.context.attempt import read_past
from phases.context.service_move import ServiceMove


def record_begun(move: ServiceMove) -> None:
    """Write down what a move is begun with."""
    body = {
        "move": move.planned.model_dump(mode="json", by_alias=True),
        "service": move.entry.model_dump(mode="json", by_alias=True),
    }
    move.context.run.record(RecordKind.PLAN_FROZEN, service=move.service, body=body)


def as_begun(scope: Scope, journal: Journal, again: frozenset[str] = frozenset()) -> Scope:
    """Return the scope with each move that has begun, and its service, as they were then; a move that begins `again` is
    a new one.
    """
    begun = {move.service: (move, entry) for move, entry in _begun(scope, journal, again)}
    if not begun:
        return scope
    moves = tuple(begun[move.service][0] if move.service in begun else move for move in scope.moves)
    planned = tuple(begun[move.service][0] if move.service in begun else move for move in scope.plan.moves)
    services = {**scope.services, **{name: entry for name, (_, entry) in begun.items()}}
    hosts = tuple(dict.fromkeys((*scope.hosts, *(host for move in moves for host in (move.source, move.target)))))
    return replace(
        scope, moves=moves, services=services, plan=scope.plan.model_copy(update={"moves": planned}), hosts=hosts
    )


def refuse_other_than_approved(approved: Scope, carried_out: Scope, new: Iterable[str]) -> None:
    """Raise RefusedError unless what begins now is what the gates have judged: exactly the move and the service of
    the files.
    """
    planned = {move.service: move for move in approved.moves}
    doing = {move.service: move for move in carried_out.moves}
    others = [
        name for name in new if (doing[name], carried_out.services[name]) != (planned[name], approved.services[name])
    ]
    if others:
        raise RefusedError(
            say(
                "{others}: what would be carried out is not what plan {digest} says and people approved. Expected: "
                "the same. Nothing was done; look: {command}",
                others=", ".join(others),
                digest=approved.digest[:12],
                command=approved.command("status"),
            )
        )


def changed_since(scope: Scope, journal: Journal, again: frozenset[str] = frozenset()) -> list[str]:
    """Return the services whose move has begun and whose part of the files was changed since: they continue as
    they began.
    """
    here = {move.service: (move, scope.services[move.service]) for move in scope.moves}
    return [
        move.service
        for move, entry in _begun(scope, journal, again)
        if here.get(move.service, (move, entry)) != (move, entry)
    ]


def _begun(scope: Scope, journal: Journal, again: frozenset[str]) -> Iterator[tuple[PlannedMove, ServiceEntry]]:
    for move in scope.plan.moves:
        record = journal.last(RecordKind.PLAN_FROZEN, service=move.service) if move.service in scope.services else None
        state = read_past(journal, move.service, again=move.service in again).state
        if record is not None and (state.is_open or state is MoveState.DONE):
            yield _as_begun(record, move, scope.services[move.service])


def _as_begun(record: Record, move: PlannedMove, entry: ServiceEntry) -> tuple[PlannedMove, ServiceEntry]:
    """Return what a move was begun with; `move` and `entry` are those of the files as they are here.

    A record that comes from hosts only (adopt) counts when source and target report the same, and never gives a
    command, a reference to a file or a hook. These are always those of the files here.
    """
    agree = hosts_agree(record, move)
    if agree is False:
        return move, entry
    seen = PlannedMove.model_validate(record.body["move"]), ServiceEntry.model_validate(record.body["service"])
    if agree is None:
        return seen
    return seen[0], seen[1].model_copy(update={"secrets": entry.secrets, "hooks": entry.hooks})


def hosts_agree(record: Record, move: PlannedMove) -> bool | None:
    """Return whether both hosts of a move reported an adopted record; None for one that this journal wrote itself."""
    if "adopted" not in record.body:
        return None
    return {move.source, move.target} <= set(record.body["adopted"].get("hosts") or ())
