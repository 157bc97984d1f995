"""Backups before the window: logical exports and archives of the volumes, encrypted in a restic repository elsewhere.

Everything runs on the source host. Whether what was stored can be restored is the drill's question
(actions/backup/restore_drill.py).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from actions.backup.restic import (
    LONGEST_S,
    OpenRepository,
    Repository,
    init_repository,
    make_repository_directory,
    open_repository,
    remove_dead_locks,
    remove_snapshot,
    say_locks,
)
from actions.common.base_action import RouteAction
from actions.common.route import flush_disks, run_checked
from actions.common.toolbox import ToolboxMount, remove_helpers, toolbox_argv
from actions.copy.locations import DataPlace, places_to_copy
from actions.copy.ssh_channel import close_channel, shell_line
from checks.backups.backups import BackupObject
from engine.cancellation import inherited
from engine.contracts.action import Note
from engine.contracts.container import CommandResult, ContainerCommand, ContainerFacts
from engine.contracts.product import Product
from engine.errors import ActionError
from engine.finding import joined, say
from engine.journal.journal import Journal
from engine.journal.kinds import RecordKind
from engine.verdict import Judgement, failed, passed, unknown

ROLE: Final = "backup"
AT_ONCE: Final = 3
CONTAINS_ERRORS: Final = "repository contains errors"
SHOWN: Final = 400
NO_CONTENT: Final = ("find", "/data", "-type", "f", "-size", "+0c", "-print", "-quit")


@dataclass(frozen=True)
class TakeBackup(RouteAction):
    """Store each logical export and each volume of one service as a snapshot, then check the repository."""

    repository: Repository
    commands: tuple[ContainerCommand, ...]
    places: tuple[DataPlace, ...]
    key = "backup-taken"

    def describe(self) -> str:
        """Return the dry run's line."""
        names = joined(", ", [*(export_name(command) for command in self._saving()), *(p.text() for p in self.places)])
        return say(
            "back up {names} of {source} to {where} (restic, encrypted)",
            names=names,
            source=self.route.source,
            where=self.repository.where,
        )

    def do(self, note: Note) -> None:
        """Take all snapshots; a failed export is not counted and its snapshot is forgotten."""
        route, started = self.route, time.monotonic()
        for host in (route.source, self.repository.peer.host):
            remove_helpers(route.fleet, host, route.move_label, ROLE)
        is_there = make_repository_directory(route, self.repository, self.key, self.describe())
        with open_repository(route, route.source, self.repository, role=ROLE) as opened:
            if is_there:
                remove_dead_locks(opened, self.key)
            else:
                init_repository(opened)
            with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
                exports = [pool.submit(inherited(self._export), opened, *item) for item in enumerate(self._saving())]
                archives = [pool.submit(inherited(self._archive), opened, place) for place in self.places]
            taken = [job.result() for job in (*exports, *archives)]
            note["objects"] = [item.record() for item in taken]
            flush_disks(route.fleet, self.repository.peer.host)
            checked = opened.run(["check"])
            note["repository_ok"], note["repository_said"] = judge_check(checked)
            if note["repository_ok"] is None:
                note["repository_said"] = say_locks(opened, str(note["repository_said"]))
        note["seconds"] = round(time.monotonic() - started, 1)

    def verify(self, note: Note) -> Judgement:
        """Judge whether every object got a snapshot that holds something and the repository is sound."""
        taken = [BackupObject.from_record(record) for record in note.get("objects", [])]
        wanted = len(self._saving()) + len(self.places)
        where = self.repository.where
        empty = [item.name for item in taken if item.lacks_content]
        again = say("Try: {command}", command=self.route.command("prepare"))
        said = str(note.get("repository_said") or "restic check was not asked")
        if len(taken) != wanted or empty:
            seen = say(
                "{taken_count} of {wanted} objects in {where}, {empty_count} empty",
                taken_count=len(taken),
                wanted=wanted,
                where=where,
                empty_count=len(empty),
            )
            return failed(
                say(
                    "{service}: {seen}. Expected: all, not empty. {again}",
                    service=self.route.service,
                    seen=seen,
                    again=again,
                )
            )
        if note.get("repository_ok") is False:
            return failed(
                say(
                    "{service}: {count} objects in {where}, but the repository is damaged: restic says {said}. "
                    "Expected: sound. Put it aside, then take another backup: ssh {host} sudo mv {path} {path}.damaged",
                    service=self.route.service,
                    count=len(taken),
                    where=where,
                    said=said,
                    host=self.repository.peer.host,
                    path=self.repository.path,
                )
            )
        if not note.get("repository_ok"):
            return unknown(
                say(
                    "{service}: {count} objects in {where}; whether it is sound could not be checked: {said}. {again}",
                    service=self.route.service,
                    count=len(taken),
                    where=where,
                    said=said,
                    again=again,
                )
            )
        if not wanted:
            return passed(
                say(
                    "{service}: no volume and no export of its own, so nothing to back up; {where} is sound",
                    service=self.route.service,
                    where=where,
                )
            )
        total = sum(item.size_bytes for item in taken)
        return passed(
            say(
                "{service}: {count} objects, {total:,} bytes backed up to {where}, restic check passed",
                service=self.route.service,
                count=len(taken),
                total=total,
                where=where,
            ),
            tuple(
                say(
                    "{name}: snapshot {snapshot}, {size_bytes:,} bytes",
                    name=item.name,
                    snapshot=item.snapshot[:8],
                    size_bytes=item.size_bytes,
                )
                for item in taken
            ),
            backup_bytes=total,
            seconds=note.get("seconds", 0.0),
        )

    def undo(self, note: Note) -> None:  # noqa: ARG002
        """Leave snapshots: a backup is never taken away. Remove helpers and the temporary key."""
        route = self.route
        for host in (route.source, self.repository.peer.host):
            remove_helpers(route.fleet, host, route.move_label, ROLE)
        close_channel(route.fleet, route.source, self.repository.peer.host, move_label=route.move_label, purpose=ROLE)

    def _saving(self) -> list[ContainerCommand]:
        return [command for command in self.commands if command.saves_as]

    def _archive(self, opened: OpenRepository, place: DataPlace) -> BackupObject:
        """Archive a place while the service runs: consistent as after a power cut, no more; the export is the other
        half.
        """
        started = time.monotonic()
        mount = ToolboxMount(place.kind, place.source, "/data", read_only=True)
        words = ["backup", "--json", *self._tags(place.text()), "/data"]
        argv = opened.argv(words, (mount,))
        self.route.audit(self.route.source, self.key, f"archive {place.text()}")
        result = self._store(opened, argv, say("archive {place}", place=place.text()), LONGEST_S)
        item = summary_of(place.text(), result.text, time.monotonic() - started)
        return item if item.size_bytes else replace(item, nothing_there=self._holds_nothing(mount))

    def _holds_nothing(self, mount: ToolboxMount) -> bool:
        """Return whether no file of the place has content: an empty folder is backed up as it is, no content must not
        be missed.
        """
        argv = toolbox_argv(NO_CONTENT, move_label=self.route.move_label, role=ROLE, mounts=[mount])
        seen = run_checked(
            self.route.fleet,
            self.route.source,
            argv,
            doing=say("look whether there is nothing to archive"),
            timeout_s=LONGEST_S,
        )
        return not seen.text.strip()

    def _export(self, opened: OpenRepository, number: int, command: ContainerCommand) -> BackupObject:
        name, started = export_name(command), time.monotonic()
        environment = f"{opened.directory}/env-{number}"
        opened.write(f"env-{number}", "".join(f"{k}={v.reveal()}\n" for k, v in command.env.items()))
        run = shell_line(["docker", "exec", "--env-file", environment, self.route.container, *command.argv])
        words = ["backup", "--json", *self._tags(name), "--stdin", "--stdin-filename", str(command.saves_as)]
        store = shell_line(opened.argv(words, interactive=True))
        status = f"{opened.directory}/status-{number}"
        script = (
            f"rm -f {status}; {{ {run}; echo $? > {status}; }} | {store}; stored=$?; cat {status} >&2; exit $stored"
        )
        self.route.audit(self.route.source, self.key, f"export {name} of {self.route.container}")
        result = self._store(opened, ["sh", "-c", script], f"export {name}", command.timeout_s)
        item = summary_of(name, result.text, time.monotonic() - started)
        exported = result.error_text.splitlines()[-1:] or ["?"]
        if exported != ["0"]:
            remove_snapshot(opened, item.snapshot, self.key)
            raise ActionError(
                say(
                    "{source}: {first_argv} in {container} ended with {first_exported}: {error_text}. Expected: 0. "
                    "Its snapshot was forgotten",
                    source=self.route.source,
                    first_argv=command.argv[0],
                    container=self.route.container,
                    first_exported=exported[0],
                    error_text=joined(" / ", result.error_text.splitlines()[-4:-1]),
                )
            )
        return item

    def _store(self, opened: OpenRepository, argv: list[str], doing: str, timeout_s: float) -> CommandResult:
        """Run restic; raises ActionError that names the lock, and how to remove it, when one stood in the way."""
        try:
            return run_checked(self.route.fleet, self.route.source, argv, doing=doing, timeout_s=timeout_s)
        except ActionError as error:
            raise ActionError(say_locks(opened, str(error))) from error

    def _tags(self, name: str) -> list[str]:
        environment = self.route.move_label.split("/", 1)[0]
        tags = ",".join((environment, self.route.service, name.replace(",", "_").replace(" ", "-")))
        return ["--host", self.route.source, "--tag", tags]


