"""Keeping the configuration of the hosts that services leave, and one table of all backups for the evidence."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from actions.backup.backup import expected_objects, recorded_backup
from actions.backup.host_configuration import FOLDER, archive_of, configuration_files, keep_configuration
from actions.backup.restic import Repository
from actions.backup.restore_drill import recorded_drill
from actions.common.labels import move_label
from actions.common.route import Route
from checks.backups.backups import BackupObject
from checks.backups.restore_drills import Drill
from engine.command_line import ANY, typed_command
from engine.errors import InputError, NotObservedError
from engine.finding import joined, say
from engine.i18n.language import term
from engine.journal.kinds import RecordKind
from engine.report_sections import Table
from engine.saga.outcomes import PlannedOnly
from engine.verdict import Judgement, failed, passed
from hosts.facts.compose_files import fetch_files
from hosts.local.secret_references import resolve_secret
from phases.assess.host_projects import read_host_projects
from phases.context.run_context import RunContext
from phases.context.service_facts import peer_of
from phases.context.service_move import ServiceMove, service_move

ENGINE_FILES: Final = ("/etc/docker/daemon.json",)
SUBJECT: Final = "host_configuration"
"""Used in the names of the backup's helper containers where a move has its service."""


def keep_host(context: RunContext, host: str, *, apply: bool) -> Judgement:
    """Keep a host's configuration in the backup repository, and judge whether it came back as it went; in a dry run say
    so.
    """
    backup, environment = context.scope.environment.backup, context.scope.environment.environment
    if backup is None:
        raise InputError(
            say(
                "environments/{environment}.yaml: backup: missing; expected host, path and password",
                environment=environment,
            )
        )
    facts = context.facts(host)
    facts.need_docker()
    if not apply:
        count = len(facts.containers)
        raise PlannedOnly(
            say(
                "{host}: keep the configuration of {count} containers and the compose files in {backup_host}:{path}",
                host=host,
                count=count,
                backup_host=backup.host,
                path=backup.path,
            )
        )
    found, _ = read_host_projects(context.fleet, facts)
    texts = {**found.contents, **fetch_files(context.fleet[host], [*ENGINE_FILES, *facts.around.units]).contents}
    files = configuration_files(facts, texts)
    route = Route(context.fleet, SUBJECT, "", host, backup.host, move_label(environment, f"configuration-{host}", 1))
    repository = Repository(
        peer_of(context, backup.host), backup.path, context.redactor.register(resolve_secret(backup.password))
    )
    item, is_same = keep_configuration(route, repository, archive_of(files, datetime.now(UTC).timestamp()))
    compose = len(found.compose)
    counts = {
        "containers": sum(name.startswith(f"{FOLDER}/") for name in files),
        "files": len(files),
        "compose_files": compose,
    }
    context.run.record(
        RecordKind.HOST_CONFIGURATION_SAVED,
        body={"host": host, "object": item.record(), "read_back": is_same, **counts},
    )
    return judge_kept(
        host,
        {"object": item.record(), "read_back": is_same, **counts},
        datetime.now(UTC),
        context.scope.plan.evidence_max_age_h,
        context.scope.environment.environment,
    )


