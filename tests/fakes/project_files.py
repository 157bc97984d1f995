"""A small, right set of the three files, which a test spoils by what it is about."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Final

from engine.config.environment import Environment
from engine.config.inventory import Inventory
from engine.config.plan import Plan

INVENTORY: Final[dict[str, Any]] = {
    "version": 1,
    "hosts": {
        "wf001": {"purpose": "takes redis"},
        "wf002": {"purpose": "takes n8n"},
        "wf005": {"purpose": "to be emptied"},
    },
    "services": {
        "n8n": {
            "product": "n8n",
            "host": "wf005",
            "container": "n8n",
            "image": "n8n:2",
            "ports": [{"host": 5678, "container": 5678}],
        },
        "redis": {
            "product": "redis",
            "host": "wf005",
            "container": "redis",
            "image": "redis:8",
            "networks": ["apps"],
            "ports": [{"host": 6379, "container": 6379}],
            "mounts": [{"source": "redis_data", "path": "/data"}],
            "secrets": {"password": "container-env:REDISCLI_AUTH"},
        },
    },
    "links": [{"from": "n8n", "to": "redis", "name": "redis", "port": 6379}],
}

PLAN: Final[dict[str, Any]] = {
    "version": 1,
    "title": "Empty wf005",
    "window": {
        "starts_at": "2026-12-05T22:00:00-03:00",
        "ends_at": "2026-12-06T04:00:00-03:00",
        "time_zone": "America/Sao_Paulo",
    },
    "approvals": [{"role": "technical"}],
    "moves": [
        {"service": "n8n", "source": "wf005", "target": "wf002", "wave": "critical"},
        {"service": "redis", "source": "wf005", "target": "wf001", "wave": "auxiliary"},
    ],
}

ENVIRONMENT: Final[dict[str, Any]] = {
    "environment": "production",
    "hosts": {
        name: {
            "address": f"192.0.2.{last}",
            "ssh_host_key": "ssh-ed25519 AAAAC3Nz",
            "machine_id": f"{last:032x}",
            "engine_id": f"engine-{name}",
        }
        for name, last in (("wf001", 11), ("wf002", 12), ("wf005", 15))
    },
}


def spoiled(content: dict[str, Any], *changes: tuple[str, Any]) -> dict[str, Any]:
    """Return a copy with values put at "a/0/b" paths; `...` as a value takes the key away."""
    copied = copy.deepcopy(content)
    for path, value in changes:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        here: Any = copied
        for part in parents:
            here = here[part]
        if value is ...:
            del here[last]
        else:
            here[last] = value
    return copied


def make_inventory(*changes: tuple[str, Any]) -> Inventory:
    """Return the inventory, changed."""
    return Inventory.model_validate(spoiled(INVENTORY, *changes))


def make_plan(*changes: tuple[str, Any]) -> Plan:
    """Return the plan, changed."""
    return Plan.model_validate(spoiled(PLAN, *changes))


def make_environment(*changes: tuple[str, Any]) -> Environment:
    """Return the environment, changed."""
    return Environment.model_validate(spoiled(ENVIRONMENT, *changes))


def written(path: Path, content: dict[str, Any]) -> Path:
    """Write content as JSON, which is YAML too."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
