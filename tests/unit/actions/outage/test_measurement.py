"""The outage is what the probe saw, from the last good answer before to the first good one after."""

from __future__ import annotations

import json

from actions.outage.measurement import Outage, measure_outage

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND


def line(*, good: bool, at_s: float, last_s: float, began_s: float | None = None) -> str:
    """Return one line of the probe; times in seconds after its start."""
    began = at_s if began_s is None else began_s
    return json.dumps(
        {
            "good": good,
            "at_ns": START + int(at_s * SECOND),
            "began_ns": START + int(began * SECOND),
            "last_ns": START + int(last_s * SECOND),
            "seen": "x",
        }
    )


FIRST = json.dumps({"good": True, "at_ns": START, "began_ns": START, "last_ns": 0, "seen": "x"})


def test_outage_is_from_last_good_to_first_good() -> None:
    """Not from the first bad answer: the service may have died just after the last good one."""
    lines = [FIRST, line(good=False, at_s=10.1, last_s=10.0), line(good=True, at_s=14.5, last_s=14.4)]
    outage = measure_outage(lines, "tcp at redis:6379", 0.1)
    assert outage is not None
    assert (outage.seconds, outage.error_bar_s, outage.interruptions) == (4.5, 0.1, 1)
    assert outage.to_at is not None


def test_last_attempt_that_hung_widens_the_error_bar() -> None:
    """The service may have come back while the attempt waited."""
    lines = [FIRST, line(good=False, at_s=10.1, last_s=10.0), line(good=True, at_s=14.5, last_s=13.5)]
    outage = measure_outage(lines, "", 0.1)
    assert outage is not None
    assert outage.error_bar_s == 1.0


def test_two_interruptions_are_added_up() -> None:
    """A relapse counts, the good time between does not."""
    lines = [
        FIRST,
        line(good=False, at_s=1.1, last_s=1.0),
        line(good=True, at_s=2.0, last_s=1.95),
        line(good=False, at_s=5.1, last_s=5.0),
        line(good=True, at_s=5.5, last_s=5.45),
    ]
    outage = measure_outage(lines, "", 0.1)
    assert outage is not None
    assert (outage.seconds, outage.interruptions) == (1.5, 2)


def test_outage_that_lasts_has_no_end() -> None:
    """It is not over, and says so."""
    outage = measure_outage([FIRST, line(good=False, at_s=1.1, last_s=1.0)], "", 0.1)
    assert outage is not None
    assert outage.to_at is None


def test_no_interruption_is_zero_with_the_period_as_error_bar() -> None:
    """Nothing seen between two answers: shorter than the period, or none."""
    outage = measure_outage([FIRST], "", 0.1)
    assert outage is not None
    assert (outage.seconds, outage.error_bar_s, outage.interruptions) == (0.0, 0.1, 0)


def test_probe_that_never_saw_the_service_measures_nothing() -> None:
    """No good answer, no outage: not zero."""
    assert measure_outage([line(good=False, at_s=0.1, last_s=0.0)], "", 0.1) is None
    assert measure_outage([], "", 0.1) is None


def test_bad_start_before_the_first_good_answer_is_not_an_outage() -> None:
    """The probe started before the name could be resolved."""
    lines = [line(good=False, at_s=0.1, last_s=0.0), line(good=True, at_s=0.5, last_s=0.4)]
    outage = measure_outage(lines, "", 0.1)
    assert outage is not None
    assert outage.seconds == 0.0


def test_outage_survives_the_journal() -> None:
    """Record and from_record are inverse."""
    outage = Outage(1.5, 0.1, "2026-01-01T00:00:00+00:00", None, "tcp", 1)
    assert Outage.from_record(outage.record()) == outage
