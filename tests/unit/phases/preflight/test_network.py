"""Ways on which nothing listens yet are tried with a listener of ours, which is gone afterwards."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final

import pytest

from actions.common.test_listener import listening
from engine.errors import ActionError, DeadlineError
from engine.journal.kinds import RecordKind
from engine.saga.outcomes import PlannedOnly
from engine.verdict import Verdict
from hosts.facts.model import HostFacts
from hosts.facts.system import SystemFacts
from hosts.facts.system_parse import parse_firewall
from phases.context.path_rates import measured_rates
from phases.preflight.network import list_needs, proven_needs, try_with_listeners
from tests.fakes.facts import make_host, make_socket
from tests.fakes.host import FakeHost
from tests.unit.checks.hosts.test_network import NEED, scope

PORTS: Final = {
    need.host: need.port
    for need in list_needs(scope(), {"n8n": "wf005", "redis": "wf005"})
    if need.to == "wf001" and need.port != 22
}
"""At which port of wf001 a relay from each of the others comes out."""
STARTED: Final = {"sh -c wait": (0, "listening\n", ""), "docker run": (0, "c0ffee\n", "")}


class Hosts(dict[str, FakeHost]):
    """Hosts of a run that holds no lock."""

    token = None


def context(
    answer: str, target: HostFacts | None = None, **answers: tuple[int, str, str]
) -> tuple[Any, Hosts, list[dict[str, Any]]]:
    """Return redis on its way to wf001, where no relay comes out yet; `answer` is how a try from each other
    host ends.
    """
    rows = {name: f"try\t192.0.2.11\t{port}\t{answer}\n" for name, port in PORTS.items()}
    hosts = Hosts({name: FakeHost(name, {"sh -s": (0, rows[name], "")}) for name in ("wf002", "wf005")})
    hosts["wf001"] = FakeHost("wf001", {**STARTED, **answers})
    facts = target or make_host(listening=(make_socket(22),))
    records: list[dict[str, Any]] = []
    run = SimpleNamespace(record=lambda kind, body: records.append({"kind": kind, **body}))
    where = {"n8n": "wf005", "redis": "wf005"}
    made: Any = SimpleNamespace(
        scope=scope(),
        where=lambda: where,
        fleet=hosts,
        run=run,
        facts=lambda name: facts if name == "wf001" else make_host(host=name),
    )
    return made, hosts, records


def words(host: FakeHost) -> list[str]:
    """Return the commands that a host was given."""
    return [" ".join(argv) for argv, _ in host.asked]


def test_a_way_that_is_open_is_proven_and_recorded() -> None:
    """Published as the relay would be; every host that needs it connects; the record opens preflight's row."""
    made, hosts, records = context("0\ttook 1.0 1.001")
    answer = try_with_listeners(made, "wf001", apply=True)

    assert answer.passed
    assert "a listener was reached on all 2 ways" in answer.text
    (run,) = [command for command in words(hosts["wf001"]) if command.startswith("docker run")]
    assert all(f"--publish {port}:{port}" in run for port in PORTS.values())
    assert "--label longshore.role=trial" in run
    assert {(record["kind"], record["host"]) for record in records} == {
        (RecordKind.NETWORK_TEST, "wf002"),
        (RecordKind.NETWORK_TEST, "wf005"),
    }


def test_a_sample_shows_what_a_way_carries() -> None:
    """Sent once from each host, through the listener; a host whose dd prints nothing has none."""
    made, hosts, records = context("0\ttook 1.0 1.001")
    output = "1024+0 records out\n268435456 bytes (268 MB, 256 MiB) copied, 0.5 s, 537 MB/s\n"
    hosts["wf005"].answers = {"bash -c dd": (0, output, ""), **hosts["wf005"].answers}
    try_with_listeners(made, "wf001", apply=True)

    assert [record for record in records if record["kind"] == RecordKind.PATH_THROUGHPUT] == [
        {"kind": RecordKind.PATH_THROUGHPUT, "host": "wf005", "to": "wf001", "bytes_per_s": 536870912}
    ]
    assert len([command for command in words(hosts["wf005"]) if "dd if=/dev/zero" in command]) == 1
    made.journal = SimpleNamespace(
        records=lambda kind: [SimpleNamespace(body=one) for one in records if one["kind"] == kind]
    )
    assert measured_rates(made.journal) == {("wf005", "wf001"): 536870912.0}


