"""Inventory, plan and environment together: one error with all problems of all three."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.config.loading import Files, load_files
from engine.errors import InputError
from engine.run.options import Options
from phases.context.scope_files import load_scope
from tests.fakes.project_files import ENVIRONMENT, INVENTORY, PLAN, spoiled, written

Changes = tuple[tuple[str, Any], ...]
ORDERS: dict[str, Any] = {"product": "generic", "host": "wf005", "container": "orders", "image": "orders:1"}
BACKUP: dict[str, Any] = {"path": "/b", "password": "env:P"}


def paths(
    folder: Path, inventory: Changes = (), plan: Changes = (), environment: Changes = ()
) -> tuple[Path, Path, Path]:
    """Write the small files, changed, and return where they are."""
    return (
        written(folder / "inventory.yaml", spoiled(INVENTORY, *inventory)),
        written(folder / "migration_plan.json", spoiled(PLAN, *plan)),
        written(folder / "production.yaml", spoiled(ENVIRONMENT, *environment)),
    )


def refusal(*files: Path) -> str:
    """Return what is said against the files."""
    with pytest.raises(InputError) as refused:
        load_files(*files)
    return str(refused.value)


def test_right_files_load_together(tmp_path: Path) -> None:
    """An application of the environment alone may depend on a service of the inventory."""
    adds = {"services": {"orders": ORDERS}, "links": [{"from": "orders", "to": "redis", "name": "redis", "port": 6379}]}

    files = load_files(*paths(tmp_path, environment=(("extra", adds), ("services", ["redis", "orders"]))))

    assert isinstance(files, Files)
    assert files.environment.extra.services["orders"].container == "orders"


def test_problems_of_all_three_files_come_in_one_error(tmp_path: Path) -> None:
    """Shape and sense of each, each under its file's name with its count: a person repairs them in one go."""
    files = paths(
        tmp_path,
        inventory=(("services/n8n/host", "wf009"), ("services/redis/networks", "apps")),
        plan=(("titel", "x"), ("moves/1/service", "rediss")),
        environment=(("services", ["redis", "n9n"]), ("hosts/wf001/machine_id", "none")),
    )

    said = refusal(*files)

    assert [line for line in said.splitlines() if not line.startswith("  ")] == [
        f"{files[0]}: 2 problems",
        f"{files[1]}: 3 problems",
        f"{files[2]}: 2 problems",
    ]
    for line in (
        'services/n8n/host: unknown host "wf009"; known: wf001, wf002, wf005',
        "services/redis/networks: expected a list",
        'titel: unknown key; did you mean "title"?',
        "moves/0/source: n8n is on wf009 in the inventory; seen wf005",
        'moves/1/service: unknown service "rediss"; known: n8n, redis',
        'services/1: unknown service "n9n"; known: n8n, redis',
        "hosts/wf001/machine_id: String should match pattern",
    ):
        assert f"  {line}" in said


def test_a_file_that_can_not_be_parsed_hides_no_other(tmp_path: Path) -> None:
    """Nor does its absence make the names of others unknown: without an inventory no name can be judged."""
    inventory, plan, environment = paths(
        tmp_path, plan=(("moves/0/target", "wf005"),), environment=(("backup", {**BACKUP, "host": "wf005"}),)
    )
    inventory.write_text("hosts: [", encoding="utf-8")

    said = refusal(inventory, plan, environment)

    assert f"{inventory}: 1 problem\n  line 1" in said
    assert f"{plan}: 1 problem\n  moves/0/target: wf005 is also the source" in said
    assert f"{environment}: 1 problem\n  backup/host: wf005 is a source" in said


def test_a_wrong_entry_keeps_its_name_and_the_others_keep_their_positions(tmp_path: Path) -> None:
    """A service without an image is a wrong entry, not an unknown name; the second move stays the second."""
    said = refusal(
        *paths(
            tmp_path,
            inventory=(("services/redis/image", ...),),
            plan=(("moves/0/strategy", "x"), ("moves/1/target", "wf009")),
        )
    )

    assert "services/redis/image: missing" in said
    assert "unknown service" not in said
    assert 'moves/1/target: unknown host "wf009"' in said
    assert said.count("\n  ") == 3


