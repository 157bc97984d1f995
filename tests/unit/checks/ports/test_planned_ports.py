"""A planned move may publish a port under another number: checked in the plan, made on the target, demanded by the
comparison.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actions.container_spec.create_body import specification_of
from checks.containers.recreated import compare_containers, judge_fidelity
from checks.ports.planned_ports import PlannedPorts, PublishedPort
from checks.ports.report import HostScan, as_json, report_of
from checks.ports.tables import tables_of
from checks.ports.verdicts import judge_compose_understood, judge_ports_after_moves
from engine.config.loading import load_files
from engine.config.plan import load_plan
from engine.config.scope import build_scope
from engine.errors import InputError
from engine.verdict import Verdict
from phases.signoff.plan_text import render_plan
from tests.fakes.facts import make_host, make_socket
from tests.fakes.inspect_answer import inspected, recreated
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

REMAP = {"6379/tcp": 16379}


def problems(tmp_path: Path, ports: Any, *inventory: tuple[str, Any]) -> str:
    """Return what is said against the small plan with these remaps of redis."""
    file = written(tmp_path / "plan.json", spoiled(PLAN, ("moves/1/ports", ports)))
    try:
        load_plan(file, make_inventory(*inventory))
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        (REMAP, ""),
        ({"6380/tcp": 16380}, "moves/1/ports/6380/tcp: redis publishes no such port; known: 6379/tcp"),
        ({"6379": 16379}, "moves/1/ports/6379"),
        ({"6379/tcp": 70_000}, "moves/1/ports/6379/tcp"),
    ],
)
def test_remaps_name_published_ports(tmp_path: Path, ports: Any, said: str) -> None:
    """By number and protocol; what the service does not publish can't be remapped."""
    answer = problems(tmp_path, ports)

    assert said in answer
    assert bool(said) == bool(answer)


def test_two_ports_can_not_become_one(tmp_path: Path) -> None:
    """Of one service on one address."""
    two = ("services/redis/ports", [{"host": 6379, "container": 6379}, {"host": 6380, "container": 6380}])

    assert "6379 and 6380 both become 6380/tcp on wf001" in problems(tmp_path, {"6379/tcp": 6380}, two)


def test_a_remap_solves_a_conflict_with_a_service_that_is_there(tmp_path: Path) -> None:
    """The plan is wrong without it and right with it; who plans the remap can read it either way."""
    cache = (
        "services/cache",
        {
            "product": "redis",
            "host": "wf001",
            "container": "cache",
            "image": "redis:8",
            "ports": [{"host": 6379, "container": 6379}],
        },
    )
    files = [
        written(tmp_path / "inventory.yaml", spoiled(INVENTORY, cache)),
        tmp_path / "plan.json",
        written(tmp_path / "production.yaml", ENVIRONMENT),
    ]
    written(files[1], PLAN)

    with pytest.raises(InputError, match="port 6379/tcp on wf001 belongs to cache"):
        load_files(*files)
    assert load_files(*files, ports_taken=False).plan.moves[1].ports == {}
    assert problems(tmp_path, REMAP, cache) == ""


def test_who_signs_reads_the_remap() -> None:
    """The plan as a person reads it names it, and its digest is another one."""
    scopes = [
        build_scope(make_inventory(), make_plan(("moves/1/ports", ports)), make_environment()) for ports in ({}, REMAP)
    ]

    assert "published 6379/tcp becomes 16379 on wf001" in render_plan(scopes[1])
    assert scopes[0].digest != scopes[1].digest


def test_the_container_is_created_with_it() -> None:
    """The host's port changes, the container's and the address stay."""
    body = specification_of(inspected(), ports=REMAP)

    assert body["HostConfig"]["PortBindings"] == {"6379/tcp": [{"HostIp": "192.0.2.5", "HostPort": "16379"}]}
    assert (
        specification_of(inspected(), ports={"6379/udp": 1})["HostConfig"]["PortBindings"]["6379/tcp"][0]["HostPort"]
        == "6379"
    )


