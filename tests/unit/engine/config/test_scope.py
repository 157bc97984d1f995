"""What a run is about, and what its digest says people approved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.config.environment import Environment, load_environment
from engine.config.inventory import load_inventory
from engine.config.plan import load_plan
from engine.config.scope import Scope, build_scope
from engine.errors import InputError
from tests.fakes.project_files import (
    ENVIRONMENT,
    INVENTORY,
    make_environment,
    make_inventory,
    make_plan,
    spoiled,
    written,
)

ROOT = Path(__file__).parents[4]


def make_scope(
    inventory: tuple[tuple[str, Any], ...] = (),
    plan: tuple[tuple[str, Any], ...] = (),
    environment: tuple[tuple[str, Any], ...] = (),
    **chosen: Any,
) -> Scope:
    """Return the scope of the small files, changed."""
    return build_scope(make_inventory(*inventory), make_plan(*plan), make_environment(*environment), **chosen)


def _moved(scope: Scope) -> list[str]:
    return [move.service for move in scope.moves]


def test_selection_keeps_the_plans_order() -> None:
    """The order of the night is the plan's, however the flags are written."""
    assert _moved(make_scope()) == ["n8n", "redis"]
    assert _moved(make_scope(services=("redis", "n8n"))) == ["n8n", "redis"]
    assert _moved(make_scope(waves=("auxiliary",))) == ["redis"]
    assert make_scope(services=("redis",)).hosts == ("wf005", "wf001")


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"services": ("rediss",)}, "--service rediss: not in the plan; known: n8n, redis"),
        ({"waves": ("monitoring",)}, "--wave monitoring: not in the plan; known: critical, auxiliary"),
        (
            {"services": ("n8n",), "waves": ("auxiliary",)},
            (
                "--service with --wave auxiliary: nothing to do: the plan "
                "has n8n in wave critical; expected a "
                "service of that wave. Leave out one flag"
            ),
        ),
    ],
)
def test_an_unknown_selection_lists_what_is_known(chosen: dict[str, Any], message: str) -> None:
    """A typing error never selects nothing, nor everything."""
    with pytest.raises(InputError) as refused:
        make_scope(**chosen)

    assert message in str(refused.value)


def test_services_absent_from_an_environment_are_named() -> None:
    """The lab has fewer services: the others are listed as not applicable, their links are left out."""
    scope = make_scope(environment=(("services", ["redis"]),))

    assert _moved(scope) == ["redis"]
    assert scope.not_applicable == ("n8n: not in environment production",)
    assert scope.links == ()
    with pytest.raises(
        InputError,
        match=(
            r"none of n8n exists in environment production; expected at least one. Select of these with "
            r"--service: redis"
        ),
    ):
        make_scope(environment=(("services", ["redis"]),), services=("n8n",))


def test_services_of_the_environment_alone_join_as_dependants() -> None:
    """The lab's dependent application is judged after a move although the inventory does not know it."""
    entry = {"product": "generic", "host": "wf005", "container": "orders", "image": "orders:1"}
    link = {"from": "orders", "to": "redis", "name": "redis", "port": 6379}
    scope = make_scope(environment=(("extra", {"services": {"orders": entry}, "links": [link]}),))

    assert [dependant.from_ for dependant in scope.dependants_of("redis")] == ["n8n", "orders"]
    assert scope.services["orders"].container == "orders"


def test_a_host_without_identity_is_refused_with_the_command_that_pins_it() -> None:
    """No run meets a machine that nobody has pinned."""
    with pytest.raises(
        InputError,
        match=r"environments/production.yaml: no identity of wf001. Try: nox -s pin -- --environment production",
    ):
        make_scope(environment=(("hosts/wf001", ...),))


def test_the_backup_host_belongs_to_the_run() -> None:
    """Where the backups go is looked at too."""
    backup = {"host": "wf002", "path": "/b", "password": "env:P"}

    assert make_scope(environment=(("backup", backup),), services=("redis",)).hosts == ("wf005", "wf001", "wf002")


