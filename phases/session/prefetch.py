"""Questions about services that take longest, asked side by side from the first row of preflight on and reported in
their own rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from engine.verdict import Judgement
from phases.assess import health, readiness
from phases.context.service_move import ServiceMove

MOST_AT_ONCE: Final = 4
"""Services asked side by side: a source that works for others is not to feel it."""


class Prefetch:
    """Whether each service serves on its old host, and where its state lies."""

    def __init__(
        self, move_of: Callable[[str], ServiceMove], together_with: Callable[[str], Iterable[str]] = lambda _service: ()
    ) -> None:
        """Ask nothing yet; `move_of` returns a service's move, `together_with` the services that are asked too when one
        is asked for.
        """
        self._move_of, self._together_with = move_of, together_with
        self._pool = ThreadPoolExecutor(max_workers=MOST_AT_ONCE, thread_name_prefix="asks a service")
        self._serves: dict[str, Future[Judgement]] = {}
        self._state: dict[str, Future[tuple[Judgement, ...]]] = {}

    def ask(self, services: Iterable[str]) -> None:
        """Begin to ask about these services, in this order."""
        for service in services:
            if service not in self._serves:
                self._serves[service] = self._pool.submit(health.judge_serves_now, self._move_of(service))
                self._state[service] = self._pool.submit(readiness.judge_state, self._move_of(service))

    def serves(self, service: str) -> Judgement:
        """Return whether a service serves, once the answer is there; raises what its looking raised."""
        self._need(service)
        return self._serves[service].result()

    def state(self, service: str) -> tuple[Judgement, ...]:
        """Return where a service's state lies, one answer per rule; raises what its looking raised."""
        self._need(service)
        return self._state[service].result()

    def _need(self, service: str) -> None:
        if service not in self._serves:
            self.ask([service, *self._together_with(service)])

    def end(self) -> None:
        """Ask nothing more; who is asked just now answers first."""
        self._pool.shutdown(cancel_futures=True)
