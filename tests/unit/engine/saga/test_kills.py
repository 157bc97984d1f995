"""Kill -9 at every record boundary and in the middle of every action, then the documented command, with and without
lost answers.

A small world stands for the hosts: one source, one target, a relay, and clients that write to whoever the relay leads
to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from engine.contracts.action import Note
from engine.contracts.move_state import MoveState
from engine.errors import ManualInterventionError, NotObservedError
from engine.journal.journal import Journal, Run
from engine.redaction.redactor import Redactor
from engine.saga.outcomes import NotRun
from engine.saga.patience import Patience
from engine.saga.saga import RunningMove
from engine.verdict import Effect, Judgement, failed, passed
from phases.context.attempt import must_be_undone, read_past, settled_states

KEYS: Final = ("stop-source", "copy-volumes", "start-target", "commit", "remove-copy-helpers")
ONCE: Final = Patience(seconds=0.0)


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


@dataclass
class Hosts:
    """Two hosts and a relay; `kill_at` is the step at which the operator's process dies, `silent` are questions without
    an answer.
    """

    source_runs: bool = True
    target_runs: bool = False
    copied: bool = False
    relay: bool = False
    helpers: bool = False
    kill_at: int = -1
    silent: int = 0
    steps: int = 0
    dead: bool = False
    written: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def step(self) -> None:
        """Take one step of the operator's process; it may be its last."""
        if self.dead or self.steps == self.kill_at:
            self.dead = True
            raise Killed
        self.steps += 1

    def change(self, name: str, value: bool) -> None:
        """Change a host, killed before or after it."""
        self.step()
        setattr(self, name, value)
        assert not (self.source_runs and self.target_runs), "two writers"
        if self.relay and self.target_runs:
            self.written.append("acknowledged")
        if name == "copied" and not value:
            self.lost += self.written
        self.step()

    def see(self, name: str) -> bool:
        """Look at a host."""
        self.step()
        if self.silent > 0:
            self.silent -= 1
            raise NotObservedError("wf001: no answer")
        return bool(getattr(self, name))


@dataclass(frozen=True)
class Step:
    """An action of the small world: it makes `name` be `value`."""

    key: str
    hosts: Hosts
    name: str
    value: bool
    commits: bool = False
    effect: Effect = Effect.CHANGES_STATE

    def describe(self) -> str:
        """Return words."""
        return self.key

    def estimate_s(self) -> float:
        """Return nothing."""
        return 0.0

    def do(self, note: Note) -> None:
        """Change it; start nothing while a source runs."""
        note["begun"] = True
        self.hosts.change(self.name, self.value)

    def verify(self, note: Note) -> Judgement:
        """Look."""
        assert note is not None
        return passed("seen") if self.hosts.see(self.name) is self.value else failed(f"{self.name} is not {self.value}")

    def undo(self, note: Note) -> None:
        """Look, then put it back; clients that were there already are for a person."""
        assert note is not None
        if self.commits and self.hosts.see("relay"):
            raise ManualInterventionError("clients may have written")
        if self.name == "source_runs" and self.hosts.see("target_runs"):
            raise ManualInterventionError("the target runs")
        self.hosts.change(self.name, not self.value)


def _recipe(hosts: Hosts) -> tuple[Step, ...]:
    return (
        Step("stop-source", hosts, "source_runs", False),
        Step("copy-volumes", hosts, "copied", True),
        Step("start-target", hosts, "target_runs", True),
        Step("commit", hosts, "relay", True, commits=True),
        Step("remove-copy-helpers", hosts, "helpers", False),
    )


@dataclass
class Mortal:
    """A run's journal whose process may die before or after each record."""

    run: Run
    hosts: Hosts

    def record(self, kind: str, **given: Any) -> Any:
        """Record it, killed before or after."""
        self.hosts.step()
        record = self.run.record(kind, **given)
        self.hosts.step()
        return record


