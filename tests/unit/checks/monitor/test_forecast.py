"""A target against its prediction: services that arrived are no news, anything else is."""

from __future__ import annotations

import numpy as np
import pytest

from checks.monitor.comparison import Change, compare_hours
from checks.monitor.forecast import Arrival, compare_with_forecast, judge_forecast, predict
from engine.verdict import Verdict
from tests.fakes.soaks import DAY, START, ZONE, hourly

BEFORE = START - 14 * DAY
RHYTHM = 5 * np.sin(np.arange(24 * 14) / 24 * 2 * np.pi)
OWN = hourly(20 + RHYTHM, BEFORE)
REDIS = Arrival("redis", hourly(1.0 + RHYTHM / 50, BEFORE), 100 / 4)
"""A processor of four."""
N8N = Arrival("n8n", hourly(np.full(24 * 14, 0.4), BEFORE), 100 / 4)


def test_the_prediction_by_hand() -> None:
    """Baseline median of the hour, and each arrival's in points of the target."""
    forecast = predict("wf001", OWN, (REDIS, N8N), ZONE)

    assert len(forecast.by_hour) == 24
    assert forecast.by_hour[0] == pytest.approx(20 + 25 + 10)
    assert forecast.by_hour[6] == pytest.approx(25 + 25 * 1.1 + 10)


def test_a_target_that_took_services_is_as_predicted() -> None:
    """Higher than before by 35 points, and that is no news; compared with itself before it would be."""
    after = hourly(55 + RHYTHM[:72] * 1.5)
    kept = compare_with_forecast(predict("wf001", OWN, (REDIS, N8N), ZONE), after, ZONE)
    answer = judge_forecast("wf001", "CPU use", kept)

    assert compare_hours(OWN, after, zone=ZONE, floor=5.0).change is Change.HIGHER
    assert answer.verdict is Verdict.PASSED
    assert kept.factor == pytest.approx(1.0, abs=0.01)
    assert "factor actual/predicted 1.00" in answer.text
    assert "predicted 55.0 %" in answer.text


def test_what_differs_by_more_than_a_quarter_fails() -> None:
    """Allowed are 25 % of 55 points; 5 % of the hours may differ by more."""
    forecast = predict("wf001", OWN, (REDIS, N8N), ZONE)
    base = np.array([forecast.by_hour[hour % 24] for hour in range(100)])
    few, many = base.copy(), base.copy()
    few[:4] += 30
    many[:8] += 30

    assert compare_with_forecast(forecast, hourly(base + 13.7), ZONE).is_kept
    assert not compare_with_forecast(forecast, hourly(base + 13.8), ZONE).is_kept
    assert compare_with_forecast(forecast, hourly(few), ZONE).is_kept
    failed = judge_forecast("wf001", "CPU use", compare_with_forecast(forecast, hourly(many), ZONE))
    assert failed.verdict is Verdict.FAILED
    assert "95 of 100 hours differ by at most 30.0 points, allowed 13.8" in failed.text


def test_ten_points_are_always_allowed() -> None:
    """A quarter of little is nothing."""
    forecast = predict("wf001", hourly(np.full(240, 4.0), BEFORE), (), ZONE)

    assert compare_with_forecast(forecast, hourly(np.full(72, 13.9)), ZONE).is_kept
    assert not compare_with_forecast(forecast, hourly(np.full(72, 14.1)), ZONE).is_kept


def test_an_arrival_without_a_baseline_is_not_taken_for_nothing() -> None:
    """UNKNOWN by name: a sum without it would be too low."""
    forecast = predict("wf001", OWN, (REDIS, Arrival("caddy", {}, 25)), ZONE)
    answer = judge_forecast("wf001", "CPU use", compare_with_forecast(forecast, hourly(np.full(72, 55.0)), ZONE))

    assert answer.verdict is Verdict.UNKNOWN
    assert "no baseline of caddy" in answer.text


def test_few_hours_are_not_enough() -> None:
    """47 of them."""
    kept = compare_with_forecast(predict("h", OWN, (), ZONE), hourly(np.full(47, 20.0)), ZONE)

    assert kept.missing == ("47 hours after; expected 48",)
    assert not kept.is_kept
