"""Waiting for an answer: until it is good, never past its deadline, with the last answer in the text."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.cancellation import Cancellation, CancelledError, cancellable
from engine.polling import Polling, quick_polling
from engine.verdict import Judgement, Verdict, failed, passed, unknown


class Clock:
    """A clock that sleeping moves; each question takes `question_s` of its time."""

    def __init__(self, question_s: float = 0.0) -> None:
        """Start at zero."""
        self.now_s = 0.0
        self.question_s = question_s
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Return the time."""
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Pass the time."""
        self.slept.append(seconds)
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Put the clock under everything that polls."""
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock.monotonic)
    monkeypatch.setattr("time.sleep", clock.sleep)
    return clock


def wait_until_passed(question: Callable[[], Judgement], deadline_s: float) -> Judgement:
    """Wait as for a service that is to be ready."""
    return quick_polling("redis on wf001", deadline_s).judge_in_time(question)


def answers(clock: Clock, *given: Judgement) -> Callable[[], Judgement]:
    """Return a question with these answers, the last one for ever."""
    left = list(given)

    def question() -> Judgement:
        clock.now_s += clock.question_s
        return left.pop(0) if len(left) > 1 else left[0]

    return question


def test_the_first_good_answer_ends_the_wait(clock: Clock) -> None:
    """A good answer is returned as it is, at once when it is the first."""
    assert wait_until_passed(answers(clock, passed("ready")), 120) == passed("ready")
    assert clock.slept == []

    assert wait_until_passed(answers(clock, unknown("refused"), failed("loading"), passed("ready")), 120) == passed(
        "ready"
    )
    assert len(clock.slept) == 2


def test_sleeps_grow_up_to_a_second(clock: Clock) -> None:
    """Quick at first, for outages count; then patient."""
    wait_until_passed(answers(clock, failed("no")), 30)

    assert clock.slept[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(clock.slept) == 1.0
    assert clock.slept[:-1] == sorted(clock.slept[:-1])


@pytest.mark.parametrize(
    ("last", "verdict"),
    [
        (failed("still loads", ("line",), keys=3), Verdict.FAILED),
        (unknown("refused", ("line",), keys=3), Verdict.UNKNOWN),
    ],
)
def test_the_deadline_shows_the_last_answer(clock: Clock, last: Judgement, verdict: Verdict) -> None:
    """How long, how often, what was seen last; not seen stays UNKNOWN; details and figures stay."""
    judged = wait_until_passed(answers(clock, last), 10)

    assert judged.verdict is verdict
    assert judged.text == f"not within 10 s, after {len(clock.slept) + 1} attempts (last: {last.text})"
    assert (judged.details, judged.measured) == (("line",), {"keys": 3})


def test_the_wait_ends_near_its_deadline(clock: Clock) -> None:
    """One question over it at most: the last pause ends at the deadline."""
    clock.question_s = 1.0
    wait_until_passed(answers(clock, failed("no")), 20)

    assert 20 <= clock.now_s <= 20 + 1


def test_an_error_that_is_not_an_answer_is_not_repeated(clock: Clock) -> None:
    """A programming error shows at once instead of after two minutes."""

    def question() -> Judgement:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        wait_until_passed(question, 120)
    assert clock.slept == []


def test_it_says_what_it_waits_for_and_for_how_long_at_most() -> None:
    """Before the first question: whoever watches the run sees why it stands still."""
    waits: list[tuple[str, float]] = []
    polling = Polling("redis on wf001", 30.0, tell=lambda what, seconds: waits.append((what, seconds)))

    def question() -> Judgement:
        assert waits == [("redis on wf001", 30.0)]
        return passed("ready")

    assert polling.judge(question).passed


def test_a_clock_and_pauses_of_ones_own() -> None:
    """No test and no model of a host needs real time; any answer can be waited for, not only judgements."""
    clock, seen = Clock(), iter(["", "", "there"])
    polling = Polling("a file", 60.0, first_s=1.0, factor=3.0, clock=clock.monotonic, pause=clock.sleep)

    polled = polling.until(lambda: next(seen), bool)

    assert (polled.answer, polled.good, polled.attempts, polled.seconds) == ("there", True, 3, 4.0)
    assert clock.slept == [1.0, 3.0]


def test_without_time_it_is_asked_once(clock: Clock) -> None:
    """0 seconds: one question, no pause."""
    polled = Polling("nothing", 0.0).until(lambda: "no", lambda _: False)

    assert (polled.good, polled.attempts, clock.slept) == (False, 1, [])


def test_an_act_is_repeated_while_its_error_allows(clock: Clock) -> None:
    """Another error is raised at once, the last one at the deadline."""
    errors: list[Exception] = [OSError("away"), OSError("away")]

    def act() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    def may_repeat(error: BaseException) -> bool:
        return isinstance(error, OSError)

    assert Polling("the server", 10.0).repeat(act, may_repeat) == "done"
    assert len(clock.slept) == 2
    errors[:] = [OSError("away"), KeyError("a bug")]
    with pytest.raises(KeyError):
        Polling("the server", 10.0).repeat(act, may_repeat)
    errors[:] = [OSError(str(number)) for number in range(100)]
    with pytest.raises(OSError, match=r"^\d+$"):
        Polling("the server", 10.0).repeat(act, may_repeat)


def test_cancelled_work_asks_nothing_more(clock: Clock) -> None:
    """Its next question is not asked, and no pause begins."""
    cancellation, asked = Cancellation(), []

    def question() -> Judgement:
        asked.append(1)
        cancellation.cancel()
        return failed("not yet")

    with cancellable(cancellation), pytest.raises(CancelledError):
        quick_polling("redis on wf001", 120.0).judge(question)
    assert (asked, clock.slept) == ([1], [])
