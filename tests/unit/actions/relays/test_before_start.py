"""Before a service starts on its new host, the names that it uses itself lead somewhere."""

from __future__ import annotations

from actions.relays.before_start import own_links
from tests.unit.actions.relays.test_planning import made, scope, where


def test_only_the_names_that_the_service_uses_are_its_own() -> None:
    """Orders moves: its new host relays postgres and redis; a service that uses nothing has no relay of its own."""
    assert own_links(scope(), "orders", where(orders="wf001")) == {
        made("wf001", "shop", "postgres", 5432, "wf005"),
        made("wf001", "shop", "redis", 6379, "wf005"),
    }
    assert own_links(scope(), "redis", where(redis="wf001")) == frozenset()
