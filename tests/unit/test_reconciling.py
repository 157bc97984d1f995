"""Relays that are there are made into those that are wanted, one that must lead elsewhere included."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from actions import reconciling
from actions.forwarders import Forwarder
from actions.reconciling import Relay, apply_forwarders, relay_name

OLD = Forwarder("wf001", "shop", "postgres", 5432, "192.0.2.5", 5432)
NEW = Forwarder("wf001", "shop", "postgres", 5432, "192.0.2.2", 5432)
GONE = Forwarder("wf001", "shop", "redis", 6379, "192.0.2.5", 6379)


@pytest.fixture
def deeds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note what is done to containers; two relays are there."""
    done: list[str] = []
    there = [Relay("wf001", relay_name(relay), running=True, made_for=relay.text()) for relay in (OLD, GONE)]
    monkeypatch.setattr(reconciling, "list_relays", lambda *_: there)
    monkeypatch.setattr(reconciling, "_refuse_beside_real_one", lambda *_: None)
    monkeypatch.setattr(reconciling, "_create", lambda _fleet, _environment, relay: done.append(f"create {relay.text()}"))
    monkeypatch.setattr(reconciling, "_start", lambda _fleet, _environment, relay: done.append(f"start {relay.text()}"))
    monkeypatch.setattr(reconciling, "_remove", lambda _fleet, _environment, relay: done.append(f"remove {relay.made_for}"))
    return done


def test_a_relay_that_must_lead_elsewhere_is_made_again(deeds: list[str]) -> None:
    """Old and new one have one name: the old one goes before the new one is made, and the new one stays."""
    asked: list[str] = []
    fleet: Any = SimpleNamespace(forget_facts=asked.append)
    apply_forwarders(fleet, "lab", ("wf001",), frozenset({NEW}))
    assert asked == ["wf001"]
    assert deeds == [f"remove {OLD.text()}", f"create {NEW.text()}", f"remove {GONE.text()}", f"start {NEW.text()}"]