def test_the_customers_run_never_looks_at_the_host_that_is_not_theirs(tmp_path: Path) -> None:
    """SynChat's host stands in the inventory; no run of this plan opens it."""
    inventory = load_inventory(ROOT / "inventory.yaml")
    environment = load_environment(written(tmp_path / "production.yaml", ENVIRONMENT))

    scope = build_scope(inventory, load_plan(ROOT / "migration_plan.json", inventory), environment)

    assert set(scope.hosts) == {"wf001", "wf002", "wf005"}


def test_thresholds_of_a_host_come_before_those_of_all() -> None:
    """A host's own limit counts, the inventory's for the others."""
    scope = make_scope(inventory=(("hosts/wf001/thresholds", {"disk_percent": 95}),))

    assert (scope.thresholds("wf001").disk_percent, scope.thresholds("wf002").disk_percent) == (95, 85)


def test_a_host_that_only_the_environment_knows_has_the_limits_of_all() -> None:
    """Loading refuses such a host; judging one never ends in a traceback."""
    assert make_scope().thresholds("vault").disk_percent == 85


def test_what_an_environment_adds_is_there_without_being_listed() -> None:
    """The list of services picks from the inventory; what the environment adds itself exists in it."""
    scope = make_scope(
        environment=(("services", ["redis"]), ("extra", {"services": {"orders": ORDERS}, "links": [NEEDS_REDIS]}))
    )

    assert list(scope.services) == ["redis", "orders"]
    assert scope.links[0].from_ == "orders"


ORDERS: dict[str, Any] = {"product": "generic", "host": "wf005", "container": "orders", "image": "orders:1"}
NEEDS_REDIS: dict[str, Any] = {"from": "orders", "to": "redis", "name": "redis", "port": 6379}
NEEDS_N8N: dict[str, Any] = {"from": "redis", "to": "n8n", "name": "n8n", "port": 5678, "needed_at_start": False}
BACKUP: dict[str, Any] = {"host": "wf006", "path": "/b", "password": "env:P"}
SEVEN: dict[str, Any] = {**ENVIRONMENT["hosts"]["wf001"], "machine_id": "7" * 32}
UNRELATED: dict[str, Any] = {"product": "generic", "host": "wf006", "container": "synChat", "image": "synchat:1"}


@pytest.mark.parametrize(
    "changes",
    [
        {"inventory": (("hosts/wf006", {"purpose": "another migration"}),)},
        {"inventory": (("hosts/wf006", {"purpose": "x"}), ("services/synchat", UNRELATED))},
        {"plan": (("$schema", "schemas/migration_plan.schema.json"),)},
        {"services": ("redis",)},
        {"waves": ("critical",)},
        {"environment": (("hosts/wf007", SEVEN),)},
        {"inventory": (("hosts/wf006", {"purpose": "x", "thresholds": {"disk_percent": 1}}),)},
        {"inventory": (("hosts/wf001/notes", "third rack"),)},
        {
            "inventory": (
                ("links", [*INVENTORY["links"], {"from": "synchat", "to": "mail", "name": "mail", "port": 25}]),
            )
        },
        {"environment": (("extra", {"services": {"orders": ORDERS}}),)},
    ],
)
def test_what_nobody_approves_does_not_change_the_digest(changes: dict[str, Any]) -> None:
    """Hosts and services of others, the editor's hint, and the selection keep approvals alive."""
    assert make_scope(**changes).digest == make_scope().digest


