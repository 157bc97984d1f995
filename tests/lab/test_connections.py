"""A connection that nobody declared is found on real hosts, and named with both ends."""

from __future__ import annotations

import pytest

from tests.lab import at_hand
from tests.lab.at_hand import SOURCE

STRANGER = "stranger"
CONNECT = "exec 3<>/dev/tcp/redis/6379; sleep 600"

pytestmark = [pytest.mark.lab, pytest.mark.full]


def test_an_undeclared_connection_is_named_with_both_ends(fresh_lab: None) -> None:
    """A container that no inventory knows holds a connection to redis: preflight names it and where it leads, and the line to add."""
    run = ("docker", "run", "--detach", "--name", STRANGER, "--network", "apps", "--entrypoint", "bash", "longshore-lab/orders:1", "-c", CONNECT)
    at_hand.on_host(SOURCE, *run)
    try:
        at_hand.wait_for("the stranger's connection", _connected)
        ran = at_hand.run_phase("preflight", "--service", "redis")
    finally:
        at_hand.on_host(SOURCE, "docker", "rm", "--force", STRANGER)
    row = at_hand.row(ran, "redis", "links-declared")
    assert row["verdict"] == "FAILED"
    assert f"{STRANGER} on {SOURCE} → redis:6379 on {SOURCE}" in row["text"]
    assert "Add: {from: ?stranger, to: redis, name: redis, port: 6379}" in row["text"]


def _connected() -> bool:
    return ":18EB 01 " in at_hand.on_host(SOURCE, "docker", "exec", STRANGER, "cat", "/proc/net/tcp")