@dataclass
class Night:
    """The hosts, the journal, and the commands that are given one after the other."""

    journal: Journal
    hosts: Hosts = field(default_factory=Hosts)

    def command(self, word: str, *, kill_at: int = -1, silent: int = 0) -> str:
        """Give a command as a new process, and return how it ended."""
        self.hosts.kill_at, self.hosts.steps, self.hosts.dead, self.hosts.silent = kill_at, 0, False, silent
        past = read_past(self.journal, "redis")
        mortal = Mortal(self.journal.start_run(command=word, environment="production"), self.hosts)
        move = RunningMove(
            "redis", _recipe(self.hosts), mortal, apply=True, past=past, patience=ONCE, prove_source=self._serves
        )
        move.prove_done = lambda: passed("runs")
        try:
            if word == "rollback":
                assert must_be_undone(past)
                return move.undo_attempt("it was asked for")
            return "; ".join(move.perform(key).text for key in KEYS)
        except Killed:
            return "killed"
        except NotRun as stopped:
            return str(stopped)

    def _serves(self) -> Judgement:
        return passed("serves") if self.hosts.see("source_runs") else failed("does not serve")

    @property
    def state(self) -> MoveState:
        """Return where the move stands."""
        return MoveState(self.journal.move_state("redis"))


def _night(path: Path) -> Night:
    return Night(Journal.open(path / "production.sqlite", redactor=Redactor()))


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Callable[[], Night]]:
    """Return a maker of nights, each with a journal of its own."""
    made: list[int] = []

    def make() -> Night:
        made.append(1)
        return _night(tmp_path / str(len(made)))

    return make


def _moments(nights: Callable[[], Night]) -> int:
    """Return how many steps an undisturbed move has: each of them is a moment at which it can be killed."""
    night = nights()
    night.command("migrate")
    assert night.state is MoveState.DONE
    return night.hosts.steps


@pytest.mark.parametrize("silent", [0, 1, 3])
def test_killed_at_every_boundary_and_resumed(nights: Callable[[], Night], silent: int) -> None:
    """The same command ends the move at last, whatever answers were lost in between; nothing that clients wrote is
    lost, nothing undone.
    """
    for moment in range(_moments(nights)):
        night = nights()
        assert night.command("migrate", kill_at=moment) == "killed"
        output = night.command("migrate", silent=silent)
        assert "Undone (" not in output or (night.state is MoveState.UNDONE and not night.hosts.written), (
            moment,
            output,
        )
        if silent and night.state is MoveState.IN_PROGRESS:
            assert "To resume: nox -s migrate -- --service redis --apply" in output or "not run" in output, (
                moment,
                output,
            )
        night.command("migrate")

        assert (night.state, night.hosts.target_runs, night.hosts.source_runs) == (MoveState.DONE, True, False), moment
        assert night.hosts.lost == [], moment


def test_killed_at_every_boundary_and_taken_back(nights: Callable[[], Night]) -> None:
    """A rollback undoes what was begun before the commit; once the commit was begun it is no undo, so nothing is
    deleted by one.
    """
    taken_back = 0
    for moment in range(_moments(nights)):
        night = nights()
        night.command("migrate", kill_at=moment)
        past = read_past(night.journal, "redis")
        if past.may_have_committed:
            assert not must_be_undone(past)
            assert settled_states(night.journal)["redis"] in {MoveState.COMMITTED, MoveState.DONE}, moment
            continue
        if not must_be_undone(past):
            continue  # not begun
        taken_back += 1
        night.command("rollback")
        assert (night.state, night.hosts.source_runs, night.hosts.target_runs) == (MoveState.UNDONE, True, False), (
            moment
        )
    assert taken_back


def test_a_lost_answer_on_a_resume_undoes_nothing(nights: Callable[[], Night]) -> None:
    """Killed in the commit, resumed while one engine does not answer: nothing is undone, and the text has both
    commands.
    """
    for moment in range(_moments(nights)):
        night = nights()
        night.command("migrate", kill_at=moment)
        before = (night.hosts.source_runs, night.hosts.copied, night.hosts.target_runs, night.hosts.relay)
        output = night.command("migrate", silent=1)
        if "Nothing was undone" in output:
            assert (night.hosts.source_runs, night.hosts.copied, night.hosts.target_runs, night.hosts.relay) == before
            assert night.state is MoveState.IN_PROGRESS
