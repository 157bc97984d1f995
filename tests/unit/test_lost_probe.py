"""A probe that is gone has measured nothing, and nobody waits for it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from actions.aims import ProbeAim
from actions.probe import MeasureOutage
from actions.route import Route
from engine.model import Note
from engine.verdict import Verdict


@pytest.mark.parametrize("probe", [None, {"State": {"Running": False}}])
def test_a_lost_probe_measures_nothing_and_is_put_away(monkeypatch: pytest.MonkeyPatch, probe: dict[str, Any] | None) -> None:
    """Removed or stopped by a reboot: what it saw until then is no outage, and the service is not waited for through it."""
    removed: list[str] = []
    monkeypatch.setattr("actions.probe.inspect_container", lambda *_: probe)
    monkeypatch.setattr("actions.probe.read_probe", lambda _route: ['{"good": true, "at_ns": 1}'])
    monkeypatch.setattr("actions.probe.remove_helpers", lambda *_: removed.append("probe"))
    monkeypatch.setattr(Route, "audit", lambda *_: None)
    route = Route(cast("Any", None), "redis", "redis", "wf005", "wf001", "production/redis/1")
    measuring, note = MeasureOutage(route, ProbeAim("shop", "redis", 6379, "tcp", "")), cast("Note", {})

    measuring.do(note)

    assert removed == ["probe"]
    answer = measuring.verify(note)
    assert answer.verdict is Verdict.UNKNOWN
    assert "The service itself is not affected" in answer.text