def test_the_comparison_demands_it() -> None:
    """With the remap in the plan another port is right, and the old one is wrong; without it the other way round."""
    moved = recreated()
    moved["HostConfig"]["PortBindings"]["6379/tcp"][0]["HostPort"] = "16379"
    path = ["HostConfig.PortBindings.6379/tcp.0.HostPort"]

    assert compare_containers(inspected(), moved, ports=REMAP) == []
    assert [one.path for one in compare_containers(inspected(), moved)] == path
    assert [one.path for one in compare_containers(inspected(), recreated(), ports=REMAP)] == path
    answer = judge_fidelity("redis on wf001", inspected(), moved, ports=REMAP)
    assert answer.passed
    assert "6379/tcp published as 16379, as the plan says" in answer.text


def redis(**given: Any) -> PlannedPorts:
    """Return redis on its way to wf001."""
    return PlannedPorts("redis", "wf005", "wf001", (PublishedPort(6379, 6379),), "redis", **given)


def scans(*listening: Any, **given: Any) -> list[HostScan]:
    """Return both hosts, seen, with something listening on the target."""
    return [HostScan("wf001", make_host(listening=listening, **given)), HostScan("wf005", make_host(host="wf005"))]


def test_the_verdict_names_the_holder_and_the_way_out() -> None:
    """A port that a process has, which is not Docker's."""
    report = report_of(scans(make_socket(6379, process="valkey-server")), [redis()])
    answer = judge_ports_after_moves(report, redis())

    assert answer.verdict is Verdict.FAILED
    assert "process valkey-server on 0.0.0.0" in answer.text
    assert "6379/tcp becomes 16379/tcp" in answer.text
    assert "nox -s ports -- --environment NAME --write" in answer.text
    assert report.unsolved == ()
    assert judge_ports_after_moves(
        report_of(scans(make_socket(6379)), [redis(remaps=REMAP)]), redis(remaps=REMAP)
    ).passed


def test_a_target_that_was_not_seen_is_unknown() -> None:
    """Also when only its sockets were not; another host that is silent is nobody's business."""
    silent = HostScan("wf006", None, error="wf006: ssh failed")
    report = report_of([*scans(listening_error="no ss"), silent], [redis()])

    assert judge_ports_after_moves(report, redis()).verdict is Verdict.UNKNOWN
    assert judge_ports_after_moves(report_of([*scans(), silent], [redis()]), redis()).passed
    assert judge_compose_understood(silent).verdict is Verdict.UNKNOWN
    assert report.unseen["wf006"] == "wf006: ssh failed"


def test_a_service_that_has_arrived_is_no_question() -> None:
    """Its own container has the port."""
    arrived = redis(done=True)

    assert judge_ports_after_moves(report_of(scans(make_socket(6379)), [arrived]), arrived).passed


def test_tables_and_json_hold_the_same() -> None:
    """What is in conflict, what is proposed, and who was not seen."""
    report = report_of([*scans(make_socket(6379)), HostScan("wf006", None, error="wf006: ssh failed")], [redis()])
    tables, data = {table.title: table.rows for table in tables_of(report)}, as_json(report)

    assert ("wf006", "–", "–", "–", "UNKNOWN: wf006: ssh failed") in tables["Compose files"]
    assert tables["Port remaps proposed"] == (("redis", "wf001", "6379/tcp", "16379/tcp", "process nginx on 0.0.0.0"),)
    assert data["remaps"] == [
        {
            "service": "redis",
            "target": "wf001",
            "port": "6379/tcp",
            "becomes": 16379,
            "because": "process nginx on 0.0.0.0",
        }
    ]
    assert data["hosts"]["wf006"]["not_seen"] == "wf006: ssh failed"
    assert [one["when"] for one in data["conflicts"]] == ["after the moves"]
