"""The three files: what is right loads; each mistake is reported with path, what was seen and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from commands import schema
from engine.config.environment import Environment, load_environment, write_environment
from engine.config.inventory import load_inventory
from engine.config.plan import load_plan
from engine.errors import InputError
from tests.fakes.project_files import ENVIRONMENT, INVENTORY, PLAN, make_environment, make_inventory, spoiled, written

ROOT = Path(__file__).parents[4]
PASSWORD = "hunter2-Tr0ub4dor"
PROM = "https://prom.invalid:9090"
CLASH = "services/redis/ports: 5678/tcp on wf005 is published by n8n too; expected one service per port"


def _n8n_needs_back(port: int = 5678) -> list[dict[str, Any]]:
    return [*INVENTORY["links"], {"from": "redis", "to": "n8n", "name": "n8n", "port": port}]


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("version", 2, "version: Input should be 1 (seen: '2')"),
        ("hosts", ..., "hosts: missing"),
        ("hosts/wf001/purpos", "x", 'hosts/wf001/purpos: unknown key; did you mean "purpose"?'),
        ("hosts/wf001/zzz", "x", "hosts/wf001/zzz: unknown key; known: notes, purpose, thresholds"),
        ("hosts/wf001/purpose", 3, "hosts/wf001/purpose: expected text (seen: '3')"),
        (
            "hosts/wf001/thresholds",
            {"cpu_percent": 0},
            ("hosts/wf001/thresholds/cpu_percent: Input should be greater than 0 (seen: '0')"),
        ),
        ("services/redis/wvae", "critical", 'services/redis/wvae: unknown key; did you mean "wave"?'),
        ("services/redis/container", ..., "services/redis/container: missing"),
        ("services/redis/ports", 6379, "services/redis/ports: expected a list (seen: '6379')"),
        ("services/redis/ports/0/host", "many", "services/redis/ports/0/host: expected a whole number (seen: 'many')"),
        ("services/redis/ports/0/hots", 1, 'services/redis/ports/0/hots: unknown key; did you mean "host"?'),
        (
            "services/redis/ports/0/address",
            "everywhere",
            ("services/redis/ports/0/address: expected an IPv4 or IPv6 address (seen: 'everywhere')"),
        ),
        (
            "services/redis/mounts/0/rule",
            "move",
            ("services/redis/mounts/0/rule: Input should be 'copy', 'same_on_target' or 'drop' (seen: 'move')"),
        ),
        ("services/redis/host", "wf009", 'services/redis/host: unknown host "wf009"; known: wf001, wf002, wf005'),
        (
            "services/redis/container",
            "n8n",
            ("services/redis/container: n8n on wf005 is that of n8n; expected one service per container"),
        ),
        (
            "services/redis/health",
            {"kind": "tcp"},
            ("services/redis/health/port: missing; expected the port in the container that answers tcp"),
        ),
        ("services/redis/ports/0/host", 5678, CLASH),
        ("links/0/to", "rediss", 'links/0/to: unknown service "rediss"; known: n8n, redis'),
        (
            "services/redis/container",
            "redis; reboot",
            ('services/redis/container: expected a name of letters, digits, "_", "." and "-"'),
        ),
        ("services/redis/host", "-oProxyCommand=x", "services/redis/host: expected a name of letters"),
        ("services/a b", INVENTORY["services"]["n8n"], "services/a b: expected a name of letters, digits"),
        ("hosts/wf001\n", {"purpose": "x"}, r"hosts/wf001\n: expected a name of letters, digits"),
        ("links/0/port", 70000, "links/0/port: Input should be less than or equal to 65535 (seen: '70000')"),
        (
            "links",
            _n8n_needs_back(),
            (
                "links: a circle: n8n → redis → n8n; mark the link that is "
                "not needed at start "
                "with needed_at_start: "
                "false"
            ),
        ),
    ],
)
def test_each_mistake_in_the_inventory_has_its_line(tmp_path: Path, path: str, value: Any, line: str) -> None:
    """One mistake: one line with its path, what was seen and what was expected; exactly one, so none hides another."""
    file = written(tmp_path / "inventory.yaml", spoiled(INVENTORY, (path, value)))

    with pytest.raises(InputError) as refused:
        load_inventory(file)

    first, *problems = str(refused.value).splitlines()
    assert line in str(refused.value)
    assert first == f"{file}: {len(problems)} problem" + ("s" if len(problems) > 1 else "")


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("titel", "x", 'titel: unknown key; did you mean "title"?'),
        ("moves", [], "moves: none; expected at least one"),
        (
            "moves/0/strategy",
            "live",
            ("moves/0/strategy: Input should be 'precopy', 'stop_copy' or 'replicate' (seen: 'live')"),
        ),
        ("moves/0/service", "n9n", 'moves/0/service: unknown service "n9n"; known: n8n, redis'),
        ("moves/0/source", "wf001", "moves/0/source: n8n is on wf005 in the inventory; seen wf001"),
        ("moves/0/target", "wf009", 'moves/0/target: unknown host "wf009"; known: wf001, wf002, wf005'),
        ("moves/0/target", "wf005", "moves/0/target: wf005 is also the source; expected another host"),
        ("moves/0/wave", "auxiliary", ""),
        ("moves/1/service", "n8n", "moves/1/service: n8n moves twice; expected once"),
        (
            "moves/0/wave",
            "urgent",
            ("moves/0/wave: Input should be 'critical', 'monitoring' or 'auxiliary' (seen: 'urgent')"),
        ),
        ("moves/1/wave", "critical", ""),
        ("window/starts_at", "2026-12-05T22:00:00", "window/starts_at: Input should have timezone info"),
        (
            "window/ends_at",
            "2026-12-05T20:00:00-03:00",
            ("window: ends (2026-12-05T20:00:00-03:00) before it starts (2026-12-05T22:00:00-03:00)"),
        ),
        (
            "window/ends_at",
            "2026-12-05T22:30:00-03:00",
            ("window: is 0.5 h long; expected 4 to 8 h. Change starts_at or ends_at, or the plan's"),
        ),
        ("window/ends_at", "2026-12-06T07:00:00-03:00", "window: is 9 h long; expected 4 to 8 h"),
        ("window_max_h", 5.5, "window: is 6 h long; expected 4 to 5.5 h"),
        ("window_min_h", 9, "window_min_h: 9 is more than window_max_h, 8; expected it not to be"),
        ("window_min_h", 0, "window_min_h: Input should be greater than 0"),
        (
            "moves/0/service",
            "../n8n",
            (
                'moves/0/service: expected a name of letters, digits, "_", '
                '"." and "-" that '
                "begins with a letter or "
                "digit"
            ),
        ),
        ("approvals/0/count", 0, "approvals/0/count: Input should be greater than or equal to 1 (seen: '0')"),
        (
            "costs",
            {"wf007": {"monthly": 1, "currency": "BRL"}},
            ('costs/wf007: unknown host "wf007"; known: wf001, wf002, wf005'),
        ),
        ("evidence_max_age_h", "long", "evidence_max_age_h: expected a number (seen: 'long')"),
    ],
)
def test_each_mistake_in_the_plan_has_its_line(tmp_path: Path, path: str, value: Any, line: str) -> None:
    """The plan's mistakes are reported the same way; an empty expected line means that it is no mistake."""
    file = written(tmp_path / "migration_plan.json", spoiled(PLAN, (path, value)))

    if not line:
        assert load_plan(file, make_inventory()).moves
        return
    with pytest.raises(InputError) as refused:
        load_plan(file, make_inventory())
    assert f"  {line}" in str(refused.value)