def test_comments_and_order_do_not_change_the_digest(tmp_path: Path) -> None:
    """A comment, another order of keys and YAML's forms say the same, so the digest is the same."""
    plain = "version: 1\nhosts: {wf001: {purpose: a}, wf002: {purpose: b}, wf005: {purpose: c}}\nservices:\n"
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    n8n, redis = (
        "product: n8n, host: wf005, container: n8n, image: 'n8n:2'",
        "product: redis, host: wf005, container: redis, image: 'redis:8'",
    )
    one.write_text(f"{plain}  n8n: {{{n8n}}}\n  redis: {{{redis}}}\n", encoding="utf-8")
    turned = ", ".join(reversed(redis.split(", ")))
    other.write_text(f"# seen by Ana\n{plain}  redis: {{{turned}}}  # confirm\n  n8n: {{{n8n}}}\n", encoding="utf-8")

    one_scope, other_scope = (
        build_scope(load_inventory(file), make_plan(), make_environment()) for file in (one, other)
    )

    assert one_scope.digest == other_scope.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"inventory": (("services/redis/ports/0/host", 6380),)},
        {"inventory": (("services/redis/image", "redis:8.2"),)},
        {"inventory": (("services/redis/mounts/0/rule", "drop"),)},
        {"inventory": (("links/0/needed_at_start", False),)},
        {"inventory": (("thresholds", {"disk_percent": 99}),)},
        {"plan": (("moves/1/target", "wf002"),)},
        {"plan": (("moves/1", ...),)},
        {"plan": (("window/ends_at", "2026-12-06T05:00:00-03:00"),)},
        {"plan": (("on_failure", "continue_independent"),)},
        {"environment": (("hosts/wf001/machine_id", "f" * 32),)},
        {"environment": (("hosts/wf001/ssh_host_key", "ssh-ed25519 BBBB"),)},
        {"environment": (("environment", "staging"),)},
        {"inventory": (("hosts/wf001/thresholds", {"disk_percent": 99}),)},
        {"environment": (("services", ["redis"]),)},
        {"environment": (("extra", {"services": {"orders": ORDERS}, "links": [NEEDS_REDIS]}),)},
        {"environment": (("backup", BACKUP), ("hosts/wf006", SEVEN))},
    ],
)
def test_what_people_approve_changes_the_digest(changes: dict[str, Any]) -> None:
    """A changed port, image, rule, link, limit, move, window or machine needs a new approval."""
    assert make_scope(**changes).digest != make_scope().digest


@pytest.mark.parametrize(
    ("path", "value", "counts"),
    [
        ("extra/services/orders/image", "orders:2", True),
        ("extra/links/0/port", 6380, True),
        ("backup/path", "/other", True),
        ("backup/host", "wf002", True),
        ("hosts/wf006/machine_id", "8" * 32, True),
        ("backup/password", "file:/run/secrets/backup", False),
        ("extra/services/alone/image", "alone:2", False),
    ],
)
def test_what_only_an_environment_has_counts_as_far_as_it_is_touched(path: str, value: Any, counts: bool) -> None:
    """Its dependants, their links and the backup's place are approved; where a person keeps the password is his own
    affair.
    """
    alone = {**ORDERS, "container": "alone"}
    adds = {"services": {"orders": dict(ORDERS), "alone": alone}, "links": [dict(NEEDS_REDIS)]}
    content = spoiled(ENVIRONMENT, ("extra", adds), ("backup", dict(BACKUP)), ("hosts/wf006", dict(SEVEN)))
    one, other = (
        build_scope(make_inventory(), make_plan(), Environment.model_validate(c))
        for c in (content, spoiled(content, (path, value)))
    )

    assert (one.digest != other.digest) == counts


def test_links_are_a_set_for_the_digest() -> None:
    """Another order of the same links says the same."""
    links = [INVENTORY["links"][0], NEEDS_N8N]

    assert make_scope(inventory=(("links", links),)).digest == make_scope(inventory=(("links", links[::-1]),)).digest


@pytest.mark.parametrize(
    "rules",
    [
        {"hours": 24, "less_because": "a rehearsal"},
        {"restarts": ["reboot"]},
        {"comparison": {"points": 10}},
    ],
)
def test_rules_of_the_time_after_the_moves_change_no_digest(rules: dict[str, Any]) -> None:
    """Approvals of the moves do not cover them, and what was approved before the keys existed stays approved."""
    changed, plain = make_scope(plan=(("stability", rules),)), make_scope()

    assert changed.plan.stability != plain.plan.stability
    assert changed.digest == plain.digest
    assert "stability" not in plain.part_texts["migration_plan.json"]
