"""A fault in the middle of a move: it is undone with the source verified, or the report gives the commands that are
left; the service never runs on both sides, nor on neither without a report.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.lab import at_hand, killing
from tests.lab.at_hand import SOURCE, TARGETS
from tests.lab.killing import Seen

SERVICE: Final = "postgres"
TARGET: Final = TARGETS[SERVICE]
FLAGS: Final = ("--service", SERVICE)
ACTIONS: Final = ("save-source-spec", "disable-restart", "stop-source", "copy-volumes", "create-target", "start-target")
AFTER_COMMIT: Final = "nothing is undone after commit"
HALF_WAY: Final = "Nothing was undone"
"""Nobody could see how it stands: the move waits for one of two commands."""
LEFT: Final = re.compile(rf"The undo could not finish|{HALF_WAY}|{AFTER_COMMIT}")
DEADLINE_S: Final = 900.0

pytestmark = [pytest.mark.lab, pytest.mark.full]


def _break(name: str) -> Callable[[], None]:
    return lambda: at_hand.lab("break", name)


def _kill_container() -> None:
    """End the target's container as soon as it runs, again and again: it exits at its start."""
    script = "for i in $(seq 300); do docker kill postgres >/dev/null 2>&1 && exit 0; sleep 0.1; done"
    at_hand.on_host(TARGET, "sh", "-c", script, timeout_s=60.0)


FAULTS: Final[dict[str, Callable[[], None]]] = {
    "docker-stopped": _break("docker-stopped"),
    "docker-down": _break("docker-down"),
    "partition": _break("partition"),
    "disk-full": _break("disk-full"),
    "source-rebooted": _break("source-rebooted"),
    "container-exits": _kill_container,
}
NEEDS_THE_MOVE: Final = {"container-exits"}
"""It happens once the move has made the container; the move is held at its action until the others have happened."""

EACH_KIND_ONCE: Final = (
    ("docker-stopped", "copy-volumes"),
    ("partition", "copy-volumes"),
    ("source-rebooted", "copy-volumes"),
    ("container-exits", "start-target"),
)
EVERY: Final = tuple(
    (name, key) for name in FAULTS if name != "container-exits" for key in ACTIONS if (name, key) not in EACH_KIND_ONCE
)


@dataclass(frozen=True)
class Ending:
    """How a move with a fault in it ended."""

    code: int
    output: str
    acknowledged: dict[str, Any]


def _move_with(name: str, key: str) -> Ending:
    """Move, make the fault when the action `key` begins, and wait for the end; the fault is healed after it."""
    at_hand.preflight_and_approve(*FLAGS)
    acknowledged = at_hand.orders("/state")

    def begins(seen: Seen) -> bool:
        return (seen.kind, seen.key) == ("intent", key)

    words = ("migrate", "--lab", "--apply", *FLAGS)
    try:
        ended = killing.run_through(
            begins, FAULTS[name], *words, frozen=name not in NEEDS_THE_MOVE, deadline_s=DEADLINE_S
        )
    finally:
        at_hand.heal()
    assert ended.killed_at, f"{key} never began: {ended.output[-3000:]}"
    return Ending(ended.code, ended.output, acknowledged)


def _ends_well(name: str, key: str) -> None:
    ending = _move_with(name, key)
    if ending.code == 0:
        _went_through(name, ending)
        return
    assert ending.code in {1, 2, 5}, ending.output[-4000:]
    undone, left = "Undone (" in ending.output, LEFT.search(ending.output)
    assert undone or left, ending.output[-4000:]
    assert killing.both_sides(SERVICE) != (True, True)
    if AFTER_COMMIT in ending.output:
        _check_after_commit(ending)
    elif not undone:
        assert ending.code == (2 if HALF_WAY in ending.output else 5), (
            "what is left to a person has an exit status of its own"
        )
        assert f"nox -s rollback -- {SERVICE} " in ending.output
        finished = at_hand.run_command("rollback", SERVICE, "--lab", "--apply", timeout_s=600.0)
        assert finished.code == 0, finished.output[-4000:]
    assert killing.both_sides(SERVICE) == (True, False)
    at_hand.assert_data_flows(60.0)
    if name != "source-rebooted":  # the application was rebooted too, and numbers anew
        assert killing.lost_writes(ending.acknowledged) == []
    assert killing.leftovers() == []
    if AFTER_COMMIT in ending.output:
        at_hand.prepared_lab()  # what was rolled back is moved again only when a person says so


def _check_after_commit(ending: Ending) -> None:
    """Assert that a move which a fault stopped after its commit serves on its target, ends with the command that the
    output gave, and can be rolled back.
    """
    assert killing.both_sides(SERVICE) == (False, True)
    assert f"Retry: nox -s migrate -- --service {SERVICE} --apply" in ending.output
    for words in (("migrate", "--apply", *FLAGS), ("rollback", SERVICE, "--apply")):
        ended = at_hand.run_command(*words, "--lab", timeout_s=600.0)
        assert ended.code == 0, ended.output[-4000:]


def _went_through(name: str, ending: Ending) -> None:
    """Assert that a move which its fault did not stop (a host that is back takes its next action) is a good one, and
    take
    the hosts back.
    """
    assert killing.both_sides(SERVICE) == (False, True)
    at_hand.assert_data_flows(60.0)
    if name != "source-rebooted":
        assert killing.lost_writes(ending.acknowledged) == []
    assert killing.leftovers() == []
    at_hand.prepared_lab()


@pytest.mark.parametrize(("name", "key"), EACH_KIND_ONCE)
def test_fault_of_each_kind(prepared_lab: None, name: str, key: str) -> None:
    """Each kind of fault once: the service ends where it was, nothing is lost and nothing is left."""
    _ends_well(name, key)


@pytest.mark.full
@pytest.mark.parametrize(("name", "key"), EVERY)
def test_fault_in_every_deed(prepared_lab: None, name: str, key: str) -> None:
    """Every fault in every action before the commit: the same."""
    _ends_well(name, key)


@pytest.mark.full
def test_move_works_after_all_that(prepared_lab: None) -> None:
    """After all these faults the same move passes: nothing of them is in its way."""
    at_hand.preflight_and_approve(*FLAGS)
    ran = at_hand.run_phase("migrate", "--apply", *FLAGS, timeout_s=DEADLINE_S)
    assert ran.code == 0, ran.output[-4000:]
    assert killing.both_sides(SERVICE) == (False, True)
    assert SOURCE != TARGET