def test_waves_come_in_their_order(tmp_path: Path) -> None:
    """A critical move after an auxiliary one is refused: the plan's order is the order of the night."""
    file = written(
        tmp_path / "migration_plan.json", spoiled(PLAN, ("moves/0/wave", "auxiliary"), ("moves/1/wave", "critical"))
    )

    with pytest.raises(
        InputError, match=r"moves/1/wave: critical after auxiliary; expected the order critical, monitoring, auxiliary"
    ):
        load_plan(file, make_inventory())


def test_ports_of_the_target_are_counted_after_all_moves(tmp_path: Path) -> None:
    """Two services that never met before, on one port of one target, are found before the night."""
    apart = make_inventory(
        ("services/redis/ports/0/host", 5678),
        ("services/redis/ports/0/address", "192.0.2.5"),
        ("services/n8n/ports/0/address", "192.0.2.6"),
    )
    assert load_plan(written(tmp_path / "plan.json", PLAN), apart)
    together = make_inventory(("services/redis/ports/0/host", 5678))
    file = written(tmp_path / "migration_plan.json", spoiled(PLAN, ("moves/0/target", "wf001")))

    with pytest.raises(
        InputError,
        match="moves/1/target: port 5678/tcp on wf001 belongs to n8n when redis arrives; expected it to be free",
    ):
        load_plan(file, together)


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("environment", "staging", "environment: staging in a file named production; expected the same"),
        (
            "hosts/wf001/address",
            "wf001.example",
            ("hosts/wf001/address: expected an IPv4 or IPv6 address (seen: 'wf001.example')"),
        ),
        (
            "hosts/wf001/machine_id",
            "none",
            ("hosts/wf001/machine_id: String should match pattern '^[0-9a-f]{32}$' (seen: 'none')"),
        ),
        ("hosts/wf001/ssh_host_key", "AAAA", "hosts/wf001/ssh_host_key: String should match pattern"),
        ("hosts/wf001/ssh_host_key", "ssh-ed25519 AAAA=C", "hosts/wf001/ssh_host_key: is no key ("),
        ("hosts/wf001/engine_id", ..., "hosts/wf001/engine_id: missing"),
        (
            "backup",
            {"host": "wf009", "path": "/b", "password": "env:P"},
            ('backup/host: unknown host "wf009"; known: wf001, wf002, wf005'),
        ),
        (
            "backup",
            {"host": "wf001", "path": "b", "password": "env:P"},
            ("backup/path: String should match pattern '^/.+' (seen: 'b')"),
        ),
        (
            "prometheus",
            {"url": "prom:9090", "instances": {}},
            ("prometheus/url: expected http(s)://HOST:PORT and perhaps a path"),
        ),
        (
            "prometheus",
            {"url": PROM, "instances": {"wf009": ["a:1"]}},
            ('prometheus/instances/wf009: unknown host "wf009"; known: wf001,'),
        ),
        (
            "prometheus",
            {"url": PROM, "instances": {"wf001": []}},
            ("prometheus/instances/wf001: Tuple should have at least 1 item"),
        ),
        (
            "prometheus",
            {"url": PROM, "instances": {"wf001": ['"} or up']}},
            "prometheus/instances/wf001/0: String should match pattern",
        ),
        (
            "prometheus",
            {"url": PROM, "instances": {"wf001": ["a:1"], "wf002": ["a:1"]}},
            "prometheus/instances/wf002: a:1 is wf001's too; expected",
        ),
        (
            "prometheus",
            {"url": PROM, "instances": {}, "user": "ops"},
            ("prometheus: one of user and password; expected both, or none"),
        ),
        (
            "prometheus",
            {"url": PROM, "instances": {}, "password": "env:P"},
            ("prometheus: one of user and password; expected both, or none"),
        ),
        (
            "prometheus",
            {"url": PROM, "instances": {}, "user": "ops", "password": "env:P", "token": "env:T"},
            "prometheus: a token and a password;",
        ),
    ],
)
def test_each_mistake_in_an_environment_has_its_line(tmp_path: Path, path: str, value: Any, line: str) -> None:
    """An environment that could mean another machine is refused with the place to repair."""
    file = written(tmp_path / "production.yaml", spoiled(ENVIRONMENT, (path, value)))

    with pytest.raises(InputError) as refused:
        load_environment(file)

    assert f"  {line}" in str(refused.value)


