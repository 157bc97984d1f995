"""What the journal says that longshore did."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from checks.monitor.own_actions import disturbances_of_records, known_at, moves_of, ours_of
from engine.journal.kinds import RecordKind
from engine.journal.record import Record
from engine.watch.causes import Cause
from engine.watch.model import Interval
from tests.fakes.soaks import at_hour


class Written:
    """Records in the order in which they are written."""

    def __init__(self) -> None:
        """Begin with none."""
        self.records: list[Record] = []

    def add(
        self, hours: float, kind: RecordKind, service: str | None, key: str = "", run: str = "r1", **body: Any
    ) -> None:
        """Write one so many hours after the start."""
        at = datetime.fromtimestamp(at_hour(hours) / 1000, UTC).isoformat(timespec="milliseconds")
        number = len(self.records) + 1
        self.records.append(Record(number, run, number, at, kind, service, key or None, body, "", ""))

    def states(self, service: str, *states: tuple[float, str]) -> None:
        """Write states of a move."""
        for hours, state in states:
            self.add(hours, RecordKind.MOVE_STATE, service, state=state)


def test_moves_are_done_by_their_newest_state_and_dated_by_their_commit() -> None:
    """A rollback takes a move back; what was never begun is planned."""
    journal = Written()
    journal.states("redis", (0, "in_progress"), (1, "committed"), (2, "done"))
    journal.states("n8n", (0, "in_progress"), (1, "committed"), (2, "done"), (30, "rolling_back"), (31, "rolled_back"))

    moves = {move.service: move for move in moves_of(journal.records, ["redis", "n8n", "caddy"])}
    earlier = moves_of(known_at(reversed(journal.records), at_hour(20)), ["n8n"])

    assert (moves["redis"].is_done, moves["redis"].committed_ms) == (True, at_hour(1))
    assert (moves["n8n"].is_done, moves["n8n"].words) == (False, "rolled back")
    assert (moves["caddy"].is_done, moves["caddy"].words) == (False, "planned")
    assert earlier[0].is_done


def test_moves_rollbacks_and_repointing_disturb() -> None:
    """A move until its commit or undo, a rollback until its end, repointing until its run ended."""
    journal = Written()
    journal.states(
        "redis", (0, "in_progress"), (1, "committed"), (2, "done"), (10, "rolling_back"), (11, "rolled_back")
    )
    journal.states("n8n", (3, "in_progress"), (4, "undone"), (20, "in_progress"))
    journal.add(30, RecordKind.REPOINT_STARTED, "postgres", run="r2")
    journal.add(31, RecordKind.REPOINTED, "postgres", run="r2")
    journal.add(32, RecordKind.RUN_ENDED, None, run="r2")
    journal.add(40, RecordKind.REPOINT_STARTED, "caddy", run="r3")

    found = {(one.cause, one.where, one.from_ms): one.to_ms for one in disturbances_of_records(journal.records)}

    assert found == {
        (Cause.MOVE, "redis", at_hour(0)): at_hour(1),
        (Cause.ROLLBACK, "redis", at_hour(10)): at_hour(11),
        (Cause.MOVE, "n8n", at_hour(3)): at_hour(4),
        (Cause.MOVE, "n8n", at_hour(20)): None,
        (Cause.REPOINT, "postgres", at_hour(30)): at_hour(32),
        (Cause.REPOINT, "caddy", at_hour(40)): None,
    }


def test_actions_on_record_explain_what_happens_to_their_service() -> None:
    """From intent to outcome, undo included; repointing explains all; without an outcome it lasts."""
    journal = Written()
    journal.add(1, RecordKind.INTENT, "redis", "stop")
    journal.add(2, RecordKind.OUTCOME, "redis", "stop", ok=True)
    journal.add(5, RecordKind.UNDO_INTENT, "redis", "stop")
    journal.add(6, RecordKind.UNDO_OUTCOME, "redis", "stop", ok=True)
    journal.add(8, RecordKind.INTENT, "redis", "start")
    journal.add(9, RecordKind.OUTCOME, "redis", "another")
    containers = {"redis": [("wf001", "redis"), ("wf005", "redis")], "n8n": [("wf002", "n8n")]}
    ours = ours_of(journal.records, containers, at_hour(10))

    assert ours.containers == {("wf001", "redis"), ("wf005", "redis"), ("wf002", "n8n")}
    assert ours.actions["wf005", "redis"] == (
        Interval(at_hour(1), at_hour(2) + 1),
        Interval(at_hour(5), at_hour(6) + 1),
        Interval(at_hour(8), at_hour(10) + 1),
    )
    assert [ours.did("wf001", "redis", at_hour(hours)) for hours in (0.5, 1.5, 3, 5.5, 9.5)] == [
        False, True, False, True, True
    ]  # fmt: skip
    assert not ours.did("wf002", "n8n", at_hour(1.5))

    journal.add(20, RecordKind.REPOINTED, "redis", run="r2")
    journal.add(21, RecordKind.RUN_ENDED, None, run="r2")
    assert ours_of(journal.records, containers, at_hour(22)).did("wf002", "n8n", at_hour(20.5))