def judge_check(checked: CommandResult) -> tuple[bool | None, str]:
    """Return whether `restic check` found the repository sound, None when it could not look, and its last words.

    Damage is what restic says: any other failure (a lock, a lost connection) says nothing about the repository.
    """
    if checked.exit_code == 0:
        return True, ""
    said = " / ".join((checked.error_text or checked.text).splitlines()[-3:])
    return (False if CONTAINS_ERRORS in f"{checked.text} {checked.error_text}" else None), said[-SHOWN:]


def summary_of(name: str, output: str, duration_s: float) -> BackupObject:
    """Return the snapshot that `restic backup --json` reports in its last message.

    https://restic.readthedocs.io/en/stable/075_scripting.html#backup
    """
    for line in reversed(output.splitlines()):
        if not line.startswith("{"):
            continue
        message = json.loads(line)
        if message.get("message_type") == "summary" and message.get("snapshot_id"):
            size = int(message.get("total_bytes_processed") or 0)
            return BackupObject(name, str(message["snapshot_id"]), size, datetime.now(UTC), round(duration_s, 1))
    raise ActionError(
        say("{name}: restic reported no snapshot. Expected: a summary with its id. Run prepare again", name=name)
    )


def export_name(command: ContainerCommand) -> str:
    """Return how the backup calls a logical export."""
    return f"export {command.saves_as}"


def expected_objects(product: Product, container: ContainerFacts, rules: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of all objects that a service's backup must hold."""
    exports = [export_name(command) for command in product.export_commands(container) if command.saves_as]
    return (*exports, *(place.text() for place in places_to_copy(container.mounts, rules)))


def recorded_backup(journal: Journal, service: str) -> tuple[tuple[BackupObject, ...], bool | None]:
    """Return what prepare recorded of a service's backup: the newest objects, and whether restic found them sound."""
    for record in reversed(journal.records(kind=RecordKind.OUTCOME, service=service)):
        note = record.body.get("note") or {}
        if record.key == "backup-taken" and note.get("objects"):
            return tuple(BackupObject.from_record(item) for item in note["objects"]), note.get("repository_ok")
    return (), None
