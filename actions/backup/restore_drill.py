"""The restore drill: the backup of a service comes back on its target, apart from everything, and must hold what it
held.

Only that proves a backup: `restic check` passes with a flipped bit in its data, and a sound snapshot may hold a dump
that ends early. The copy runs in a network without a way out and next to nothing that serves; all of it is removed at
the end.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from actions.backup.restic import OpenRepository, Repository, open_repository
from actions.backup.restore import apply_export, read_whole, restore_archive
from actions.backup.scratch_copy import (
    ROLE,
    ScratchPlace,
    list_scratch,
    place_over,
    reaches_out,
    remove_scratch,
    scratch_places,
    scratch_specification,
    snapshots_of,
)
from actions.common.base_action import RouteAction
from actions.common.labels import labels
from actions.common.route import docker_api, inspect_container, look
from actions.common.toolbox import ToolboxMount
from actions.copy.ssh_channel import close_channel
from checks.backups.backups import BackupObject
from checks.backups.restore_drills import Drill, drill_text
from engine.cancellation import inherited
from engine.contracts.action import Note
from engine.contracts.container import MountFacts
from engine.contracts.product import Product, Restorable, RestoreCommand
from engine.errors import ActionError
from engine.finding import joined, say
from engine.journal.journal import Journal
from engine.journal.kinds import RecordKind
from engine.verdict import Judgement, failed, passed, unknown

DRILLED: Final = "restore-drilled"
READ: Final = "backup-readable"
"""Each service has one of these two steps: it is restored and compared, or its snapshots are only read to their end."""
AT_ONCE: Final = 3
LAST_WORDS: Final = 12
ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class DrillQuestions:
    """What a drill asks, each once, of a container by its name: is there room, is it ready (with its deadline), is all
    there.
    """

    room: Callable[[], Judgement]
    ready: Callable[[str], Judgement]
    same: Callable[[str], Judgement]


@dataclass(frozen=True)
class RestoreDrill(RouteAction):
    """Restore the snapshots on record on the target, start the service's exact image from them alone, and compare.

    `not_drilled` says why nothing is started; it is "" when the service is started: then each snapshot is read to its
    end and no more is proven.
    """

    repository: Repository
    taken: Callable[[], Sequence[BackupObject]]
    mounts: Sequence[MountFacts]
    rules: Mapping[str, str]
    commands: Sequence[RestoreCommand]
    not_drilled: str
    questions: DrillQuestions
    key: str = field(init=False)
    """Which of the two steps this is."""

    def __post_init__(self) -> None:
        """Drill, unless there is a reason not to."""
        object.__setattr__(self, "key", READ if self.not_drilled else DRILLED)

    def describe(self) -> str:
        """Return the dry run's line."""
        route = self.route
        if self.not_drilled:
            return say(
                "{target}: read the backup of {service} to its end; not drilled: {not_drilled}",
                target=route.target,
                service=route.service,
                not_drilled=self.not_drilled,
            )
        return say(
            "{target}: restore the backup of {service} into a scratch copy without a way out, compare, remove it",
            target=route.target,
            service=route.service,
        )

    def do(self, note: Note) -> None:
        """Restore, start, compare, remove; what was wrong with the backup goes into the note, what stood in the way is
        raised.
        """
        route, taken, started = self.route, tuple(self.taken()), time.monotonic()
        if not taken:
            raise ActionError(
                say(
                    "{service}: no backup on record. Expected: one. Try: {command}",
                    service=route.service,
                    command=route.command("prepare"),
                )
            )
        self._remove()
        steps: dict[str, str] = {}
        problem = report = ""
        route.audit(route.target, self.key, self.describe())
        try:
            with open_repository(route, route.target, self.repository, role=ROLE, reading=True) as opened:
                report = self._read_all(opened, taken, steps) if self.not_drilled else self._drill(opened, taken, steps)
        except AssertionError as error:
            problem = str(error)
        finally:
            self._remove()
        seconds = round(time.monotonic() - started, 1)
        note["drill"] = Drill(
            route.target, snapshots_of(taken), problem, self.not_drilled, seconds, report, steps
        ).record()

    def verify(self, note: Note) -> Judgement:
        """Judge how it ended, and whether nothing of it is left."""
        if "drill" not in note:
            return unknown(
                say(
                    "{service}: the restore drill did not come to an end. Run prepare again", service=self.route.service
                )
            )
        drill, left = Drill.from_record(note["drill"]), list_scratch(self.route)
        details = tuple(say("{name}: {text}", name=name, text=text) for name, text in drill.steps.items())
        if drill.problem:
            return failed(
                say(
                    "{service}: this backup is not good for a restore: {problem}. {advice}",
                    service=self.route.service,
                    problem=drill.problem,
                    advice=self._advice(),
                ),
                details,
            )
        if left:
            return failed(
                say(
                    "{target}: {count} things of the drill are left: {left}. Expected: none. Run prepare again",
                    target=self.route.target,
                    count=len(left),
                    left=joined(", ", left[:3]),
                )
            )
        return passed(
            say("{service}: {drill}", service=self.route.service, drill=drill_text(drill)),
            details,
            seconds=drill.seconds,
            snapshots=len(drill.snapshots),
        )

    def undo(self, note: Note) -> None:  # noqa: ARG002
        """Remove what a drill left, and its temporary key."""
        self._remove()
        close_channel(
            self.route.fleet,
            self.route.target,
            self.repository.peer.host,
            move_label=self.route.move_label,
            purpose=ROLE,
        )

    def _remove(self) -> None:
        remove_scratch(self.route, self.repository.peer.host)

    def _advice(self) -> str:
        peer, path = self.repository.peer, self.repository.path
        return say(
            "Find out why, then take another: {command} (a damaged repository is put aside first, unchanged data "
            "would be taken from it again: ssh {host} mv {path} {path}.damaged)",
            command=self.route.command("prepare"),
            host=peer.host,
            path=path,
        )

    def _read_all(self, opened: OpenRepository, taken: Sequence[BackupObject], steps: dict[str, str]) -> str:
        _each(lambda item: read_whole(opened, item), taken, steps)
        return say("{taken:,} bytes read", taken=sum(item.size_bytes for item in taken))

    def _drill(self, opened: OpenRepository, taken: Sequence[BackupObject], steps: dict[str, str]) -> str:
        """Do all of it; raises AssertionError with what is wrong with the backup."""
        _must(self.questions.room())
        route, by_name = self.route, {item.name: item for item in taken}
        places = scratch_places(route.slug(ROLE), self.mounts, self.rules, self.commands)
        mountpoints = self._make_volumes(places)
        restored = {place.name: place for place in places.values() if place.restored}
        exports = {f"export {command.export}" for command in self.commands}
        missing = sorted((set(restored) | exports) - set(by_name))
        if missing:
            raise AssertionError(f"{', '.join(missing)} is not in it. Expected: a snapshot of each")
        _each(
            lambda item: restore_archive(opened, item, restored[item.name]), [by_name[name] for name in restored], steps
        )
        _each(
            lambda item: read_whole(opened, item),
            [item for item in taken if item.name not in {*restored, *exports}],
            steps,
        )
        container = self._create({at: place.source(mountpoints[place.volume]) for at, place in places.items()})
        for command in [command for command in self.commands if command.before_start]:
            self._apply(opened, by_name, command, container, places, steps)
        with docker_api(route.fleet, route.target, say("start {container}", container=container)) as api:
            api.start(container)
        steps["ready"] = self._asked(self.questions.ready, container)
        for command in [command for command in self.commands if not command.before_start]:
            self._apply(opened, by_name, command, container, places, steps)
            steps[f"ready after {command.export}"] = self._asked(self.questions.ready, container)
        answer = self.questions.same(container)
        steps |= {f"compared {number}": line for number, line in enumerate(answer.details, start=1)}
        return _must(answer)

    def _apply(  # noqa: PLR0917
        self,
        opened: OpenRepository,
        by_name: Mapping[str, BackupObject],
        command: RestoreCommand,
        container: str,
        places: Mapping[str, ScratchPlace],
        steps: dict[str, str],
    ) -> None:
        over = place_over(places, command.replaces)
        mounts = [ToolboxMount("volume", over[1].volume, over[0])] if over else []
        item = by_name[f"export {command.export}"]
        steps[item.name] = apply_export(opened, item, command, container, mounts)

    def _make_volumes(self, places: Mapping[str, ScratchPlace]) -> dict[str, str]:
        """Make the scratch volumes and the network; return where each volume lies on the host."""
        route, found = self.route, {}
        mine = labels(route.move_label, ROLE)
        with docker_api(route.fleet, route.target, say("make scratch volumes and a network without a way out")) as api:
            for volume in dict.fromkeys(place.volume for place in places.values()):
                api.create_volume(volume, labels=mine)
                found[volume] = str(api.inspect_volume(volume)["Mountpoint"])
            api.create_network(route.slug(ROLE), driver="bridge", internal=True, labels=mine)
        return found

    def _create(self, mounts: Mapping[str, tuple[str, str]]) -> str:
        route, name = self.route, self.route.slug(ROLE)
        inspect = inspect_container(route.fleet, route.source, route.container)
        if inspect is None:
            raise ActionError(
                say(
                    "{source}: no container {container}. Expected: the one to move. Try: ssh {source} docker ps -a",
                    source=route.source,
                    container=route.container,
                )
            )
        if reason := reaches_out(inspect):  # it may have been made anew since the recipe was
            raise ActionError(
                say(
                    "{source}: {container}: {reason}. Expected: as it was when the drill was planned. Run prepare "
                    "again: {command}",
                    source=route.source,
                    container=route.container,
                    reason=reason,
                    command=route.command("prepare"),
                )
            )
        same = [at for at, rule in self.rules.items() if rule == "same_on_target"]
        body = scratch_specification(
            inspect, move_label=route.move_label, network=name, mounts=mounts, same_on_target=same
        )
        with docker_api(route.fleet, route.target, say("create {name}", name=name)) as api:
            api.create_container_from_config(body, name)
        return name

    def _asked(self, question: Callable[[str], Judgement], container: str) -> str:
        try:
            return _must(question(container))
        except AssertionError as error:
            raise AssertionError(f"{error}{self._last_words(container)}") from error

    def _last_words(self, container: str) -> str:
        """Return the scratch copy's last log lines: it is gone when somebody reads this."""
        answer = look(self.route.fleet, self.route.target, ["docker", "logs", "--tail", str(LAST_WORDS), container])
        lines = ANSI.sub("", answer.text + answer.error_text).splitlines()
        return "; its last words: " + " / ".join(line.strip()[:160] for line in lines[-LAST_WORDS:]) if lines else ""


