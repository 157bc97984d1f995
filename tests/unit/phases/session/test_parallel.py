"""Actions of several services side by side: each host carries one at a time, rows stay in order, an interruption
reaches
all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.cancellation import check_cancelled, ending_when_cancelled, pause
from engine.contracts.action import Note
from engine.errors import ActionError, NotObservedError
from engine.polling import Polling
from engine.saga.outcomes import NotRun
from engine.saga.saga import RunningMove
from engine.verdict import Effect, Judgement, failed, passed
from phases.session.moves import Moves
from phases.session.parallel import HostQueues

LONG_S = 600.0
PLACES = {"redis": ("wf005", "wf001"), "postgres": ("wf005", "wf002"), "n8n": ("wf005", "wf001")}


@dataclass
class Act:
    """An action that notes what happened to it."""

    key: str
    service: str
    events: list[str]
    does: Callable[[], None] = lambda: None
    effect: Effect = Effect.CHANGES_STATE
    commits: bool = False

    def describe(self) -> str:
        """Return what it is."""
        return f"{self.key} of {self.service}"

    def estimate_s(self) -> float | None:
        """Return nothing."""
        return None

    def do(self, note: Note) -> None:
        """Note the begin, do it, and note the end."""
        self.events.append(f"begin {self.describe()}")
        self.does()
        self.events.append(f"end {self.describe()}")

    def verify(self, note: Note) -> Judgement:
        """Pass."""
        return passed(self.describe())

    def undo(self, note: Note) -> None:
        """Note the undo."""
        self.events.append(f"undo {self.describe()}")


@dataclass
class Journal:
    """Takes records."""

    kinds: list[tuple[str, str | None, Any]] = field(default_factory=list)

    def record(self, kind: str, *, service: str | None = None, key: str | None = None, body: dict[str, Any]) -> None:
        """Take one."""
        self.kinds.append((kind, service, body))


class Started(dict[str, RunningMove]):
    """Moves that are there; what `missing` names can't be looked at."""

    apply = True
    missing = ""

    def __init__(self, events: list[str], does: dict[str, Callable[[], None]], journal: Journal) -> None:
        super().__init__()
        self.context = SimpleNamespace(scope=SimpleNamespace(moves=[SimpleNamespace(service=name) for name in PLACES]))
        self.journal = journal
        for service in PLACES:
            recipe = tuple(
                Act(key, service, events, does.get(f"{key} of {service}", lambda: None)) for key in ("backup", "drill")
            )
            self[service] = RunningMove(service, recipe, journal, apply=True, tracks_state=False)

    @property
    def started(self) -> dict[str, RunningMove]:
        """Return all of them."""
        return dict(self.items())

    def __getitem__(self, service: str) -> RunningMove:
        if service == self.missing:
            raise NotObservedError(f"wf005: no container {service}")
        return super().__getitem__(service)


def in_parallel(events: list[str], does: dict[str, Callable[[], None]] | None = None) -> tuple[HostQueues, Started]:
    """Return actions that run in parallel and note what they do, and their moves."""
    moves = Started(events, does or {}, Journal())
    return HostQueues(cast("Moves", moves), lambda service, key: PLACES[service][key == "drill"]), moves


def test_each_host_carries_one_deed_at_a_time_in_the_plans_order() -> None:
    """Two backups never read from the source at the same time, two drills never burden one target."""
    events: list[str] = []
    both, _ = in_parallel(events)
    texts = [both.perform(service, key).text for service in PLACES for key in ("backup", "drill")]
    both.end()
    assert texts == [f"{key} of {service}" for service in PLACES for key in ("backup", "drill")]
    backups = [line for line in events if "backup" in line]
    assert backups == [f"{word} backup of {service}" for service in PLACES for word in ("begin", "end")]
    on_wf001 = [line for line in events if line.endswith(("drill of redis", "drill of n8n"))]
    assert on_wf001 == [f"{word} drill of {service}" for service in ("redis", "n8n") for word in ("begin", "end")]


def test_a_drill_runs_while_the_next_backup_is_taken() -> None:
    """The target restores one while the source gives the next."""
    together = threading.Barrier(2, timeout=10)
    both, _ = in_parallel(
        [],
        {
            "drill of redis": lambda: cast("None", together.wait()),
            "backup of postgres": lambda: cast("None", together.wait()),
        },
    )
    assert both.perform("postgres", "backup").passed
    assert both.perform("redis", "drill").passed
    both.end()