def judge_kept(
    host: str, record: Mapping[str, Any] | None, now: datetime, oldest_hours: float, environment: str = ANY
) -> Judgement:
    """Judge whether a host's configuration lies in the repository: young enough, not empty, and read back
    as it went.
    """
    again = say("Keep it: {command}", command=typed_command("prepare", environment=environment, apply=True))
    if record is None:
        return failed(
            say(
                "{host}: the configuration of its containers was never kept. Expected: a snapshot away from it. "
                "{again}",
                host=host,
                again=again,
            )
        )
    item = BackupObject.from_record(record["object"])
    age_hours = (now - item.taken_at).total_seconds() / 3600
    problems = [
        *([say("what was read back is not what was stored")] if not record["read_back"] else []),
        *([say("it holds no container")] if not record["containers"] else []),
        *([say("it is {age_hours:.1f} h old", age_hours=age_hours)] if age_hours > oldest_hours else []),
    ]
    if problems:
        return failed(
            say(
                "{host}: the kept configuration (snapshot {snapshot}): {problems}. Expected: at most {oldest_hours:g} "
                "h old, and the same when it is read. {again}",
                host=host,
                snapshot=item.snapshot[:8],
                problems=joined("; ", problems),
                oldest_hours=oldest_hours,
                again=again,
            ),
            tuple(problems),
        )
    kept = say(
        "{containers} containers and {files} files ({compose_files} of them compose files)",
        containers=record["containers"],
        files=record["files"] - record["containers"],
        compose_files=record["compose_files"],
    )
    return passed(
        say(
            "{host}: {kept} kept in snapshot {snapshot}, {age_hours:.1f} h old, read back as stored",
            host=host,
            kept=kept,
            snapshot=item.snapshot[:8],
            age_hours=age_hours,
        ),
        size_bytes=item.size_bytes,
    )


def recorded_configuration(context: RunContext, host: str) -> Mapping[str, Any] | None:
    """Return the newest record of a host's kept configuration, None when there is none."""
    return next(
        (
            record.body
            for record in reversed(context.journal.records(kind=RecordKind.HOST_CONFIGURATION_SAVED))
            if record.body["host"] == host
        ),
        None,
    )


def judge_configuration(context: RunContext, host: str) -> Judgement:
    """Judge the configuration that prepare kept of a host."""
    return judge_kept(
        host,
        recorded_configuration(context, host),
        datetime.now(UTC),
        context.scope.plan.evidence_max_age_h,
        context.scope.environment.environment,
    )


def backup_table(context: RunContext, now: datetime, hosts: Collection[str], services: Collection[str]) -> Table:
    """Return one row for each object of each backup of hosts and services: how old and large it is, whether it was
    restored.
    """
    rows = [
        row
        for move in context.scope.moves
        if move.service in services
        for row in _rows(service_move(context, move.service), now)
    ]
    for host in (host for host in context.sources() if host in hosts):
        record = recorded_configuration(context, host)
        item = BackupObject.from_record(record["object"]) if record else None
        rows.append(
            _row(
                host,
                f"configuration {host}",
                item,
                now,
                say("read back as stored") if record and record["read_back"] else "NO",
            )
        )
    return Table(term("Backups"), ("of", "what", "snapshot", "size", "age", "restored"), tuple(rows))


def _rows(move: ServiceMove, now: datetime) -> Iterator[tuple[str, ...]]:
    taken, _ = recorded_backup(move.context.journal, move.service)
    newest = {item.name: item for item in sorted(taken, key=lambda one: one.taken_at)}
    drill = recorded_drill(move.context.journal, move.service)
    for name in dict.fromkeys((*_expected(move), *newest)):
        item = newest.get(name)
        yield _row(move.service, name, item, now, _drilled(drill, item) if item else "–")


def _expected(move: ServiceMove) -> tuple[str, ...]:
    """Return what the backup must hold, nothing when the source does not answer: its own row says so."""
    try:
        return expected_objects(move.product, move.container_on(move.source), move.mount_rules)
    except NotObservedError:
        return ()


def _drilled(drill: Drill | None, item: BackupObject) -> str:
    if drill is None or drill.snapshots.get(item.name) != item.snapshot:
        return say("NO: this snapshot was never restored")
    if drill.problem:
        return say("NO: {problem}", problem=drill.problem)
    return say("not drilled, read to its end") if drill.not_drilled else say("on {target}", target=drill.target)


def _row(who: str, name: str, item: BackupObject | None, now: datetime, restored: str) -> tuple[str, ...]:
    if item is None:
        return who, name, "none", "–", "–", "–"
    hours = (now - item.taken_at).total_seconds() / 3600
    return (
        who,
        name,
        item.snapshot[:8],
        say("{size_bytes:,} bytes", size_bytes=item.size_bytes),
        say("{hours:.1f} h", hours=hours),
        restored,
    )
