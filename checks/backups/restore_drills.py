"""Was the backup on record restored on the target, and did it hold what the service held; judged from what prepare
left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.finding import say


@dataclass(frozen=True)
class Drill:
    """One restore drill: its host, its snapshots (by the object's name), and how it ended.

    `problem` says what was wrong, "" when nothing was. `not_drilled` says why nothing was started; each snapshot was
    read to its end then too.
    """

    target: str
    snapshots: Mapping[str, str]
    problem: str = ""
    not_drilled: str = ""
    seconds: float = 0.0
    summary: str = ""
    steps: Mapping[str, str] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return it as JSON-able values for a note."""
        return {
            "target": self.target,
            "snapshots": dict(self.snapshots),
            "problem": self.problem,
            "not_drilled": self.not_drilled,
            "seconds": self.seconds,
            "summary": self.summary,
            "steps": dict(self.steps),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Drill:
        """Read it back from a note."""
        return cls(
            str(record["target"]),
            {str(name): str(snapshot) for name, snapshot in record["snapshots"].items()},
            str(record["problem"]),
            str(record["not_drilled"]),
            float(record["seconds"]),
            str(record["summary"]),
            {str(name): str(text) for name, text in record["steps"].items()},
        )


def drill_problems(drill: Drill | None, wanted: Mapping[str, str], target: str) -> list[str]:
    """Return why a drill does not prove the wanted snapshots (by the object's name) on the target; empty
    when it does.
    """
    if drill is None:
        return [say("it was never restored")]
    if drill.problem:
        return [say("the restore drill failed: {problem}", problem=drill.problem)]
    if drill.target != target:
        return [say("it was restored on {drill_target}, not on {target}", drill_target=drill.target, target=target)]
    return [
        say(
            "{name}: snapshot {snapshot} was never restored (the drill was of {snapshots})",
            name=name,
            snapshot=snapshot[:8],
            snapshots=drill.snapshots.get(name, "nothing")[:8],
        )
        for name, snapshot in wanted.items()
        if drill.snapshots.get(name) != snapshot
    ]


def drill_text(drill: Drill) -> str:
    """Return how the drill ended, in words."""
    if drill.not_drilled:
        return say(
            "NOT DRILLED: {not_drilled}; each snapshot was read to its end in {seconds:.0f} s",
            not_drilled=drill.not_drilled,
            seconds=drill.seconds,
        )
    return say(
        "restored on {target} in {seconds:.0f} s, {summary}",
        target=drill.target,
        seconds=drill.seconds,
        summary=drill.summary,
    )
