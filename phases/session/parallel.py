"""Actions of several services side by side, reported one by one: what changes nothing in service need not wait for its
turn.

Each host carries one such action at a time: a source that serves others is not to feel more than one backup, a target
restores one of them while the next is taken. Rows of evidence stay in the plan's order.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread
from typing import Final

from engine.cancellation import Cancellation, cancellable
from engine.errors import NotObservedError
from engine.saga.saga import RunningMove
from engine.verdict import Judgement
from phases.session.moves import Moves

LOOK_UP_S: Final = 0.2
"""A waiting main thread looks up so often."""
STOPPED: Final = "the run was interrupted"


@dataclass(frozen=True)
class QueuedAction:
    """One action that waits for the host that carries it."""

    move: RunningMove
    position: int

    @property
    def key(self) -> str:
        """Return which action it is."""
        return self.move.recipe[self.position].key

    def next(self) -> QueuedAction | None:
        """Return the service's next action, None after its last."""
        return QueuedAction(self.move, self.position + 1) if self.position + 1 < len(self.move.recipe) else None


@dataclass
class HostQueues:
    """The actions of all moves of a run. `carrier_of(service, key)` names the host whose turn an action waits for.

    A service's own actions keep their order. An interruption cancels the work of all threads: their commands on hosts
    are ended, what they wait for is not waited for any more.
    """

    moves: Moves
    carrier_of: Callable[[str, str], str]
    _answers: dict[tuple[str, str], Future[Judgement]] = field(default_factory=dict, init=False)
    _carriers: dict[str, SimpleQueue[QueuedAction | None]] = field(default_factory=dict, init=False)
    _threads: list[Thread] = field(default_factory=list, init=False)
    _cancellation: Cancellation = field(default_factory=Cancellation, init=False)

    def perform(self, service: str, key: str) -> Judgement:
        """Return the judgement of an action once it is there; the first question starts all. Raises what the action
        raised,
        PlannedOnly in a dry run.
        """
        if not self.moves.apply:
            return self.moves[service].perform(key)
        if not self._threads:
            self._start()
        answer = self._answers.get((service, key))
        if answer is None:
            return self.moves[service].perform(key)
        while not answer.done():  # in short waits: a signal is seen between two
            wait((answer,), timeout=LOOK_UP_S)
        return answer.result()

    def end(self) -> None:
        """Leave nothing running: after the last answer there is nothing to do, before it what is running is interrupted
        and undone.
        """
        if not all(answer.done() for answer in self._answers.values()):
            self._interrupt()
        for turns in self._carriers.values():
            turns.put(None)
        for thread in self._threads:
            thread.join()

    def _start(self) -> None:
        """Give each service's first action its turn, in the plan's order; a service that can't be checked says so in
        its own row.
        """
        for move in self.moves.context.scope.moves:
            try:
                running = self.moves[move.service]
            except NotObservedError:
                continue
            for action in running.recipe:
                self._answers[move.service, action.key] = Future()
                self._carriers.setdefault(self.carrier_of(move.service, action.key), SimpleQueue())
            self._give(QueuedAction(running, 0))
        self._threads = [
            Thread(target=self._carry, args=(turns,), name=name, daemon=True) for name, turns in self._carriers.items()
        ]
        for thread in self._threads:
            thread.start()

    def _give(self, turn: QueuedAction) -> None:
        self._carriers[self.carrier_of(turn.move.service, turn.key)].put(turn)

    def _carry(self, turns: SimpleQueue[QueuedAction | None]) -> None:
        """Perform the actions that wait for one host, one after the other."""
        while (turn := turns.get()) is not None:
            answer = self._answers[turn.move.service, turn.key]
            try:
                with cancellable(self._cancellation):
                    answer.set_result(turn.move.perform(turn.key))
            except BaseException as error:  # noqa: BLE001 raised where the answer is asked for
                answer.set_exception(error)
            if following := turn.next():
                self._give(following)

    def _interrupt(self) -> None:
        """Have the work of each thread end as Ctrl-C ends that of the main one: its action ends, is recorded and
        undone;
        no other begins.
        """
        for running in self.moves.started.values():
            running.stopped_because = running.stopped_because or STOPPED
        self._cancellation.cancel()
