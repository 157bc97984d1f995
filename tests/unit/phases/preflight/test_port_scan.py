"""A whole scan of an environment: every host is looked at, what does not answer is reported, and the command says what
it means.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import commands.ports
from commands.ports import main
from engine.config.environment import write_environment
from engine.config.scope import Scope, build_scope
from engine.errors import InputError, NotObservedError, RefusedError
from engine.verdict import ExitCode
from hosts.facts.model import HostFacts
from phases.preflight.port_scan import scan_ports, scanned_hosts
from tests.fakes.facts import make_container, make_host, make_socket
from tests.fakes.host import FakeHost
from tests.fakes.project_files import (
    ENVIRONMENT,
    INVENTORY,
    PLAN,
    make_environment,
    make_inventory,
    make_plan,
    spoiled,
    written,
)

OTHER = ("hosts/wf006", {"purpose": "not of this migration"})
PINNED = ("hosts/wf006", {**ENVIRONMENT["hosts"]["wf001"], "address": "192.0.2.16"})
MOUNTED = {"Mounts": [], "Config": {"Cmd": ["n8n", "start"]}}


def answer_with(**files: str) -> str:
    """Return the script's answer for these files of /srv."""
    records = [
        ("compose" if "compose" in name else "file", f"/srv/{name.replace('__', '/')}.yml", text)
        for name, text in files.items()
    ]
    records.append(("searched", "/", "0"))
    return "".join(f"{kind}\0{path}\0{base64.b64encode(text.encode()).decode()}\0" for kind, path, text in records)


class FakeFleet:
    """Hosts with facts and an answer of the search; an error instead of facts is raised."""

    def __init__(self, facts: dict[str, HostFacts | Exception], files: dict[str, str] | None = None) -> None:
        """Take facts by host, and answers by host."""
        self.found, self.hosts = (
            facts,
            {name: FakeHost(name, {"sh -s": (0, (files or {}).get(name, answer_with()), "")}) for name in facts},
        )

    def facts(self, name: str) -> HostFacts:
        """Return or raise."""
        found = self.found[name]
        if isinstance(found, Exception):
            raise found
        return found

    def __getitem__(self, name: str) -> FakeHost:
        """Return a host."""
        return self.hosts[name]


def scope_of(*inventory: Any, environment: Any = ()) -> Scope:
    """Return the scope of the small files."""
    return build_scope(make_inventory(OTHER, *inventory), make_plan(), make_environment(*environment))


def context(**given: Any) -> dict[str, HostFacts | Exception]:
    """Return facts: redis and n8n on wf005, the others empty, changed by what is given."""
    redis = make_container(env={"PEER": "wf005:6379"}, published=(("", 6379, 6379, "tcp"),), raw=MOUNTED)
    n8n = make_container(
        name="n8n",
        published=(("", 5678, 5678, "tcp"),),
        raw=MOUNTED,
        env={"QUEUE_HOST": "192.0.2.15", "QUEUE_PORT": "6379"},
    )
    empty = {name: make_host(host=name) for name in ("wf001", "wf002", "wf006")}
    return {**empty, "wf005": make_host(host="wf005", containers=(redis, n8n)), **given}


TAKEN = make_host(listening=(make_socket(6379, process="valkey-server"),))


def scan(facts: dict[str, HostFacts | Exception], scope: Scope | None = None, **files: str) -> Any:
    """Scan a fake fleet."""
    scope = scope or scope_of(environment=(PINNED,))
    return scan_ports(scope, FakeFleet(facts, files), {"redis": "wf005", "n8n": "wf005"})  # type: ignore[arg-type]


def test_all_hosts_of_the_inventory_are_scanned() -> None:
    """Not only those of the plan; in a lab those that it has."""
    lab = build_scope(make_inventory(OTHER), make_plan(), make_environment(("environment", "lab")))

    assert set(scanned_hosts(scope_of())) == {"wf001", "wf002", "wf005", "wf006"}
    assert set(scanned_hosts(lab)) == {"wf001", "wf002", "wf005"}


@pytest.mark.parametrize("error", [NotObservedError("wf006: ssh failed"), RefusedError("wf006: another machine")])
def test_a_host_outside_the_plan_that_does_not_answer_has_its_own_row(error: Exception) -> None:
    """And hinders nobody; one without identity is reported with the way to pin it."""
    found = scan(context(wf006=error)).report
    unpinned = scan(context(), scope_of()).report

    assert found.unseen == {"wf006": str(error)}
    assert found.after == ()
    assert "nox -s pin" in unpinned.unseen["wf006"]


def test_a_host_of_the_plan_that_is_another_machine_stops_all() -> None:
    """Nothing that it says may count."""
    with pytest.raises(RefusedError):
        scan(context(wf001=RefusedError("wf001: another machine")))