def test_a_wrong_window_is_reported_once(tmp_path: Path) -> None:
    """How long it would be is not judged while it has no beginning."""
    file = written(tmp_path / "plan.json", spoiled(PLAN, ("window/starts_at", "soon"), ("window_min_h", 7)))

    with pytest.raises(InputError) as refused:
        load_plan(file, make_inventory())

    assert str(refused.value).startswith(f"{file}: 1 problem\n  window/starts_at: ")


def test_five_mistakes_give_five_lines(tmp_path: Path) -> None:
    """A person repairs all at once: shape and sense are reported together, each with its path."""
    file = written(
        tmp_path / "inventory.yaml",
        spoiled(
            INVENTORY,
            ("hosts/wf001/purpos", "x"),
            ("services/n8n/host", "wf009"),
            ("services/redis/ports/0/host", "many"),
            ("services/redis/networks", "apps"),
            ("links/0/to", "rediss"),
        ),
    )

    with pytest.raises(InputError) as refused:
        load_inventory(file)

    first, *problems = str(refused.value).splitlines()
    assert first == f"{file}: 5 problems"
    paths = (
        "hosts/wf001/purpos:",
        "services/n8n/host:",
        "services/redis/ports/0/host:",
        "services/redis/networks:",
        "links/0/to:",
    )
    assert [path for path in paths if not any(line.strip().startswith(path) for line in problems)] == []


def test_a_password_in_the_inventory_is_refused_without_being_shown(tmp_path: Path) -> None:
    """The message says what belongs there; it goes to terminals and tickets, so the value must not be in it."""
    file = written(tmp_path / "inventory.yaml", spoiled(INVENTORY, ("services/redis/secrets/password", PASSWORD)))

    with pytest.raises(InputError) as refused:
        load_inventory(file)

    assert "services/redis/secrets/password: expected a reference: env:NAME" in str(refused.value)
    assert PASSWORD not in str(refused.value)
    assert PASSWORD[:8] not in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [
        {"url": f"https://ops:{PASSWORD}@prom:9090"},
        {"url": f"https://prom:9090/?token={PASSWORD}"},
        {"url": "https://prom:9090", "token": PASSWORD},
        {"url": "https://prom:9090", "user": "ops", "password": PASSWORD},
    ],
)
def test_a_password_of_the_prometheus_is_refused_without_being_shown(tmp_path: Path, given: dict[str, str]) -> None:
    """Neither in its address nor in the place of its reference."""
    file = written(tmp_path / "production.yaml", spoiled(ENVIRONMENT, ("prometheus", {"instances": {}, **given})))

    with pytest.raises(InputError) as refused:
        load_environment(file)

    assert "prometheus/" in str(refused.value)
    assert PASSWORD[:8] not in str(refused.value)


