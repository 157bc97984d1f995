"""Before a service starts on its new host, the names that it uses itself lead somewhere; nobody else's are touched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from actions import links
from actions.forwarders import Forwarder
from actions.links import LinkTarget, own_links
from actions.reconciling import Reconciled, Relay
from tests.unit.test_actions_forwarders import scope, where

POSTGRES = Forwarder("wf001", "shop", "postgres", 5432, "192.0.2.5", 5432)
REDIS = Forwarder("wf001", "shop", "redis", 6379, "192.0.2.5", 6379)
OTHERS = Forwarder("wf001", "shop", "loki", 3100, "192.0.2.5", 3100)
ELSEWHERE = Forwarder("wf005", "shop", "n8n", 5678, "192.0.2.1", 5678)


def _action(wanted: frozenset[Forwarder]) -> LinkTarget:
    route: Any = SimpleNamespace(service="orders", target="wf001", move_label="lab/orders/1", fleet=None, audit=lambda *_: None)
    return LinkTarget(route, wanted, frozenset({OTHERS, ELSEWHERE}))


def test_only_the_names_that_the_service_uses_are_its_own() -> None:
    """Orders moves: postgres and redis are relayed beside it; a service that uses nothing has no relay of its own."""
    assert own_links(scope(), "orders", where(orders="wf001")) == {POSTGRES, REDIS}
    assert own_links(scope(), "redis", where(redis="wf001")) == frozenset()


def test_relays_are_added_and_taken_away_beside_those_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do asks for the relays that were there and the new ones on the target alone; undo for those that were there."""
    asked: list[tuple[tuple[str, ...], frozenset[Forwarder]]] = []

    def apply(_fleet: Any, _environment: str, hosts: tuple[str, ...], wanted: frozenset[Forwarder]) -> Reconciled:
        asked.append((hosts, wanted))
        return Reconciled((), (), ())

    monkeypatch.setattr(links, "apply_forwarders", apply)
    action = _action(frozenset({POSTGRES}))
    action.do({})
    action.undo({})

    assert asked == [(("wf001",), frozenset({OTHERS, POSTGRES})), (("wf001",), frozenset({OTHERS}))]
    assert not action.commits


def test_a_relay_that_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped relay leads nowhere; with all running it passes, and with none needed it says so."""
    stopped = Relay("wf001", "r", running=False, made_for=POSTGRES.text())
    monkeypatch.setattr(links, "list_relays", lambda *_: [stopped])
    action = _action(frozenset({POSTGRES}))

    assert "postgres:5432 on shop" in action.verify({}).text
    assert not action.verify({}).passed
    monkeypatch.setattr(links, "list_relays", lambda *_: [Relay("wf001", "r", running=True, made_for=POSTGRES.text())])
    assert action.verify({}).passed
    assert "no relay needed" in _action(frozenset()).verify({}).text
