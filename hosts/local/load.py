"""Send requests at a fixed rate, whatever the server does: an open model.

Every request has its moment before the first is sent, and its latency counts from that moment: a server that stops for
five seconds delays all requests that should have been sent meanwhile, and all of them count as slow. A sender that
waits for each answer before the next request would show one slow request (coordinated omission).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol

import requests

from engine.cancellation import check_cancelled

MOST_SENDERS: Final = 128
"""As many requests are under way at once; those that find no sender are sent late, and count from their own moment."""
TIMEOUT_S: Final = 10.0
LONGEST_BODY: Final = 1 << 20
ERRORS_STOP_PERCENT: Final = 20.0
SLOWER_STOP: Final = 10.0
"""Times the idle latency at which the test stops itself."""
FLOOR_S: Final = 0.25
"""A 95th percentile below this stops no test, however fast the idle service is."""
JUDGED_FROM: Final = 20
"""Requests after which the test may stop itself."""
SLEEP_S: Final = 0.2
"""So often a sender that waits looks whether the test was stopped."""


@dataclass(frozen=True)
class LoadRequest:
    """One request of a profile; `expect` is the status that counts as an answer."""

    method: str
    path: str
    body: str = ""
    expect: int = 200


@dataclass(frozen=True)
class Sent:
    """One request: when it should have been sent, when it was, and when its answer was read, in seconds from the start;
    `wrong` says what was wrong with the answer, "" for nothing.
    """

    due_s: float
    sent_s: float
    done_s: float
    wrong: str = ""

    @property
    def latency_s(self) -> float:
        """Return the time from its moment to its answer."""
        return self.done_s - self.due_s


@dataclass(frozen=True)
class LoadResult:
    """All requests of a test in the order of their moments, and why it stopped itself ("": it did not)."""

    sent: tuple[Sent, ...]
    seconds: float
    stopped: str = ""

    @property
    def errors(self) -> int:
        """Return how many requests had no answer or a wrong one."""
        return sum(1 for one in self.sent if one.wrong)

    @property
    def rate(self) -> float:
        """Return the requests a second that were really sent."""
        return len(self.sent) / self.seconds if self.seconds else 0.0

    @property
    def late(self) -> int:
        """Return how many requests were sent later than a tenth of a second after their moment."""
        return sum(1 for one in self.sent if one.sent_s - one.due_s > 0.1)  # noqa: PLR2004 a person notices no less

    def percentile_s(self, percent: float) -> float:
        """Return the latency that so many percent of the requests do not exceed (nearest rank)."""
        return nearest_rank([one.latency_s for one in self.sent], percent)


def nearest_rank(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent do not exceed, NaN of none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


class Time(Protocol):
    """Where seconds come from."""

    def __call__(self) -> float:
        """Return seconds of a clock that never goes back."""


@dataclass
class LoadSender:
    """Sends the requests of a profile in turn to one address; nothing of the operator's surroundings takes part."""

    url: Callable[[str], str]
    profile: Sequence[LoadRequest]
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    clock: Time = time.monotonic
    _sent: list[Sent] = field(default_factory=list, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False, repr=False)
    _why: str = field(default="", init=False)
    _local: threading.local = field(default_factory=threading.local, init=False, repr=False)

    def idle_s(self, times: int = 9) -> float:
        """Return the median latency of a few requests, one after the other; NaN when one of them was wrong."""
        began = self.clock()
        found = [self._one(self.profile[number % len(self.profile)], self.clock() - began, began) for number in
                 range(times)]  # fmt: skip
        return math.nan if any(one.wrong for one in found) else nearest_rank([one.latency_s for one in found], 50)

    def send(self, rate: float, seconds: float, idle_s: float) -> LoadResult:
        """Send `rate` requests a second for some seconds, and return what became of each.

        The test stops itself when more than a fifth of the requests fail, or when the 95th percentile is over ten times
        `idle_s`.
        """
        count, began = max(1, round(rate * seconds)), self.clock()
        senders = min(count, MOST_SENDERS, max(4, math.ceil(rate * TIMEOUT_S)))
        numbers = iter(range(count))
        with ThreadPoolExecutor(max_workers=senders) as pool:
            futures = [pool.submit(self._work, numbers, rate, began, idle_s) for _ in range(senders)]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                self._stop.set()
                raise
        sent = tuple(sorted(self._sent, key=lambda one: one.due_s))
        return LoadResult(sent, self.clock() - began, self._why)

    def _work(self, numbers: Iterator[int], rate: float, began: float, idle_s: float) -> None:
        while not self._stop.is_set():
            with self._lock:
                number = next(numbers, None)
            if number is None:
                return
            due_s = number / rate
            if not self._wait(began + due_s):
                return
            one = self._one(self.profile[number % len(self.profile)], due_s, began)
            with self._lock:
                self._sent.append(one)
                self._judge(idle_s)

    def _wait(self, until: float) -> bool:
        """Wait for a moment; False when the test was stopped meanwhile."""
        while (left := until - self.clock()) > 0:
            check_cancelled()
            if self._stop.wait(min(left, SLEEP_S)):
                return False
        return not self._stop.is_set()

    def _judge(self, idle_s: float) -> None:
        if self._why or len(self._sent) < JUDGED_FROM:
            return
        wrong = 100 * sum(1 for one in self._sent if one.wrong) / len(self._sent)
        slow = nearest_rank([one.latency_s for one in self._sent[-200:]], 95)
        if wrong > ERRORS_STOP_PERCENT:
            self._why = f"{wrong:.0f} % of {len(self._sent)} requests failed"
        elif idle_s > 0 and slow > SLOWER_STOP * idle_s and slow > FLOOR_S:
            self._why = f"95 % within {slow * 1000:.0f} ms, idle: {idle_s * 1000:.0f} ms"
        if self._why:
            self._stop.set()

    def _one(self, what: LoadRequest, due_s: float, began: float) -> Sent:
        sent_s, wrong = self.clock() - began, ""
        try:
            with self._session().request(
                what.method,
                self.url(what.path),
                data=what.body.encode() if what.body else None,
                headers=self.headers,
                timeout=TIMEOUT_S,
                allow_redirects=False,
                stream=True,
            ) as answer:
                answer.raw.read(LONGEST_BODY, decode_content=False)
                if answer.status_code != what.expect:
                    wrong = f"status {answer.status_code}, expected {what.expect}"
        except requests.RequestException as error:
            wrong = type(error).__name__
        except OSError as error:
            wrong = type(error).__name__
        return Sent(due_s, sent_s, self.clock() - began, wrong)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False
        return session
