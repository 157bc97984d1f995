"""Connections between containers, as the kernel tells them, and whether the inventory knows them."""

from __future__ import annotations

from typing import Any

import pytest

from checks.connections import Connection, judge_connections_declared, list_connections
from engine.inventory import Link
from engine.model import ContainerFacts
from engine.product import LABEL_ROLE
from engine.verdict import Verdict
from hosts.facts import ContainerSockets, HostFacts
from hosts.facts_parse import parse_connections
from tests.unit.making_facts import make_container, make_host

IDENTITY = "d" * 64
KERNEL = f"""@ {IDENTITY}
   0: 00000000:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   999        0 111 1 0000000000000000 100 0 0 10 0
   1: 020510AC:A1B2 030510AC:1538 01 00000000:00000000 02:000003E8 00000000  1000        0 112 2 0000000000000000 20 4 30 10 -1
   2: 0000000000000000FFFF0000020510AC:A1B3 0000000000000000FFFF0000040510AC:18EB 01 00000000:00000000 00:00000000 00000000 0 0 113 1 0 20
   3: 00000000000000000000000001000000:0050 B80D0120000000000000000002000000:D431 01 00000000:00000000 00:00000000 00000000 0 0 114 1 0 20
@ {"e" * 64}
"""
ADDRESSES = {"wf005": "192.0.2.5", "wf001": "192.0.2.1"}
NAMES = {("wf005", "orders"): "orders", ("wf005", "postgres"): "postgres", ("wf001", "redis"): "redis"}


def test_the_kernels_own_words_are_understood() -> None:
    """Addresses are little-endian words; IPv4 in IPv6 is IPv4; a container without sockets is not one that was not read."""
    found = parse_connections(KERNEL)
    assert found[IDENTITY].listening == {5432}
    assert found[IDENTITY].established == {(0xA1B2, "172.16.5.3", 5432), (0xA1B3, "172.16.5.4", 6379), (80, "2001:db8::2", 54321)}
    assert found["e" * 64] == ContainerSockets(frozenset(), frozenset())


def _container(name: str, address: str, **given: Any) -> ContainerFacts:
    raw = {"NetworkSettings": {"Networks": {"apps": {"IPAddress": address, "Gateway": "172.16.5.1"}}}}
    return make_container(name=name, id=name, raw=raw, **{"published": (), **given})


def _source(*established: tuple[int, str, int], labels: dict[str, str] | None = None) -> HostFacts:
    """Return wf005, where orders has these connections and postgres listens."""
    containers = (
        _container("orders", "172.16.5.2", labels=labels or {}),
        _container("postgres", "172.16.5.3", published=(("0.0.0.0", 5433, 5432, "tcp"),)),  # noqa: S104 compared, never bound
    )
    sockets = {
        "orders": ContainerSockets(frozenset({8080}), frozenset(established)),
        "postgres": ContainerSockets(frozenset({5432}), frozenset((5432, "172.16.5.2", port) for port, *_ in established)),
    }
    return make_host(host="wf005", containers=containers, connections=sockets)


TARGET = make_host(host="wf001", containers=(_container("redis", "172.16.9.3", host="wf001", published=(("", 6379, 6379, "tcp"),)),))


@pytest.mark.parametrize(
    ("remote", "port", "expected"),
    [
        ("172.16.5.3", 5432, Connection("wf005", "orders", "wf005", "postgres", 5432)),
        ("172.16.5.1", 5433, Connection("wf005", "orders", "wf005", "postgres", 5432)),
        ("192.0.2.5", 5433, Connection("wf005", "orders", "wf005", "postgres", 5432)),
        ("192.0.2.1", 6379, Connection("wf005", "orders", "wf001", "redis", 6379)),
        ("198.51.100.7", 443, None),
    ],
)
def test_a_connection_has_two_ends(remote: str, port: int, expected: Connection | None) -> None:
    """By the container's own address, the network's gateway, a host's address: it is the same port of the same container."""
    assert list_connections((_source((40_000, remote, port)), TARGET), ADDRESSES) == ({expected} if expected else set())


def test_a_server_is_no_client_and_ours_are_no_ends() -> None:
    """Who listens on the port was called; relays and probes of ours are nobody's dependants."""
    called = _source((8080, "172.16.5.3", 40_000))
    assert list_connections((called,), ADDRESSES) == set()
    assert list_connections((_source((40_000, "172.16.5.3", 5432), labels={LABEL_ROLE: "probe"}),), ADDRESSES) == set()


@pytest.mark.parametrize(
    ("links", "verdict", "told"),
    [
        ((("orders", "postgres", 5432),), Verdict.PASSED, "postgres: all 1 of its connections with other containers are declared"),
        ((("orders", "postgres", 5433),), Verdict.FAILED, "orders on wf005 → postgres:5432 on wf005"),
        ((), Verdict.FAILED, "Add: {from: orders, to: postgres, name: postgres, port: 5432}"),
    ],
)
def test_what_is_not_declared_is_named_with_both_ends(links: tuple[tuple[str, str, int], ...], verdict: Verdict, told: str) -> None:
    """A link counts for its port alone; the message has the line to add."""
    source = _source((40_000, "172.16.5.3", 5432))
    seen = list_connections((source,), ADDRESSES)
    declared = [Link.model_validate({"from": one, "to": other, "name": other, "port": port}) for one, other, port in links]
    answer = judge_connections_declared("postgres", source.containers[1], seen, NAMES, declared)
    assert answer.verdict is verdict
    assert told in answer.text


def test_a_container_that_is_no_service_is_named_as_it_is() -> None:
    """Nobody has to guess which container an unknown one is."""
    source = _source((40_000, "172.16.5.3", 5432))
    answer = judge_connections_declared(
        "postgres", source.containers[1], list_connections((source,), ADDRESSES), {("wf005", "postgres"): "postgres"}, []
    )
    assert "orders on wf005 → postgres:5432 on wf005" in answer.text
    assert "Add: {from: ?orders, to: postgres" in answer.text


def test_what_could_not_be_read_is_unknown() -> None:
    """Nothing seen is not a pass when nothing could be looked at."""
    container = _source().containers[0]
    assert judge_connections_declared("orders", container, (), NAMES, (), unread="no answer").verdict is Verdict.UNKNOWN