def test_conflict_remap_and_consumers_are_joined() -> None:
    """A process on the target has the port; its consumers are the link, a variable, a pair of variables and a file."""
    prometheus = "services:\n  a:\n    image: x\n    command: --peer=wf005:6379\n"
    found = scan(context(wf001=TAKEN), wf002=answer_with(shop__compose=prometheus)).report

    assert [remap.text() for remap in found.remaps] == [
        "redis on wf001: 6379/tcp becomes 16379/tcp, because process valkey-server on 0.0.0.0 has it"
    ]
    assert [(one.role, one.place, one.becomes) for one in found.consumers] == [
        ("link", "n8n on wf002", "redis:6379"),
        ("setting", "wf002:/srv/shop/compose.yml:4", "wf001:16379"),
        ("setting", "wf005:container n8n, QUEUE_HOST and QUEUE_PORT", "192.0.2.11:16379"),
        ("setting", "wf005:container redis, PEER", "wf001:16379"),
    ]


def test_a_move_that_is_done_and_one_whose_host_is_silent() -> None:
    """The first wants nothing more; the second counts with the inventory's ports."""
    scope = scope_of(environment=(PINNED,))
    fleet = FakeFleet(context(wf005=NotObservedError("wf005: ssh failed"), wf001=TAKEN))
    found = scan_ports(scope, fleet, {"redis": "wf005", "n8n": "wf002"})  # type: ignore[arg-type]

    assert found.arrivals["n8n"].done
    assert [port.key for port in found.arrivals["redis"].ports] == ["6379/tcp"]
    assert found.report.blocking
    assert found.report.unseen == {"wf005": "wf005: ssh failed"}


def test_files_that_are_named_elsewhere_are_fetched() -> None:
    """In one more trip for all of them, and no more when they are not there."""
    fleet = FakeFleet(context(), {"wf002": answer_with(shop__compose="include: [/etc/common.yaml]\n")})
    found = scan_ports(scope_of(environment=(PINNED,)), fleet, {})  # type: ignore[arg-type]

    asked = [argv[5:] for argv, _ in fleet.hosts["wf002"].asked]
    assert "/etc/common.yaml" in asked[1]
    assert len(asked) == 2
    assert "names /etc/common.yaml, which is not there" in found.hosts["wf002"].projects[0].troubles[0].text()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the small files into a folder that the command starts in."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "inventory.yaml", spoiled(INVENTORY, OTHER))
    written(tmp_path / "migration_plan.json", PLAN)
    (tmp_path / "environments").mkdir()
    write_environment(tmp_path / "environments" / "production.yaml", make_environment(PINNED))
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, facts: dict[str, HostFacts | Exception], *flags: str) -> int:
    """Run the command on fake hosts."""

    @contextmanager
    def fake(names: Any, _environment: Any, _ssh_config: Any) -> Iterator[FakeFleet]:
        assert set(names) == {"wf001", "wf002", "wf005", "wf006"}
        yield FakeFleet(facts)

    monkeypatch.setattr(commands.ports, "open_hosts", fake)
    return main(["--environment", "production", *flags])


@pytest.mark.usefixtures("files")
def test_exit_status(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """0 without conflict, also when a host outside the plan is silent; 2 when one of the plan is; 1 for a conflict."""
    silent = NotObservedError("wf00x: ssh failed")

    assert run(monkeypatch, context()) == ExitCode.OK
    assert run(monkeypatch, context(wf006=silent)) == ExitCode.OK
    assert "UNKNOWN: wf00x" in capsys.readouterr().out.replace("\n", " ")
    assert run(monkeypatch, context(wf002=silent)) == ExitCode.INCOMPLETE
    assert run(monkeypatch, context(wf001=TAKEN)) == ExitCode.FAILED
    assert "add --write" in capsys.readouterr().out


def test_write_changes_the_plan_by_the_remap_alone(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The difference is shown; a second scan proposes nothing."""
    before = (files / "migration_plan.json").read_text(encoding="utf-8")

    assert run(monkeypatch, context(wf001=TAKEN), "--write") == ExitCode.OK
    after = (files / "migration_plan.json").read_text(encoding="utf-8")
    assert after == before.replace('"wave": "auxiliary"}', '"wave": "auxiliary", "ports": {"6379/tcp": 16379}}')
    said = capsys.readouterr().out
    assert '+{"version"' in said
    assert "run preflight again" in said
    assert run(monkeypatch, context(wf001=TAKEN), "--write") == ExitCode.OK
    assert (files / "migration_plan.json").read_text(encoding="utf-8") == after
    assert sorted(path.name for path in files.iterdir()) == ["environments", "inventory.yaml", "migration_plan.json"]


@pytest.mark.usefixtures("files")
def test_json_is_for_programs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It parses, and holds what the tables hold."""
    assert run(monkeypatch, context(wf001=TAKEN), "--json") == ExitCode.FAILED
    data = json.loads(capsys.readouterr().out)

    assert data["remaps"][0]["becomes"] == 16379
    assert {one["role"] for one in data["consumers"]} == {"link", "setting"}


def test_paths_and_hosts_are_two_things(tmp_path: Path) -> None:
    """Wrong words are refused, not guessed."""
    for argv in ([], [str(tmp_path), "--lab"], [str(tmp_path), "--write"]):
        with pytest.raises(InputError):
            main(argv)
    assert main([str(tmp_path)]) == ExitCode.OK