def _must(answer: Judgement) -> str:
    """Return the answer's text; raise AssertionError when it did not pass."""
    if not answer.passed:
        raise AssertionError(answer.text)
    return answer.text


def _each(action: Callable[[BackupObject], str], items: Sequence[BackupObject], steps: dict[str, str]) -> None:
    """Do it with several objects at the same time; raises what the first of them raised."""
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        for item, text in zip(items, pool.map(inherited(action), items), strict=True):
            steps[item.name] = text


def why_not(product: Product, inspect: Mapping[str, Any]) -> str:
    """Return why a service can't be drilled, "" when it can: its file has to say how its data comes back."""
    if not isinstance(product, Restorable):
        return str(
            getattr(product, "why_not_drilled", "")
            or f"services/{product.name}/product.py does not say how its data comes back"
        )
    return reaches_out(inspect)


def recorded_drill(journal: Journal, service: str) -> Drill | None:
    """Return the newest drill that prepare recorded; one that did not come to an end counts as failed."""
    for record in reversed(journal.records(kind=RecordKind.OUTCOME, service=service)):
        if record.key not in {DRILLED, READ}:
            continue
        note = record.body.get("note") or {}
        if "drill" in note:
            drill = Drill.from_record(note["drill"])
            return (
                drill
                if record.body.get("ok") or drill.problem
                else Drill(drill.target, {}, problem=str(record.body.get("text")))
            )
        return Drill("", {}, problem=str(record.body.get("text") or say("it did not come to an end")))
    return None
