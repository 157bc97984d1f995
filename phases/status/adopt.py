"""A lost journal rebuilt from the audit logs of the hosts, and a journal compared with them: what is certain, what is
not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.config.scope import Scope
from engine.contracts.move_state import MoveState
from engine.journal.journal import Journal, Record, Run
from engine.journal.kinds import RecordKind
from engine.journal.record import fits
from phases.context.attempt import read_past
from phases.context.audit_mirror import MIRRORED
from phases.context.frozen_plan import hosts_agree


@dataclass(frozen=True)
class AuditEntry:
    """One record as hosts report it; `hosts` are those whose logs have it."""

    record: Record
    command: str
    hosts: tuple[str, ...]
    shortened: bool = False


@dataclass
class AuditLogs:
    """What the audit logs of several hosts say about one environment."""

    entries: list[AuditEntry] = field(default_factory=list)
    heads: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)  # host, run, heads by writer
    problems: list[str] = field(default_factory=list)


def read_logs(environment: str, lines_of: Mapping[str, Sequence[str]]) -> AuditLogs:
    """Return what the logs say, each record once, runs in their order; a line that is torn or was changed
    is a problem.
    """
    logs, seen = AuditLogs(), dict[str, AuditEntry]()
    for host, lines in lines_of.items():
        for number, line in enumerate(lines, start=1):
            where = f"{host}: line {number} of its audit log"
            try:
                data = json.loads(line)
                if data.get("environment") != environment:
                    continue  # another environment's, or an action's own words next to the record
                if "heads" in data:
                    logs.heads.append((host, str(data["run_id"]), data["heads"]))
                    continue
                record = _record(data["record"])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                logs.problems.append(
                    f"{where} can't be read ({type(error).__name__}): a power cut tore it, or it was edited"
                )
                continue
            if record.kind not in MIRRORED:
                logs.problems.append(
                    f"{where} holds a record of kind {record.kind}, which no run writes there: it is left out"
                )
                continue
            shortened = bool(data.get("shortened"))
            if not shortened and not fits(record):
                logs.problems.append(
                    f"{where} was changed after it was written ({record.kind} {record.key or ''}): it is left out"
                )
                continue
            before = seen[record.hash].hosts if record.hash in seen else ()
            seen[record.hash] = AuditEntry(
                record, str(data["command"]), tuple(dict.fromkeys((*before, host))), shortened
            )
    logs.entries = _in_order(seen.values())
    return logs


def _record(data: Mapping[str, Any]) -> Record:
    return Record(seq=0, **data)


def _in_order(entries: Iterable[AuditEntry]) -> list[AuditEntry]:
    """Return records run by run, as they began; within a run in the order of writing: a clock may be put back
    meanwhile.
    """
    known = list(entries)
    begun: dict[str, str] = {}
    for one in known:
        begun[one.record.run_id] = min(begun.get(one.record.run_id, one.record.at), one.record.at)
    return sorted(
        known, key=lambda one: (begun[one.record.run_id], one.record.run_id, one.record.writer, one.record.number)
    )


def adopt(run: Run, logs: AuditLogs, scope: Scope | None = None) -> None:
    """Write what hosts report into a new run of a fresh journal: when it happened, and where it comes from.

    With a scope a host counts for its own moves only; what another says of them is left out, and listed by
    `uncertainties`.
    """
    for one in logs.entries:
        record = one.record
        if scope and not _is_witness(one, scope):
            continue
        origin = {"run_id": record.run_id, "number": record.number, "hash": record.hash, "hosts": list(one.hosts)}
        run.record(
            record.kind,
            service=record.service,
            key=record.key,
            body={**record.body, "adopted": origin},
            at=datetime.fromisoformat(record.at),
        )


def _is_witness(one: AuditEntry, scope: Scope) -> bool:
    """Return whether a host that reports a record is one end of its move."""
    ends = {
        host for move in scope.plan.moves if move.service == one.record.service for host in (move.source, move.target)
    }
    return not ends or bool(ends & set(one.hosts))


def uncertainties(journal: Journal, scope: Scope, logs: AuditLogs) -> Iterator[str]:
    """Yield what nobody can know from the logs alone, service by service; the next migrate looks at the
    hosts for it.
    """
    yield from logs.problems
    yield from _not_believed(journal, scope, logs)
    for move in scope.plan.moves:
        if move.service not in scope.services:
            continue
        past = read_past(journal, move.service)
        for key in sorted(past.begun):
            yield (
                f'{move.service}: "{key}" was begun and no host knows how it ended: the next migrate looks, then '
                "completes or undoes it"
            )
        for host, other in ((move.source, move.target), (move.target, move.source)):
            missing = [
                one
                for one in logs.entries
                if one.record.service == move.service and other in one.hosts and host not in one.hosts
            ]
            if missing:
                yield (
                    f"{move.service}: {host} lacks {len(missing)} of the records that {other} has, the last: "
                    f"{_named(missing[-1].record)}"
                )
        if past.state is MoveState.PLANNED:
            yield f"{move.service}: no host knows of a move: it has not begun, or was cut off before its first action"
    for host, run_id, _ in logs.heads:
        if run_id not in {one.record.run_id for one in logs.entries}:
            yield f"{host}: names run {run_id}, but no record of it is there"


def _not_believed(journal: Journal, scope: Scope, logs: AuditLogs) -> Iterator[str]:
    """Yield what a host reports about a move that it has no part in, and what one host alone reports of an entry."""
    for one in logs.entries:
        if not _is_witness(one, scope):
            yield (
                f"{', '.join(one.hosts)}: reports {one.record.service} ({_named(one.record)}), which it is no "
                "host of: it is left out"
            )
    for move in scope.plan.moves:
        begun = journal.last(RecordKind.PLAN_FROZEN, service=move.service) if move.service in scope.services else None
        if begun is not None and hosts_agree(begun, move) is False:
            doubt = f"only {', '.join(begun.body['adopted']['hosts'])} reports what it was begun with"
            yield (
                f"{move.service}: {doubt}: its entry is taken from the files here. Compare them with what runs: "
                f"{scope.command('preflight')}"
            )


def _named(record: Record) -> str:
    return f"{record.kind} {record.key or ''}".strip() + f" of {record.at[:19]}"


def differences(journal: Journal, logs: AuditLogs) -> Iterator[str]:
    """Yield what the hosts know and the journal does not: a record that was changed or dropped, a chain whose tail was
    cut off.
    """
    written = journal.records()
    adopted = [record.body["adopted"] for record in written if "adopted" in record.body]
    known = {record.hash for record in written} | {str(origin["hash"]) for origin in adopted}
    yield from logs.problems
    for one in logs.entries:
        if one.record.hash not in known:
            yield (
                f"{', '.join(one.hosts)}: {_named(one.record)}, {one.record.service}: not in the journal, or "
                "changed there"
            )
    for host, run_id, heads in logs.heads:
        if run_id in {origin["run_id"] for origin in adopted}:
            continue  # rebuilt from the hosts themselves: its chain is gone
        records = [record for record in written if record.run_id == run_id]
        for writer, head in heads.items():
            chain = [record for record in records if record.writer == writer]
            if len(chain) < head["records"] or chain[head["records"] - 1].hash != head["hash"]:
                yield (
                    f"{host}: run {run_id} ended with {head['records']} records, the last {head['hash'][:12]}; "
                    f"the journal has {len(chain)}"
                )