@pytest.mark.parametrize(
    ("inventory", "plan", "environment", "line"),
    [
        (
            (),
            (),
            (("extra", {"services": {"redis": ORDERS}}),),
            ("extra/services/redis: the inventory has it too; expected a name of its own"),
        ),
        (
            (),
            (),
            (("extra", {"services": {"orders": {**ORDERS, "host": "wf009"}}}),),
            'extra/services/orders/host: unknown host "wf009"',
        ),
        (
            (),
            (),
            (("extra", {"links": [{"from": "x", "to": "redis", "name": "r", "port": 1}]}),),
            'extra/links/0/from: unknown service "x"',
        ),
        (
            (),
            (),
            (("extra", {"services": {"orders": {**ORDERS, "container": "n8n"}}}),),
            "extra/services/orders: the container name n8n on wf005 belongs to n8n; expected it to be free",
        ),
        (
            (),
            (),
            (
                (
                    "extra",
                    {"services": {"orders": {**ORDERS, "host": "wf001", "ports": [{"host": 6379, "container": 1}]}}},
                ),
            ),
            "extra/services/orders: port 6379/tcp on wf001 is in the way of redis (plan, moves/1); expected it free",
        ),
        (
            (),
            (),
            (("hosts/wf009", ENVIRONMENT["hosts"]["wf001"]),),
            ('hosts/wf009: unknown host "wf009"; known: wf001, wf002, wf005'),
        ),
        (
            (),
            (),
            (("backup", {**BACKUP, "host": "wf005", "reason": "cheap"}),),
            "backup/host: wf005 is a source of the plan",
        ),
        ((), (), (("backup", {**BACKUP, "host": "wf002"}),), "backup/reason: missing; wf002 is a target of the plan"),
        (
            (("services/redis/wave", "critical"),),
            (),
            (),
            ("moves/1/wave: auxiliary; the inventory has critical for redis; expected the same in both"),
        ),
        ((), (("costs", {"wf007": {"monthly": 1, "currency": "BRL"}}),), (), 'costs/wf007: unknown host "wf007"'),
    ],
)
def test_each_contradiction_between_the_files_has_its_line(
    tmp_path: Path, inventory: Changes, plan: Changes, environment: Changes, line: str
) -> None:
    """One contradiction: one problem, under the file where it is repaired."""
    said = refusal(*paths(tmp_path, inventory, plan, environment))

    assert f"  {line}" in said
    assert said.count("\n  ") == 1


def test_a_backup_on_a_target_needs_a_reason(tmp_path: Path) -> None:
    """The lab has no fourth host: it says so, and may."""
    assert load_files(
        *paths(tmp_path, environment=(("backup", {**BACKUP, "host": "wf002", "reason": "no other host"}),))
    )


def test_a_port_that_is_freed_later_is_taken_when_the_service_arrives(tmp_path: Path) -> None:
    """The night is judged move by move: at its end all would be well, but redis could not start in the middle."""
    inventory = (
        ("services/n8n/host", "wf001"),
        ("services/redis/ports/0/host", 5678),
    )
    plan = (("moves/0", PLAN["moves"][1]), ("moves/1", {**PLAN["moves"][0], "source": "wf001", "wave": "auxiliary"}))

    said = refusal(*paths(tmp_path, inventory, plan))

    assert "moves/0/target: port 5678/tcp on wf001 belongs to n8n when redis arrives; expected it to be free" in said
    assert said.count("\n  ") == 1


def test_a_run_is_refused_for_all_files_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person sees at the start of any command."""
    (tmp_path / "environments").mkdir()
    inventory, plan, _ = paths(tmp_path, inventory=(("hosts/wf001/purpose", ...),), plan=(("title", ...),))
    written(tmp_path / "environments" / "production.yaml", spoiled(ENVIRONMENT, ("hosts/wf001/engine_id", ...)))
    monkeypatch.chdir(tmp_path)
    options = Options("production", (), (), apply=False, inventory=inventory, plan=plan, ssh_config=None, argv=())

    with pytest.raises(InputError) as refused:
        load_scope(options)

    for line in ("hosts/wf001/purpose: missing", "title: missing", "hosts/wf001/engine_id: missing"):
        assert f"  {line}" in str(refused.value)