def test_a_password_for_the_backup_is_refused_without_being_shown(tmp_path: Path) -> None:
    """The same in an environment."""
    backup = {"host": "wf001", "path": "/b", "password": PASSWORD}
    file = written(tmp_path / "production.yaml", spoiled(ENVIRONMENT, ("backup", backup)))

    with pytest.raises(InputError) as refused:
        load_environment(file)

    assert PASSWORD[:8] not in str(refused.value)


@pytest.mark.parametrize("part", [f"password: {PASSWORD}", PASSWORD, [PASSWORD], {"a": {"b": PASSWORD}}])
@pytest.mark.parametrize(
    "path", ["services/redis/secrets", "services/redis", "services", "services/redis/secrets/password"]
)
def test_what_should_hold_a_reference_is_not_shown_either(tmp_path: Path, path: str, part: Any) -> None:
    """A text, list or mapping in the place of the secrets, their service or all services may be or hold the
    password.
    """
    file = written(tmp_path / "inventory.yaml", spoiled(INVENTORY, (path, part)))

    with pytest.raises(InputError) as refused:
        load_inventory(file)

    assert PASSWORD[:8] not in str(refused.value)
    assert f"  {path}" in str(refused.value)


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("services/redis/image", ["redis:8", PASSWORD], "a list of 2"),
        ("hosts/wf001/purpose", {"x": PASSWORD}, "a mapping of 1"),
        ("services/redis/ports/0/address", f"postgres://app:{PASSWORD}@db", "postgres://app:***@db"),
    ],
)
def test_a_wrong_value_is_shown_only_as_far_as_it_is_harmless(
    tmp_path: Path, path: str, value: Any, shown: str
) -> None:
    """A collection is shown by its size, and what looks like a secret is replaced, wherever it stands."""
    file = written(tmp_path / "inventory.yaml", spoiled(INVENTORY, (path, value)))

    with pytest.raises(InputError) as refused:
        load_inventory(file)

    assert shown in str(refused.value)
    assert PASSWORD[:8] not in str(refused.value)


def test_the_customers_files_load() -> None:
    """What lies in the repository is right: 14 services, 13 moves, nothing for the host that is not ours."""
    inventory = load_inventory(ROOT / "inventory.yaml")
    plan = load_plan(ROOT / "migration_plan.json", inventory)

    assert (len(inventory.services), len(plan.moves)) == (14, 13)
    assert {move.source for move in plan.moves} == {"wf005"}
    assert "wf006" not in {move.target for move in plan.moves}


def test_published_schemas_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor helps with what the models say today."""
    monkeypatch.chdir(ROOT)

    assert schema.main(["--check"]) == 0


def test_a_stale_schema_is_reported_with_the_command_that_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing and stale are refused by --check; writing repairs both."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"is not what the models say. Try: nox -s schema"):
        schema.main(["--check"])

    schema.main([])
    assert schema.main(["--check"]) == 0
    (tmp_path / "schemas" / "inventory.schema.json").write_text("{}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"inventory.schema.json"):
        schema.main(["--check"])
    with pytest.raises(InputError, match="expected nothing or --check"):
        schema.main(["--chek"])


def test_an_environment_is_written_as_it_is_read(tmp_path: Path) -> None:
    """What `pin` writes, the next run reads; nobody else may read it."""
    file = tmp_path / "production.yaml"
    environment: Environment = make_environment(("hosts/wf001/lab", True))

    write_environment(file, environment)

    assert load_environment(file) == environment
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_environment_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves the old file as it was and nothing next to it; a loose mode becomes the owner's alone."""
    file = tmp_path / "production.yaml"
    write_environment(file, make_environment())
    file.chmod(0o644)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(YAML, "dump", fail)
        with pytest.raises(OSError, match="No space left"):
            write_environment(file, make_environment(("hosts/wf001/lab", True)))
    assert load_environment(file) == make_environment()
    assert list(tmp_path.iterdir()) == [file]

    write_environment(file, make_environment(("hosts/wf001/lab", True)))
    assert load_environment(file).hosts["wf001"].lab
    assert file.stat().st_mode & 0o777 == 0o600
