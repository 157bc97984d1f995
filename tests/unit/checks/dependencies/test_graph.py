"""Who depends on whom: what settings and connections show, compared with what the inventory declares."""

from __future__ import annotations

from typing import Any, Final

from checks.dependencies.graph import Dependency, judge_links_declared, read_references
from engine.config.inventory import Link
from engine.verdict import Verdict
from hosts.facts.model import HostFacts
from hosts.facts.system import Connection, ContainerSockets, SystemFacts
from tests.fakes.facts import make_container, make_host

SERVICES: Final = {("wf005", "n8n"): "n8n", ("wf005", "redis"): "redis", ("wf001", "loki"): "loki"}
ADDRESSES: Final = {"192.0.2.11": "wf001", "192.0.2.15": "wf005"}
LINK: Final = Link.model_validate({"from": "n8n", "to": "redis", "name": "redis", "port": 6379})
PIDS: Final = {"n8n": 10, "redis": 20, "relay": 30, "spy": 40, "loki": 50}


def container(name: str, address: str, **given: Any) -> Any:
    """Return a running container with an address on a network whose gateway is 172.18.0.1."""
    networks = {"shop": {"IPAddress": address, "Gateway": "172.18.0.1"}}
    raw = {"State": {"Pid": PIDS[name]}, "NetworkSettings": {"Networks": networks}, "HostConfig": {}}
    return make_container(**{"name": name, "id": name, "raw": raw, "published": (), **given})


def hosts(
    *connections: tuple[str, Connection], listening: int = 6379, env: dict[str, str] | None = None
) -> list[HostFacts]:
    """Return wf005 with n8n, redis and a relay of ours, and wf001 with loki; `connections` are (container,
    connection).
    """
    here = (
        container("n8n", "172.18.0.2", env=env or {}),
        container("redis", "172.18.0.3", published=(("0.0.0.0", 16379, 6379, "tcp"),)),  # noqa: S104 compared, never bound
        container("relay", "172.18.0.4", labels={"longshore.role": "forwarder"}),
    )
    sockets = {
        pid: ContainerSockets(
            tuple(one for name, one in connections if PIDS[name] == pid), frozenset({listening} if pid == 20 else ())
        )
        for pid in PIDS.values()
    }
    loki = container("loki", "172.18.0.2", host="wf001", published=(("0.0.0.0", 3100, 3100, "tcp"),))  # noqa: S104 the same
    return [
        make_host(host="wf005", containers=here, around=SystemFacts(host="wf005", container_sockets=sockets)),
        make_host(host="wf001", containers=(loki,)),
    ]


def test_a_connection_that_is_declared_passes() -> None:
    """Both ends are named, and how it was seen."""
    seen = read_references(
        hosts(("n8n", Connection("172.18.0.2", 40000, "172.18.0.3", 6379))), [LINK], SERVICES, ADDRESSES
    )

    assert dict(seen.seen) == {Dependency("n8n", "redis", 6379): ("1 connections",)}
    assert judge_links_declared(seen, "redis", "wf005").passed


def test_a_connection_that_is_not_declared_fails_with_both_ends() -> None:
    """Over the other host's published port: its container's port counts. The line to add stands in the text."""
    seen = read_references(
        hosts(("n8n", Connection("172.18.0.2", 40000, "192.0.2.11", 3100))), [LINK], SERVICES, ADDRESSES
    )
    answer = judge_links_declared(seen, "n8n", "wf005")

    assert answer.verdict is Verdict.FAILED
    assert "n8n: 1 of 2 connections are not declared: n8n → loki:3100 (1 connections)" in answer.text
    assert "{from: n8n, to: loki, name: loki, port: 3100}" in answer.text
    assert judge_links_declared(seen, "redis", "wf005").passed, "it is no end of that one"


def test_settings_count_as_connections_do() -> None:
    """A pool that is idle now has no connection, but its address in the environment."""
    seen = read_references(
        hosts(env={"QUEUE_BULL_REDIS_HOST": "redis", "QUEUE_BULL_REDIS_PORT": "6379"}), [], SERVICES, ADDRESSES
    )
    answer = judge_links_declared(seen, "redis", "wf005")

    assert answer.verdict is Verdict.FAILED
    assert "n8n → redis:6379 (settings of n8n)" in answer.text


def test_the_gateway_is_the_host_itself() -> None:
    """A container that goes through its gateway reaches what its own host publishes."""
    seen = read_references(
        hosts(("n8n", Connection("172.18.0.2", 40000, "172.18.0.1", 16379))), [LINK], SERVICES, ADDRESSES
    )

    assert list(seen.seen) == [Dependency("n8n", "redis", 6379)]


def test_only_who_opened_a_connection_depends_on_the_other() -> None:
    """Redis has the same connection from its side, at the port that it listens on."""
    seen = read_references(
        hosts(("redis", Connection("172.18.0.3", 6379, "172.18.0.2", 40000))), [], SERVICES, ADDRESSES
    )

    assert not seen.seen


def test_a_relay_of_ours_is_no_dependant_and_no_provider() -> None:
    """What it carries is a declared link; loopback is nobody."""
    through = ("relay", Connection("172.18.0.4", 40000, "172.18.0.3", 6379))
    to = ("n8n", Connection("172.18.0.2", 40000, "172.18.0.4", 6379))
    own = ("n8n", Connection("127.0.0.1", 40000, "127.0.0.1", 5679))

    assert not read_references(hosts(through, to, own), [], SERVICES, ADDRESSES).seen


def test_what_leaves_all_hosts_is_listed_apart() -> None:
    """An address of none of them is no undeclared link, but stands in the table."""
    seen = read_references(
        hosts(("n8n", Connection("172.18.0.2", 40000, "203.0.113.9", 443))), [LINK], SERVICES, ADDRESSES
    )

    assert judge_links_declared(seen, "n8n", "wf005").passed
    assert seen.table().rows == (
        ("n8n", "redis:6379", "yes", "not seen"),
        ("n8n", "203.0.113.9:443", "outside", "1 connections"),
    )


def test_connections_that_could_not_be_read_are_reported() -> None:
    """On the service's own host nothing is proven; on another host the text mentions it."""
    blind = make_host(host="wf005", around=SystemFacts(host="wf005", errors={"namespaces": "no answer in time"}))
    seen = read_references([blind, hosts()[1]], [LINK], SERVICES, ADDRESSES)
    here, elsewhere = (judge_links_declared(seen, "redis", host) for host in ("wf005", "wf001"))

    assert here.verdict is Verdict.UNKNOWN
    assert "redis: its connections on wf005 are not known (no answer in time)" in here.text
    assert elsewhere.passed
    assert "connections on wf005 are not known (no answer in time)" in elsewhere.text


def test_a_container_that_is_no_service_is_named_with_its_host() -> None:
    """Somebody else's container that talks to redis breaks too."""
    facts, other = hosts()
    spy = container("spy", "172.18.0.9")
    sockets = {40: ContainerSockets((Connection("172.18.0.9", 1234, "172.18.0.3", 6379),))}
    facts = make_host(
        host="wf005", containers=(*facts.containers, spy), around=SystemFacts(host="wf005", container_sockets=sockets)
    )

    assert (
        "spy@wf005 → redis:6379"
        in judge_links_declared(read_references([facts, other], [LINK], SERVICES, ADDRESSES), "redis", "wf005").text
    )
