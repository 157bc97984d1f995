"""Waiting for an answer: until it is good, never past its deadline, with the last answer told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.polling import wait_until_passed
from engine.verdict import Effect, Judgement, Verdict, failed, passed, unknown
from phases.context.readonly_step import ReadOnlyStep
from tests.fakes.clock import FakeClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Put the clock under tenacity."""
    clock = FakeClock()
    monkeypatch.setattr("time.monotonic", clock.monotonic)
    monkeypatch.setattr("tenacity.nap.time.sleep", clock.sleep)
    return clock


def answers(clock: FakeClock, *given: Judgement) -> Callable[[], Judgement]:
    """Return a question with these answers, the last one for ever."""
    left = list(given)

    def question() -> Judgement:
        clock.now += clock.question_s
        return left.pop(0) if len(left) > 1 else left[0]

    return question


def test_the_first_good_answer_ends_the_wait(clock: FakeClock) -> None:
    """A good answer is returned as it is, at once when it is the first."""
    assert wait_until_passed(answers(clock, passed("ready")), 120) == passed("ready")
    assert clock.slept == []

    assert wait_until_passed(answers(clock, unknown("refused"), failed("loading"), passed("ready")), 120) == passed(
        "ready"
    )
    assert len(clock.slept) == 2


def test_sleeps_grow_up_to_a_second(clock: FakeClock) -> None:
    """Quick at first, for outages count; then patient."""
    wait_until_passed(answers(clock, failed("no")), 30)

    assert clock.slept[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(clock.slept) == 1.0
    assert clock.slept == sorted(clock.slept)


@pytest.mark.parametrize(
    ("last", "verdict"),
    [
        (failed("still loads", ("line",), keys=3), Verdict.FAILED),
        (unknown("refused", ("line",), keys=3), Verdict.UNKNOWN),
    ],
)
def test_the_deadline_tells_the_last_answer(clock: FakeClock, last: Judgement, verdict: Verdict) -> None:
    """How long, how often, what was seen last; not seen stays UNKNOWN; details and figures stay."""
    judged = wait_until_passed(answers(clock, last), 10)

    assert judged.verdict is verdict
    assert judged.text == f"not within 10 s, after {len(clock.slept) + 1} attempts (last: {last.text})"
    assert (judged.details, judged.measured) == (("line",), {"keys": 3})


def test_the_wait_ends_near_its_deadline(clock: FakeClock) -> None:
    """One sleep and one question over it at most."""
    clock.question_s = 1.0
    wait_until_passed(answers(clock, failed("no")), 20)

    assert 20 <= clock.now <= 20 + 3 + 1


def test_an_error_that_is_not_an_answer_is_not_repeated(clock: FakeClock) -> None:
    """A programming error shows at once instead of after two minutes."""

    def question() -> Judgement:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        wait_until_passed(question, 120)
    assert clock.slept == []


def test_a_question_in_a_move_changes_nothing() -> None:
    """It can be described, performed and undone like a deed, and only asks."""
    asked: list[int] = []
    ask = ReadOnlyStep("ready", "ask redis whether it is ready", lambda: asked.append(1) or passed("yes"), 2.0)

    ask.do({})
    ask.undo({})
    assert asked == []
    assert (ask.describe(), ask.estimate_s(), ask.effect, ask.commits) == (
        "ask redis whether it is ready",
        2.0,
        Effect.READ_ONLY,
        False,
    )
    assert ask.verify({}) == passed("yes")
