"""The bench of preflight counts what it says, and judges both sides by the same assertions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bench import preflight
from bench.preflight import Assertion, assertions_of, count_calls, judge_ours, judge_theirs
from engine.errors import ActionError
from hosts.facts.system import SystemFacts
from tests.fakes.facts import make_container, make_host, make_socket

AROUND = SystemFacts(settings={"vm.overcommit_memory": "1", "transparent_hugepage": "never"}, users={0: "root"})


def test_connections_and_commands_are_counted_apart() -> None:
    """A forward or a check on a connection is neither; other machines are nobody."""
    log = "\n".join(
        "\t".join(words)
        for words in (
            ["-F", "x", "-o", "ControlMaster=yes", "wf005", "cat >/dev/null"],
            ["-F", "x", "wf005", "sh -s -- mark 15"],
            ["-F", "x", "wf005", "docker diff redis"],
            ["-F", "x", "-O", "forward", "-L", "1:2", "wf005"],
            ["-o", "ControlMaster=yes", "wf001", "cat >/dev/null"],
            ["github.example", "true"],
        )
    )

    assert count_calls(log + "\n") == ({"wf005": 1, "wf001": 1}, {"wf005": 2})


def test_both_sides_judge_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Testinfra is asked for each value that the facts hold; one that differs stops the bench."""
    facts = make_host(
        containers=(make_container(),), listening=(make_socket(22), make_socket(80, address="192.0.2.1")), around=AROUND
    )
    asserted = assertions_of([facts])

    assert [(one.kind, one.subject, one.value) for one in asserted] == [
        ("running", "redis", "True"),
        ("listening", "tcp://0.0.0.0:22", "True"),
        ("setting", "vm.overcommit_memory", "1"),
        ("user", "root", "0"),
        ("exists", "/", "True"),
    ]
    judge_ours(asserted, [facts])
    with pytest.raises(ActionError, match="1 assertions do not hold"):
        judge_ours([*asserted, Assertion("wf001", "user", "nobody", "65534")], [facts])

    host: Any = SimpleNamespace(
        docker=lambda name: SimpleNamespace(is_running=True),
        socket=lambda url: SimpleNamespace(is_listening=True),
        sysctl=lambda name: 1,
        user=lambda name: SimpleNamespace(uid=0),
        file=lambda path: SimpleNamespace(exists=True),
    )
    monkeypatch.setattr(preflight.testinfra, "get_host", lambda url, ssh_config: host)
    judge_theirs(asserted, preflight.STATE)
    host.sysctl = lambda name: 0
    with pytest.raises(ActionError, match=r"1 assertions do not hold: .*vm.overcommit_memory"):
        judge_theirs(asserted, preflight.STATE)


def test_each_host_has_its_share() -> None:
    """The first 250 are taken in turn."""
    many = [
        make_host(host=name, around=SystemFacts(users={number: f"u{number}" for number in range(200)}))
        for name in ("wf001", "wf002")
    ]
    asserted = assertions_of(many)

    assert len(asserted) == 250
    assert sum(one.host == "wf001" for one in asserted) == 125


def test_the_figures_of_one_run_serve_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host with most counts."""
    ran = preflight.Ran(3.0, 260, {"wf005": 1, "wf001": 1}, {"wf005": 5, "wf001": 4})
    monkeypatch.setattr(preflight, "_preflights", lambda: (ran, ran, ran))

    assert preflight.preflight_wall().met
    assert preflight.preflight_sessions().met
    commands = preflight.preflight_commands()
    assert (commands.ours, commands.met) == (5.0, True)
    assert "(wf001 4, wf005 5)" in commands.work