def test_what_one_service_raises_is_its_own_result_and_stops_only_itself() -> None:
    """The others continue, as if they had been asked one after the other."""

    def breaks() -> None:
        raise ActionError("wf005: no room")

    events: list[str] = []
    both, _ = in_parallel(events, {"backup of redis": breaks})
    with pytest.raises(ActionError, match="no room"):
        both.perform("redis", "backup")
    with pytest.raises(NotRun, match="no room"):
        both.perform("redis", "drill")
    assert both.perform("n8n", "drill").passed
    both.end()
    assert "undo backup of redis" in events


def test_a_service_that_can_not_be_looked_at_says_so_itself() -> None:
    """It is left out of the turns, and its own row asks again."""
    both, moves = in_parallel([])
    moves.missing = "postgres"
    assert both.perform("n8n", "drill").passed
    with pytest.raises(NotObservedError, match="no container postgres"):
        both.perform("postgres", "backup")
    both.end()


def _polls() -> None:
    """Wait for what never comes, with pauses that a test could not bear."""
    Polling("a service that never is ready", LONG_S, first_s=LONG_S, longest_s=LONG_S).judge(lambda: failed("no"))


def _runs_a_command(was_ended: threading.Event) -> None:
    with ending_when_cancelled(was_ended.set):
        assert was_ended.wait(10)


@pytest.mark.parametrize("waits", ["poll", "pause", "command"])
def test_an_interruption_ends_what_runs_and_undoes_it(waits: str) -> None:
    """A poll, a pause and a command on a host end at once, the action is recorded and undone, no other begins."""
    begun, was_ended = threading.Event(), threading.Event()
    ways = {"poll": _polls, "pause": lambda: pause(LONG_S), "command": lambda: _runs_a_command(was_ended)}

    def takes_long() -> None:
        begun.set()
        ways[waits]()

    events: list[str] = []
    both, moves = in_parallel(events, {"backup of postgres": takes_long})
    assert both.perform("redis", "backup").passed
    assert begun.wait(10)
    began = time.monotonic()
    both.end()
    assert time.monotonic() - began < 5
    assert was_ended.is_set() == (waits == "command")
    assert "undo backup of postgres" in events
    assert not [line for line in events if "n8n" in line]
    ended = [body for kind, service, body in moves.journal.kinds if (kind, service) == ("outcome", "postgres")]
    assert [(body["ok"], body["text"]) for body in ended] == [(False, "the run was interrupted")]
    with pytest.raises(KeyboardInterrupt):
        both.perform("postgres", "backup")
    with pytest.raises(NotRun, match="interrupted"):
        both.perform("n8n", "backup")


def test_an_undo_under_way_is_not_interrupted() -> None:
    """What a failure began to put back is put back, whatever is cancelled meanwhile."""
    undoes, may_end = threading.Event(), threading.Event()

    def breaks() -> None:
        raise ActionError("wf005: no room")

    events: list[str] = []
    both, moves = in_parallel(events, {"backup of redis": breaks})

    def undo(note: Note) -> None:
        undoes.set()
        assert may_end.wait(10)
        check_cancelled()
        pause(0.001)
        events.append("undone to its end")

    moves["redis"].recipe[0].undo = undo  # type: ignore[method-assign]
    threading.Thread(target=lambda: (undoes.wait(10), may_end.set())).start()
    both._start()
    assert undoes.wait(10)
    both.end()
    assert "undone to its end" in events
    with pytest.raises(ActionError, match="no room"):
        both.perform("redis", "backup")


def test_work_that_waits_for_nothing_of_ours_is_left_alone_until_it_ends() -> None:
    """Nothing is thrown into foreign code: it ends by itself; then the work hears of the interruption."""
    inside, may_go, raised_inside = threading.Event(), threading.Event(), []

    def foreign() -> None:
        inside.set()
        try:
            may_go.wait(10)
        except BaseException as error:
            raised_inside.append(error)
            raise
        check_cancelled()

    events: list[str] = []
    both, _ = in_parallel(events, {"backup of redis": foreign})
    both._start()
    assert inside.wait(10)
    ending = threading.Thread(target=both.end)
    ending.start()
    both._cancellation.wait(10)
    may_go.set()
    ending.join(10)
    assert not ending.is_alive()
    assert raised_inside == []
    assert events == ["begin backup of redis", "undo backup of redis"]


def test_a_dry_run_begins_nothing_in_parallel() -> None:
    """What is asked for is described; nothing else is touched."""
    events: list[str] = []
    both, moves = in_parallel(events)
    moves.apply = False
    assert both.perform("redis", "backup").passed
    both.end()
    assert [line for line in events if "postgres" in line] == []
