"""Messages that are in memory only are reported before a stop loses them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engine.contracts.product import MayForget
from services.rabbitmq import fingerprint
from services.rabbitmq.product import Product


def queue(name: str, **about: Any) -> dict[str, Any]:
    """Return a durable queue as the management API gives it, with seven persistent messages."""
    plain = {"vhost": "/", "type": "classic", "durable": True, "auto_delete": False, "exclusive": False}
    return {"name": name, **plain, "messages": 7, "messages_persistent": 7, **about}


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({}, ""),
        ({"messages_persistent": 4}, "queue / jobs: 3 of its 7 messages were sent as transient"),
        ({"durable": False}, "queue / jobs is not durable: it goes, with its 7 messages"),
        ({"durable": False, "messages": 0}, ""),
        ({"durable": False, "exclusive": True}, ""),
        ({"auto_delete": True, "messages_persistent": 0}, ""),
        ({"type": "quorum", "messages_persistent": 0}, ""),
        ({"messages_persistent": None}, ""),
    ],
)
def test_what_a_stop_loses_is_reported(monkeypatch: pytest.MonkeyPatch, about: dict[str, Any], expected: str) -> None:
    """A queue that is not durable goes with the stop, and from a durable one what was not sent as persistent."""
    monkeypatch.setattr(fingerprint, "read_management", lambda *_: [queue("jobs", **about)])
    at: Any = SimpleNamespace(options={})

    lost = Product().lost_by_stop(at)

    assert isinstance(Product(), MayForget)
    assert (lost[0].partition(". Expected")[0] if lost else "") == expected
    assert not expected or "transient_because" in lost[-1]


def test_a_written_reason_admits_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements that come again every second."""
    monkeypatch.setattr(fingerprint, "read_management", lambda *_: [queue("jobs", messages_persistent=0)])
    at: Any = SimpleNamespace(options={"transient_because": "measured again every second"})
    assert Product().lost_by_stop(at) == ()
