"""The network matrix: what must be reached, how each try ended, and what explains it."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Final

import pytest

from checks.hosts.network import (
    Matrix,
    Need,
    explaining_rule,
    join_matrix,
    judge_paths,
    judge_proven,
    judge_reachable,
    listens_at,
)
from engine.config.environment import Environment
from engine.config.inventory import Inventory
from engine.config.plan import Plan
from engine.config.scope import Scope, build_scope
from engine.errors import NotObservedError
from engine.verdict import Verdict
from hosts.facts.model import HostFacts
from hosts.facts.system import FirewallRule, FirewallVerdict, SystemFacts
from hosts.facts.system_parse import parse_firewall
from hosts.network.reachability import SCRIPT, Attempt, Outcome, PathSize, Reachability, parse_reached, try_connections
from phases.preflight.network import list_needs, look_at_network
from tests.fakes.facts import make_container, make_host, make_socket
from tests.fakes.host import FakeHost
from tests.fakes.project_files import ENVIRONMENT, INVENTORY, PLAN, spoiled

NEED: Final = Need("wf005", "wf001", "192.0.2.11", 6379, ("relay redis:6379",))
OPEN: Final = PathSize(1500)


def matrix(
    tried: Attempt, target: HostFacts | None = None, path: PathSize = OPEN, source: HostFacts | None = None
) -> Matrix:
    """Return a matrix of one need, tried from wf005."""
    facts = {"wf001": target or make_host(), "wf005": source or make_host(host="wf005")}
    return join_matrix([NEED], {"wf005": Reachability({("192.0.2.11", 6379): tried}, {"192.0.2.11": path})}, facts, {})


def with_rules(saved: str, **given: Any) -> HostFacts:
    """Return wf001 with a firewall, as iptables-save prints it."""
    return make_host(
        around=SystemFacts(host="wf001", firewall=parse_firewall(f"# by iptables-save\n*filter\n{saved}\nCOMMIT\n")),
        **given,
    )


def test_an_open_port_passes() -> None:
    """And the text gives its delay."""
    answer = judge_reachable(matrix(Attempt(Outcome.OPEN, 1.5)), "wf005")

    assert answer.passed
    assert "1 of 1 ways are open" in answer.text
    assert judge_proven(matrix(Attempt(Outcome.OPEN, 1.5)), "wf005").passed


def test_dropped_packets_fail_with_the_rule_that_drops_them() -> None:
    """DROP: no answer at all."""
    target = with_rules("-A INPUT -p tcp -m tcp --dport 6379 -j DROP", listening=(make_socket(6379),))
    answer = judge_reachable(matrix(Attempt(Outcome.FILTERED, words="no answer within 3 s"), target), "wf005")

    assert answer.verdict is Verdict.FAILED
    assert (
        "wf005 → wf001:6379 filtered (no answer within 3 s); wf001: -A INPUT -p tcp -m tcp --dport 6379 -j DROP"
        in answer.text
    )
    assert "needed for relay redis:6379" in answer.text


def test_rejected_packets_fail_with_the_rule_that_rejects_them() -> None:
    """REJECT looks as if nothing listened: the rule distinguishes the two."""
    target = with_rules("-A INPUT -p tcp -m tcp --dport 6379 -j REJECT --reject-with tcp-reset")
    answer = judge_reachable(matrix(Attempt(Outcome.REFUSED, words="Connection refused"), target), "wf005")

    assert answer.verdict is Verdict.FAILED
    assert "refused (Connection refused); wf001: -A INPUT -p tcp -m tcp --dport 6379 -j REJECT" in answer.text


def test_refused_although_something_listens_fails() -> None:
    """No rule is known, and yet it is not the program that refuses."""
    answer = judge_reachable(matrix(Attempt(Outcome.REFUSED), make_host(listening=(make_socket(6379),))), "wf005")

    assert answer.verdict is Verdict.FAILED
    assert "refused (although something listens there)" in answer.text


def test_where_nothing_listens_yet_packets_pass_and_nothing_is_proven() -> None:
    """Not wrong, not right: reachable, and the proof is asked for in a row of its own."""
    seen = matrix(Attempt(Outcome.REFUSED, words="Connection refused"))

    assert judge_reachable(seen, "wf005").passed
    answer = judge_proven(seen, "wf005")
    assert answer.verdict is Verdict.UNKNOWN
    assert "nothing listens yet at 1 of 1 ports: wf005 → wf001:6379 (relay redis:6379)" in answer.text
    assert seen.table().rows[0][4] == "passable, nothing listens yet"


def test_a_try_with_a_listener_of_ours_is_the_proof() -> None:
    """It was reached while something listened there."""
    reached = {"wf005": Reachability({("192.0.2.11", 6379): Attempt(Outcome.REFUSED)})}
    proven = join_matrix([NEED], reached, {"wf001": make_host()}, {NEED: "2026-01-01 22:00"})

    assert judge_proven(proven, "wf005").passed
    assert proven.table().rows[0][4] == "proven with a listener, 2026-01-01 22:00"


def test_a_host_that_is_down_is_no_fault_of_the_network() -> None:
    """Nothing follows from a try that its machine could not answer."""
    reached = {"wf005": Reachability({("192.0.2.11", 6379): Attempt(Outcome.NO_ROUTE, words="No route to host")})}
    seen = join_matrix([NEED], reached, {"wf005": make_host(host="wf005")}, {})

    for answer in (judge_reachable(seen, "wf005"), judge_proven(seen, "wf005")):
        assert answer.verdict is Verdict.UNKNOWN
        assert "wf005 → wf001:6379 (wf001 itself does not answer)" in answer.text


@pytest.mark.parametrize("outcome", [Outcome.NO_ROUTE, Outcome.NO_NAME])
def test_no_way_and_no_name_fail(outcome: Outcome) -> None:
    """Each with the words of the host."""
    answer = judge_reachable(matrix(Attempt(outcome, words="said so")), "wf005")

    assert answer.verdict is Verdict.FAILED
    assert f"{outcome.value} (said so)" in answer.text


def test_an_mtu_black_hole_fails() -> None:
    """The connection opens, and the first full packet hangs."""
    answer = judge_reachable(matrix(Attempt(Outcome.OPEN, 1.0), path=PathSize(1400, is_silent=True)), "wf005")

    assert answer.verdict is Verdict.FAILED
    assert "wf005 → wf001: packets above 1400 bytes vanish without a word (MTU black hole)" in answer.text


def test_a_smaller_packet_that_is_announced_is_no_black_hole() -> None:
    """A tunnel says so, and TCP adapts."""
    seen = matrix(Attempt(Outcome.OPEN, 1.0), path=PathSize(1450))

    assert judge_reachable(seen, "wf005").passed
    assert "carry packets of 1450 bytes; slowest of 1 connections 1.0 ms" in judge_paths(seen, "wf005").text
    assert judge_paths(matrix(Attempt(Outcome.OPEN), path=PathSize(0)), "wf005").verdict is Verdict.FAILED
    sampled = judge_paths(replace(seen, rates={("wf005", "wf001"): 118.4e6}), "wf005")
    assert sampled.text.endswith("; 118 MB/s in the slowest of 1 samples")
    assert sampled.details == ("wf001: 1450 bytes, 118 MB/s in a sample",)


def test_a_path_that_was_not_measured_is_unknown() -> None:
    """No ping is no measurement."""
    answer = judge_paths(matrix(Attempt(Outcome.OPEN, 1.0), path=PathSize(None, reason="no ping there")), "wf005")

    assert answer.verdict is Verdict.UNKNOWN
    assert "(wf001: no ping there)" in answer.text


def test_a_host_from_which_nothing_was_tried_is_unknown() -> None:
    """In each of its rows, and in the table."""
    seen = join_matrix([NEED], {"wf005": "wf005: ssh failed"}, {}, {})

    assert {judge(seen, "wf005").verdict for judge in (judge_reachable, judge_proven, judge_paths)} == {Verdict.UNKNOWN}
    assert seen.table().rows == (("wf005", "–", "–", "–", "UNKNOWN", "–", "wf005: ssh failed"),)
    untried = judge_reachable(matrix(Attempt(Outcome.NOT_TRIED, words="neither bash nor nc is there")), "wf005")
    assert (untried.verdict, "neither bash nor nc" in untried.text) == (Verdict.UNKNOWN, True)
    assert judge_reachable(seen, "wf002").passed


@pytest.mark.parametrize(
    ("saved", "outcome", "rule"),
    [
        (
            "-A INPUT -p tcp --dport 6379 -j ACCEPT\n-A INPUT -j REJECT",
            Outcome.REFUSED,
            "",
        ),  # accepted before: nothing listens
        ("-A INPUT -p tcp --dport 22 -j ACCEPT\n-A INPUT -j REJECT", Outcome.NO_ROUTE, "wf001: -A INPUT -j REJECT"),
        (":INPUT DROP [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT", Outcome.FILTERED, "wf001: policy of INPUT: DROP"),
        (":FORWARD DROP [0:0]", Outcome.REFUSED, ""),  # Docker's own policy refuses nothing
        ("-A INPUT -s 203.0.113.0/24 -j DROP", Outcome.FILTERED, ""),  # for others
        ("-A DOCKER-USER -p tcp -m conntrack --ctorigdstport 6379 -j DROP", Outcome.FILTERED, "wf001: -A DOCKER-USER"),
        ("-A INPUT -p udp -j DROP", Outcome.FILTERED, ""),
    ],
)
def test_the_rule_that_explains_is_the_first_that_fits(saved: str, outcome: Outcome, rule: str) -> None:
    """In the order of the chain, as the kernel goes through it; policies last; only what can end so."""
    assert explaining_rule(NEED, outcome, {"wf001": with_rules(saved)}).startswith(rule)
    assert bool(explaining_rule(NEED, outcome, {"wf001": with_rules(saved)})) == bool(rule)


def test_the_own_side_may_keep_packets_in() -> None:
    """A rule of the host that connects."""
    rule = FirewallRule(
        "OUTPUT", "-A OUTPUT -p tcp --dport 6379 -j DROP", FirewallVerdict.DROP, "tcp", frozenset({6379})
    )
    here = make_host(host="wf005", around=SystemFacts(host="wf005", firewall=(rule,)))

    assert explaining_rule(NEED, Outcome.FILTERED, {"wf005": here, "wf001": make_host()}).startswith("wf005: -A OUTPUT")


def test_what_listens_is_a_process_or_a_published_port() -> None:
    """Without docker-proxy only the kernel's rules listen; loopback is nobody's business."""
    assert listens_at(make_host(listening=(make_socket(6379),)), 6379)
    assert listens_at(make_host(containers=(make_container(),)), 6379)
    assert listens_at(make_host(listening=(make_socket(6379, address="127.0.0.1"),)), 6379) is False
    assert listens_at(None, 6379) is None
    assert listens_at(make_host(listening_error="no ss"), 6379) is None


def scope(*changes: tuple[str, Any]) -> Scope:
    """Return n8n on its way to wf002 and redis on its way to wf001, both on a network together."""
    inventory = spoiled(INVENTORY, ("services/n8n/networks", ["apps"]))
    environment = spoiled(ENVIRONMENT, *changes)
    plan = Plan.model_validate(PLAN)
    return build_scope(Inventory.model_validate(inventory), plan, Environment.model_validate(environment))


def test_needs_follow_from_the_plan() -> None:
    """Copies there and back, backups and drills, the relays between the moves and after them: each once, with all its
    uses.
    """
    backup = {"host": "wf002", "path": "/var/backups/x", "password": "env:X"}
    found = list_needs(scope(("backup", backup)), {"n8n": "wf005", "redis": "wf005"})
    needs = {(need.host, need.to, need.port): need.why for need in found}
    relayed = {(need.host, need.to): need.why for need in found if "relay redis:6379" in need.why}

    assert needs["wf005", "wf001", 22] == ("copy of redis",)
    assert needs["wf001", "wf005", 22] == ("copy back of redis",)
    assert needs["wf005", "wf002", 22] == ("copy of n8n", "backup of n8n", "backup of redis")
    assert needs["wf001", "wf002", 22] == ("restore drill of redis",)
    assert set(relayed) == {("wf002", "wf005"), ("wf002", "wf001"), ("wf005", "wf001")}, (
        "n8n has moved; both have; the old published port"
    )
    assert ("wf002", "wf002", 22) not in needs


def test_each_host_is_asked_once() -> None:
    """One command for all its tries; a dead host is blind, the others are reported."""
    rows = "try\t192.0.2.11\t22\t0\ttook 1.0 1.002\nmtu\t192.0.2.11\t0\t1500 \n"
    hosts = {name: FakeHost(name, {"sh -s": (0, rows, "")}) for name in ("wf001", "wf002", "wf005")}
    hosts["wf002"] = FakeHost("wf002", {"sh -s": (1, "", "no shell")})
    journal = SimpleNamespace(records=lambda **_: [])
    places = {"n8n": "wf005", "redis": "wf005"}
    context: Any = SimpleNamespace(
        scope=scope(), where=lambda: places, fleet=hosts, facts=lambda name: make_host(host=name), journal=journal
    )
    found = look_at_network(context, context.scope.hosts)

    assert {name: len(host.asked) for name, host in hosts.items()} == {"wf001": 1, "wf002": 1, "wf005": 1}
    assert "no shell" in found.blind["wf002"]
    ssh = next(line for line in found.of("wf005") if (line.need.to, line.need.port) == ("wf001", 22))
    assert (ssh.tried, found.paths["wf005", "192.0.2.11"]) == (Attempt(Outcome.OPEN, 2.0), PathSize(1500))


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        ("0\ttook 100.0005 100.0012", Outcome.OPEN),
        ("124\t", Outcome.FILTERED),
        ("1\ttry: connect: Connection refused", Outcome.REFUSED),
        ("1\ttry: connect: No route to host", Outcome.NO_ROUTE),
        ("1\ttry: connect: Network is unreachable", Outcome.NO_ROUTE),
        ("1\ttry: connect: Connection timed out", Outcome.FILTERED),
        ("1\ttry: line 1: db.invalid: Name or service not known", Outcome.NO_NAME),
        ("1\tnc: bad address 'db.invalid'", Outcome.NO_NAME),
        ("127\tneither bash nor nc is there", Outcome.NOT_TRIED),
        ("2\twhat?", Outcome.NOT_TRIED),
    ],
)
def test_how_a_try_ended_is_understood(row: str, outcome: Outcome) -> None:
    """In the words of bash and of nc; what is not understood is not taken for an answer."""
    assert parse_reached(f"try\t192.0.2.11\t22\t{row}\nnoise\n").tries["192.0.2.11", 22].outcome is outcome


def test_paths_are_read() -> None:
    """A size, a size with silence above, none, and why not."""
    text = "mtu\ta\t0\t1500 \nmtu\tb\t0\t1400 silent\nmtu\tc\t0\t1450 told\nmtu\td\t127\tno ping there\n"

    assert parse_reached(text).paths == {
        "a": PathSize(1500),
        "b": PathSize(1400, is_silent=True),
        "c": PathSize(1450),
        "d": PathSize(None, reason="no ping there"),
    }


def test_a_shell_that_fails_is_reported_with_a_command() -> None:
    """Nothing tried is nothing known; nothing to try is nothing asked."""
    with pytest.raises(
        NotObservedError, match=r"wf005: connections could not be tried from it: no shell.*/dev/tcp/192.0.2.11/22"
    ):
        try_connections(FakeHost("wf005", {"sh -s": (127, "", "no shell")}), [("192.0.2.11", 22)])
    assert try_connections(FakeHost("wf005"), []) == Reachability()


def test_the_script_tries_for_real(local_program: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port of this machine that is open, and one that is not."""
    monkeypatch.undo()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ends = [("127.0.0.1", server.getsockname()[1]), ("127.0.0.1", closed.getsockname()[1])]
        argv = ["sh", "-s", "--", "2", *(f"{address}:{port}" for address, port in ends)]
        answer = subprocess.run(argv, input=SCRIPT, capture_output=True, check=True)
    tries = parse_reached(answer.stdout.decode()).tries

    assert [tries[end].outcome for end in ends] == [Outcome.OPEN, Outcome.REFUSED]
