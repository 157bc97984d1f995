"""Is there a fresh, non-empty backup of every object of a service; judged from what prepare recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from checks.backups.restore_drills import Drill, drill_problems, drill_text
from engine.command_line import ANY, typed_command
from engine.finding import say
from engine.verdict import Judgement, failed, passed, unknown


@dataclass(frozen=True)
class BackupObject:
    """One snapshot in the backup repository: what it holds, its id there, how much and when (aware UTC)."""

    name: str  # "volume shop_data", "export cluster.sql"
    snapshot: str
    size_bytes: int
    taken_at: datetime
    duration_s: float = 0.0
    nothing_there: bool = False  # the place that it was taken of held no byte either

    @property
    def lacks_content(self) -> bool:
        """Return whether it holds nothing where something should be."""
        return self.size_bytes <= 0 and not self.nothing_there

    def record(self) -> dict[str, Any]:
        """Return it as JSON-able values for a note."""
        return {**asdict(self), "taken_at": self.taken_at.astimezone(UTC).isoformat()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> BackupObject:
        """Read it back from a note."""
        return cls(
            str(record["name"]),
            str(record["snapshot"]),
            int(record["size_bytes"]),
            datetime.fromisoformat(str(record["taken_at"])),
            float(record.get("duration_s", 0.0)),
            bool(record.get("nothing_there", False)),
        )


def check_backup(
    service: str,
    expected: Iterable[str],
    taken: Iterable[BackupObject],
    *,
    repository_ok: bool | None,
    drill: Drill | None,
    target: str,
    now: datetime,
    oldest_hours: float,
    environment: str = ANY,
) -> Judgement:
    """Judge whether each expected object has a snapshot: young enough, not empty, restored by a drill on the move's
    target.

    `repository_ok` is the outcome of `restic check` that prepare recorded, None when it was never run.
    """
    wanted = tuple(expected)
    newest: dict[str, BackupObject] = {}
    for item in taken:
        if item.name not in newest or item.taken_at > newest[item.name].taken_at:
            newest[item.name] = item
    again = say(
        "Take it: {command}", command=typed_command("prepare", environment=environment, service=service, apply=True)
    )
    if not wanted:
        return unknown(
            say(
                "{service}: nothing to look for in the backup. Expected: at least 1 object. {again}",
                service=service,
                again=again,
            )
        )
    problems = [text for name in wanted if (text := _problem(name, newest.get(name), now, oldest_hours))]
    if repository_ok is not True:
        problems.append(
            say("restic check was never run")
            if repository_ok is None
            else say("restic check found the repository damaged")
        )
    if not problems:
        problems = drill_problems(drill, {name: newest[name].snapshot for name in wanted}, target)
    if problems or drill is None:
        return failed(
            say(
                "{service}: {problems_count} problems with the backup of {wanted_count} objects: {problem}. Expected: "
                "a non-empty snapshot of each, at most {oldest_hours:g} h old, in a sound repository, restored by a "
                "drill. {again}",
                service=service,
                problems_count=len(problems),
                wanted_count=len(wanted),
                problem=problems[0],
                oldest_hours=oldest_hours,
                again=again,
            ),
            tuple(problems),
        )
    oldest = max((now - newest[name].taken_at).total_seconds() / 3600 for name in wanted)
    total = sum(newest[name].size_bytes for name in wanted)
    return passed(
        say(
            "{service}: all {count} objects backed up ({total:,} bytes, oldest {oldest:.1f} h, restic check passed); "
            "{drill}",
            service=service,
            count=len(wanted),
            total=total,
            oldest=oldest,
            drill=drill_text(drill),
        ),
        tuple(
            say(
                "{name}: snapshot {snapshot}, {size_bytes:,} bytes",
                name=name,
                snapshot=newest[name].snapshot[:8],
                size_bytes=newest[name].size_bytes,
            )
            for name in wanted
        ),
        backup_bytes=total,
        oldest_hours=round(oldest, 2),
    )


def _problem(name: str, item: BackupObject | None, now: datetime, oldest_hours: float) -> str | None:
    if item is None:
        return say("{name}: no snapshot", name=name)
    age_hours = (now - item.taken_at).total_seconds() / 3600
    if age_hours > oldest_hours:
        return say("{name}: {age_hours:.1f} h old", name=name, age_hours=age_hours)
    if item.lacks_content:
        return say("{name}: snapshot {snapshot} is empty", name=name, snapshot=item.snapshot[:8])
    return None
