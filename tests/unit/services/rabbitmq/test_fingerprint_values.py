"""What of RabbitMQ is pure: definitions by name, as a real broker exported them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from services.rabbitmq.fingerprint import KINDS, name_definitions

DEFINITIONS: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "recorded" / "rabbitmq" / "definitions.json").read_text(encoding="utf-8")
)


def test_every_kind_is_named() -> None:
    """Each definition of the recorded broker has a name of its own."""
    for kind in KINDS:
        assert len(name_definitions(DEFINITIONS, kind)) == len(DEFINITIONS[kind])
    assert {"shop parcels.work", "shop parcels.audit"} <= set(name_definitions(DEFINITIONS, "queues"))
    assert "shop parcels queue parcels.failed parcel.failed.#" in name_definitions(DEFINITIONS, "bindings")


def test_a_changed_definition_keeps_its_name_and_another_digest() -> None:
    """Rights, arguments and tags are part of what a definition says."""
    changed = copy.deepcopy(DEFINITIONS)
    changed["permissions"][0]["write"] = "^$"
    before, now = name_definitions(DEFINITIONS, "permissions"), name_definitions(changed, "permissions")
    assert set(before) == set(now)
    assert sum(before[name] != now[name] for name in before) == 1


def test_order_does_not_count() -> None:
    """The broker lists definitions in no defined order."""
    turned = {kind: list(reversed(DEFINITIONS[kind])) for kind in KINDS}
    assert all(name_definitions(turned, kind) == name_definitions(DEFINITIONS, kind) for kind in KINDS)


def test_what_dies_with_its_client_is_left_out() -> None:
    """A transient or auto-deleted queue is gone after every restart, and its bindings with it."""
    more = copy.deepcopy(DEFINITIONS)
    more["queues"] += [{"name": "t", "vhost": "shop", "durable": False, "auto_delete": False, "arguments": {}}]
    more["queues"] += [{"name": "a", "vhost": "shop", "durable": True, "auto_delete": True, "arguments": {}}]
    more["bindings"] += [
        {"source": "parcels", "vhost": "shop", "destination": name, "destination_type": "queue", "routing_key": "k"}
        for name in "ta"
    ]
    assert all(name_definitions(more, kind) == name_definitions(DEFINITIONS, kind) for kind in ("queues", "bindings"))


def test_no_secret_is_in_a_name() -> None:
    """Users are listed by name; of their password's hash only a digest stays."""
    hashes = [user["password_hash"] for user in DEFINITIONS["users"]]
    text = json.dumps(name_definitions(DEFINITIONS, "users"))
    assert all(hashes)
    assert not [one for one in hashes if one in text]
