"""A probe that is gone has measured nothing, and nobody waits for it; what one saw is measured once."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from actions.common.route import Route
from actions.outage.measurement import Outage
from actions.outage.probe import MeasureOutage, StartProbe
from actions.outage.vantage_point import ProbeTarget
from engine.contracts.action import Note
from engine.verdict import Verdict


@pytest.mark.parametrize("probe", [None, {"State": {"Running": False}}])
def test_a_lost_probe_measures_nothing_and_is_put_away(
    monkeypatch: pytest.MonkeyPatch, probe: dict[str, Any] | None
) -> None:
    """Removed or stopped by a reboot: what it saw until then is no outage, and the service is not waited for through
    it.
    """
    removed: list[str] = []
    monkeypatch.setattr("actions.outage.probe.inspect_container", lambda *_: None if removed else probe)
    monkeypatch.setattr("actions.outage.probe.read_probe", lambda _route: ['{"good": true, "at_ns": 1}'])
    monkeypatch.setattr("actions.outage.probe.remove_helpers", lambda *_: removed.append("probe"))
    monkeypatch.setattr(Route, "audit", lambda *_: None)
    route = Route(cast("Any", None), "redis", "redis", "wf005", "wf001", "production/redis/1")
    measuring, note = MeasureOutage(route, ProbeTarget("shop", "redis", 6379, "tcp", "")), cast("Note", {})

    measuring.do(note)

    assert removed == ["probe"]
    answer = measuring.verify(note)
    assert answer.verdict is Verdict.UNKNOWN
    assert "The service itself is not affected" in answer.text


def test_a_probe_that_was_read_and_not_removed_is_removed_by_the_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """The removal had no answer: the outage is on record, and the probe is still there, which is not the end of
    measuring.
    """
    there = ["probe"]
    monkeypatch.setattr(
        "actions.outage.probe.inspect_container", lambda *_: {"State": {"Running": True}} if there else None
    )
    monkeypatch.setattr("actions.outage.probe.remove_helpers", lambda *_: there.clear())
    monkeypatch.setattr(Route, "audit", lambda *_: None)
    route = Route(cast("Any", None), "redis", "redis", "wf005", "wf001", "production/redis/1")
    measured = Outage(2.0, 0.1, "2026-10-17T02:00:00+00:00", "2026-10-17T02:00:02+00:00", "shop", 1)
    measuring, note = (
        MeasureOutage(route, ProbeTarget("shop", "redis", 6379, "tcp", "")),
        cast("Note", {"outage": measured.record()}),
    )

    left = measuring.verify(note)
    assert left.verdict is Verdict.UNKNOWN
    assert "docker rm -f longshore-probe-production-redis-1" in left.text

    measuring.do(note)

    assert there == []
    assert measuring.verify(note).passed
    assert note["outage"] == measured.record()


def _line(at_s: int, *, good: bool) -> str:
    last_s = at_s - 1 if at_s > 1 else 0
    return json.dumps({"good": good, "at_ns": at_s * 10**9, "began_ns": at_s * 10**9, "last_ns": last_s * 10**9})


@pytest.mark.parametrize("kind", [MeasureOutage, StartProbe])
def test_an_outage_is_measured_from_the_lines_in_which_it_was_seen_to_be_over(
    monkeypatch: pytest.MonkeyPatch, kind: type[MeasureOutage | StartProbe]
) -> None:
    """A busy host answers late once more after the service is back: the outage that was measured stays over."""
    seen = [_line(1, good=True), _line(3, good=False), _line(6, good=True)]
    readings = iter([seen, [*seen, _line(8, good=False)]])
    there = ["probe"]
    monkeypatch.setattr(
        "actions.outage.probe.inspect_container", lambda *_: {"State": {"Running": True}} if there else None
    )
    monkeypatch.setattr("actions.outage.probe.read_probe", lambda _route: next(readings))
    monkeypatch.setattr("actions.outage.probe.remove_helpers", lambda *_: there.clear())
    monkeypatch.setattr(Route, "audit", lambda *_: None)
    route = Route(cast("Any", None), "redis", "redis", "wf005", "wf001", "production/redis/1")
    action, note = kind(route, ProbeTarget("shop", "redis", 6379, "tcp", "")), cast("Note", {})

    action.do(note) if isinstance(action, MeasureOutage) else action.undo(note)

    measured = Outage.from_record(note["outage"])
    assert (measured.seconds, measured.interruptions) == (4.0, 1)
    assert measured.to_at is not None