def test_a_way_that_docker_or_a_firewall_closes_fails_with_the_rule() -> None:
    """The host's own port 22 is open; what Docker publishes goes another way."""
    port = PORTS["wf005"]
    rules = parse_firewall(
        f"# by iptables-save\n*filter\n-A DOCKER-USER -p tcp -m conntrack --ctorigdstport {port} -j DROP\nCOMMIT\n"
    )
    made, _, records = context(
        "124\t", make_host(listening=(make_socket(22),), around=SystemFacts(host="wf001", firewall=rules))
    )
    answer = try_with_listeners(made, "wf001", apply=True)

    assert answer.verdict is Verdict.FAILED
    assert any(f"→ wf001:{port} filtered (wf001: -A DOCKER-USER -p tcp" in line for line in answer.details)
    assert {record["outcome"] for record in records} == {"filtered"}


def test_a_host_that_can_not_try_is_unknown() -> None:
    """It has neither bash nor nc."""
    made, _, _ = context("127\tneither bash nor nc is there")

    assert try_with_listeners(made, "wf001", apply=True).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"docker run": (125, "", "port is already allocated")}, ActionError),
        ({"sh -c wait": (0, "", "")}, DeadlineError),
    ],
)
def test_the_listener_is_removed_whatever_happens(
    answers: dict[str, tuple[int, str, str]], error: type[Exception]
) -> None:
    """A container that Docker made and could not start, or that does not begin, is no leftover."""
    hosts = Hosts({"wf001": FakeHost("wf001", {**STARTED, "docker ps": (0, "c0ffee\n", ""), **answers})})
    with pytest.raises(error), listening(hosts, "wf001", [6379], move_label="lab/network/1"):  # type: ignore[arg-type]
        pytest.fail("nothing listens")

    assert words(hosts["wf001"])[-1] == "docker rm --force --volumes c0ffee"


def test_a_dry_run_says_what_it_would_do() -> None:
    """And starts nothing."""
    made, hosts, _ = context("0\t")
    with pytest.raises(
        PlannedOnly, match=f"wf001: listen on {min(PORTS.values())}, {max(PORTS.values())} for some seconds"
    ):
        try_with_listeners(made, "wf001", apply=False)

    assert not hosts["wf001"].asked


def test_where_everything_listens_nothing_is_started() -> None:
    """The service is there already."""
    made, hosts, _ = context("0\t", make_host(listening=(make_socket(22), *map(make_socket, PORTS.values()))))

    assert try_with_listeners(made, "wf001", apply=True).passed
    assert not hosts["wf001"].asked


def test_the_newest_try_counts() -> None:
    """A firewall that was closed since takes the proof away."""

    def tried(outcome: str, at: str) -> Any:
        body = {"host": "wf005", "to": "wf001", "address": "192.0.2.11", "port": 6379, "outcome": outcome}
        return SimpleNamespace(body=body, at=at)

    def proven(*records: Any) -> dict[Any, str]:
        made: Any = SimpleNamespace(journal=SimpleNamespace(records=lambda kind: list(records)))
        return proven_needs(made, [NEED])

    assert proven(tried("filtered", "2026-01-01T20:00:00"), tried("open", "2026-01-01T22:00:00")) == {
        NEED: "2026-01-01 22:00"
    }
    assert proven(tried("open", "2026-01-01T20:00:00"), tried("filtered", "2026-01-01T22:00:00")) == {}
