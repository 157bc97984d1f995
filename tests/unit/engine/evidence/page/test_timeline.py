"""The timeline shows every deed of a run: done, failed, undone, and begun without an end."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.evidence.page.html import render
from engine.evidence.page.timeline import timeline_of
from engine.evidence.writer import summary
from tests.fakes.run_on_record import Night


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """Return a migration of one service."""
    return Night(tmp_path)


def test_the_timeline_shows_deeds_and_the_outage(night: Night) -> None:
    """One lane per service; a failed deed is another kind; the same in words for who can't see it."""
    assert timeline_of(night.page(finished=False)) is None
    night.run.record("intent", service="redis", key="stop-source", body={})
    night.run.record("outcome", service="redis", key="stop-source", body={"ok": True})
    night.run.record("intent", service="redis", key="copy", body={})
    night.run.record("outcome", service="redis", key="copy", body={"ok": False})
    outage = {
        "seconds": 4.2,
        "error_bar_s": 0.1,
        "from_at": "2026-01-01T00:00:05+00:00",
        "to_at": "2026-01-01T00:00:09+00:00",
    }
    night.run.record("outage", service="redis", body=outage)

    page = night.page()
    timeline = timeline_of(page)

    assert timeline is not None
    assert [box.kind for box in timeline.boxes] == ["deed", "failed", "outage"]
    assert timeline.words == "redis: 2 actions from 3 s to 6 s after the start: 1 done, 1 failed; outage 4.2 s"
    assert "4.2 s <small>± 0.1 s</small>" in render(page)
    assert "| redis | wf005 | wf001 | 4.2 s ± 0.1 s | – |" in summary(page)


def test_undos_and_deeds_without_an_end_are_on_it(night: Night) -> None:
    """What was taken back, what could not be, and what a killed run had begun: each is to be seen and read."""
    for key in ("stop-source", "copy-volumes"):
        night.run.record("intent", service="redis", key=key, body={})
        night.run.record("outcome", service="redis", key=key, body={"ok": key == "stop-source"})
    for key, ok in (("copy-volumes", True), ("stop-source", False)):
        night.run.record("undo_intent", service="redis", key=key, body={})
        night.run.record("undo_outcome", service="redis", key=key, body={"ok": ok})
    night.run.record("intent", service="n8n", key="stop-source", body={})
    night.run.record("undo_intent", service="n8n", key="copy-volumes", body={})
    night.row()

    page = night.page(finished=False)
    timeline = timeline_of(page)

    assert timeline is not None
    assert [box.kind for box in timeline.boxes] == ["deed", "failed", "undo", "failed", "open", "open"]
    assert "n8n: stop-source, 2.0 s, begun, no end on record" in [box.title for box in timeline.boxes]
    assert timeline.words == (
        "redis: 4 actions from 3 s to 10 s after the start: 1 done, 2 failed, 1 undone; "
        "n8n: 2 actions from 11 s to 13 s after the start: 2 begun, no end on record"
    )
    html = render(page)
    for words in (
        "redis: undo of copy-volumes, 1.0 s, undone",
        "redis: undo of stop-source, 1.0 s, failed",
        "n8n: undo of copy-volumes, 1.0 s, begun",
    ):
        assert f"</code> {words}" in html
    assert '<rect class="undo"' in html
    assert '<rect class="open"' in html
