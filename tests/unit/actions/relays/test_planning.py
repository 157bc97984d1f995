"""Relays: one for each link whose ends are on different hosts, none where a real container has the name."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

from actions.outage.vantage_point import ProbeTarget, choose_probe_target
from actions.relays.endpoints import relay_name
from actions.relays.planning import (
    FarEnd,
    Relay,
    far_ports,
    hosts_of_relays,
    judge_links_relayable,
    judge_relays_encrypted,
    plan_forwarders,
    wanted_forwarders,
)
from engine.command_line import typed_command
from engine.config.plan import Relays
from engine.verdict import Verdict
from tests.fakes.facts import make_container, make_host, make_socket

HOSTS = {"wf005": "192.0.2.5", "wf001": "192.0.2.1", "wf002": "192.0.2.2"}


def port(
    number: int,
    *,
    address: str = "0.0.0.0",  # noqa: S104
    protocol: str = "tcp",
    host: int = 0,
    no_relay_because: str = "",
) -> SimpleNamespace:
    """Return a published port."""
    return SimpleNamespace(
        host=host or number, container=number, protocol=protocol, address=address, no_relay_because=no_relay_because
    )


def service(name: str, *ports: SimpleNamespace, networks: tuple[str, ...] = ("shop",)) -> SimpleNamespace:
    """Return a service on wf005."""
    return SimpleNamespace(
        host="wf005", container=name, ports=list(ports), networks=list(networks), needs_client_address=""
    )


def link(name: str, to: str, number: int, alias: str = "") -> SimpleNamespace:
    """Return `name` reaches `to`."""
    return SimpleNamespace(from_=name, to=to, name=alias or to, port=number, key=(name, to, alias or to, number))


def scope(ports: dict[str, int] | None = None, **services: SimpleNamespace) -> Any:
    """Return orders -> postgres, orders -> redis on wf005, and what is given in their stead."""
    known = {
        "orders": service("orders"),
        "postgres": service("postgres", port(5432)),
        "redis": service("redis", port(6379)),
    }
    environment = SimpleNamespace(
        environment="lab", hosts={name: SimpleNamespace(address=address) for name, address in HOSTS.items()}
    )
    moves = (
        SimpleNamespace(service="postgres", target="wf002", ports=ports or {}),
        SimpleNamespace(service="redis", target="wf001", ports={}),
    )
    return SimpleNamespace(
        services={**known, **services},
        links=(link("orders", "postgres", 5432), link("orders", "redis", 6379)),
        repointed=frozenset(),
        dead=frozenset(),
        environment=environment,
        moves=moves,
        plan=SimpleNamespace(moves=moves, relays=Relays()),
        hosts=tuple(HOSTS),
        command=partial(typed_command, environment="lab"),
    )


def where(**moved: str) -> dict[str, str]:
    """Return where everything is."""
    return {"orders": "wf005", "postgres": "wf005", "redis": "wf005", **moved}


def made(host: str, network: str, alias: str, number: int, to: str, publish: str = "") -> Relay:  # noqa: PLR0917 as a relay is written
    """Return the relay that is wanted there to a provider on `to`, whose port is kept for it whatever else
    is wanted.
    """
    key = f"{alias} {number} {alias} {network} {host}"
    far = FarEnd(to, "shop", alias, number)
    return Relay(host, network, alias, number, HOSTS[to], far_ports(scope(), key)[key], publish, far, HOSTS[host])


def test_no_relay_while_all_are_together() -> None:
    """Nothing moved, nothing relayed."""
    assert wanted_forwarders(scope(), where()) == frozenset()


def test_moved_provider_keeps_name_and_published_port_with_one_relay() -> None:
    """The dependant's network and the old published port lead to the new host."""
    expected = made("wf005", "shop", "postgres", 5432, "wf002", "0.0.0.0:5432")
    assert wanted_forwarders(scope(), where(postgres="wf002")) == {expected}


def test_moved_dependant_reaches_the_provider_that_stayed() -> None:
    """A relay on the dependant's new host, to the old one; its other provider too."""
    assert wanted_forwarders(scope(), where(orders="wf001")) == {
        made("wf001", "shop", "postgres", 5432, "wf005"),
        made("wf001", "shop", "redis", 6379, "wf005"),
    }


def test_provider_arriving_on_its_dependants_host_needs_no_relay_for_the_name() -> None:
    """Redis and orders on wf001: only the published port of wf005 is left to keep (no relay where the real one is)."""
    found = wanted_forwarders(scope(), where(orders="wf001", redis="wf001"))
    assert not [relay for relay in found if relay.host == "wf001" and relay.alias == "redis"]
    assert [relay.publish for relay in found if relay.alias == "redis"] == ["0.0.0.0:6379"]


def test_relay_of_the_source_stays_as_it_is_when_its_dependants_follow() -> None:
    """Clients of the old published port keep their connections when an application that used the old name leaves."""
    before = wanted_forwarders(scope(), where(redis="wf001"))
    after = wanted_forwarders(scope(), where(redis="wf001", orders="wf002"))
    assert {relay for relay in after if relay.host == "wf005" and relay.alias == "redis"} == before


def test_relays_point_at_the_provider_never_at_a_relay() -> None:
    """Both moved away to different hosts: straight from one to the other, no detour over wf005."""
    found = wanted_forwarders(scope(), where(orders="wf001", postgres="wf002", redis="wf002"))
    assert {relay.to_address for relay in found} == {"192.0.2.2"}
    assert made("wf001", "shop", "postgres", 5432, "wf002") in found


def test_a_provider_that_publishes_nothing_is_reached_on_its_own_network() -> None:
    """The far end runs on its container's host: no port of the service's own container is opened, to nobody else."""
    plan = plan_forwarders(scope(postgres=service("postgres")), where(postgres="wf002"))
    (relay,) = plan.forwarders
    assert not plan.problems
    assert relay.far == FarEnd("wf002", "shop", "postgres", 5432)
    assert relay.to_address == HOSTS["wf002"], "the private address, never all of them"
    assert relay.from_address == HOSTS["wf005"], "the peer's, nobody else's"


def test_a_provider_without_a_network_of_names_is_reached_at_its_published_port() -> None:
    """Containers of Docker's default network have no names; one that publishes nothing there is a problem that names
    the link.
    """
    links = {"orders": service("orders"), "postgres": service("postgres", port(5432, host=15432), networks=())}
    (relay,) = (one for one in wanted_forwarders(scope(**links), where(postgres="wf002")) if one.network == "shop")
    assert relay.far == FarEnd("wf002", "bridge", HOSTS["wf002"], 15432)
    links["postgres"] = service("postgres", networks=())
    plan = plan_forwarders(scope(**links), where(postgres="wf002"))
    assert plan.forwarders == frozenset()
    assert plan.problems[0].startswith("orders to postgres: postgres:5432")


def test_what_loopback_publishes_is_kept_on_loopback_and_udp_is_a_problem() -> None:
    """Who used the port on the old host still can, and nobody else; UDP can't be relayed."""
    local = plan_forwarders(scope(redis=service("redis", port(6379, address="127.0.0.1"))), where(redis="wf001"))
    udp = plan_forwarders(scope(redis=service("redis", port(6379), port(443, protocol="udp"))), where(redis="wf001"))
    assert [relay.publish for relay in local.forwarders] == ["127.0.0.1:6379"]
    assert not local.problems
    assert any("443/udp" in problem for problem in udp.problems)


def test_a_service_that_needs_its_clients_addresses_is_refused_with_the_alternative() -> None:
    """A relay hides who connects: allow lists and rate limits would judge its address instead."""
    entry = service("redis", port(6379))
    entry.needs_client_address = "its allow list is per address"
    plan = plan_forwarders(scope(redis=entry), where(redis="wf001"))
    answer = judge_links_relayable(scope(redis=entry), "redis", {})
    assert any("its allow list is per address" in text and "no_relay_because" in text for text in plan.problems)
    assert answer.verdict is Verdict.FAILED


def test_a_host_without_identity_is_a_problem_not_an_error() -> None:
    """By name, with the command that pins it."""
    lost = scope()
    del lost.environment.hosts["wf001"]
    plan = plan_forwarders(lost, where(orders="wf001", postgres="wf002"))
    assert any("wf001 has no identity" in text and "nox -s lab -- up" in text for text in plan.problems)


def test_other_service_with_the_name_is_a_problem() -> None:
    """Docker would answer with both addresses."""
    extra = scope()
    extra.services["cache"] = SimpleNamespace(**vars(service("redis")))
    plan = plan_forwarders(extra, {**where(redis="wf001"), "cache": "wf005"})
    assert any("cache has the name redis" in problem for problem in plan.problems)


def test_a_port_published_as_another_one_is_kept_as_that() -> None:
    """The near end listens on the container's port; the far end connects to it, whatever the host publishes."""
    found = wanted_forwarders(scope(postgres=service("postgres", port(5432, host=15432))), where(postgres="wf002"))
    assert {(relay.port, relay.far.port, relay.publish) for relay in found} == {(5432, 5432, "0.0.0.0:15432")}


def test_a_planned_remap_changes_no_relay() -> None:
    """Clients of the old host connect as before: what the target publishes does not matter to a relay."""
    remapped = scope({"5432/tcp": 15432})
    assert wanted_forwarders(remapped, where(postgres="wf002")) == wanted_forwarders(scope(), where(postgres="wf002"))


def test_one_container_port_that_is_published_twice_has_two_relays_of_two_names() -> None:
    """On the same host, with the same destination."""
    twice = service("redis", port(80), SimpleNamespace(**{**vars(port(80)), "host": 8080}), networks=("other",))
    found = [one for one in wanted_forwarders(scope(redis=twice), where(redis="wf001")) if one.publish]
    assert {relay.publish for relay in found} == {"0.0.0.0:80", "0.0.0.0:8080"}
    assert len({relay_name(relay) for relay in found}) == 2
    assert len({relay.to_port for relay in found}) == 2


def test_a_relays_port_is_the_same_at_all_times_and_no_two_have_one() -> None:
    """Nor does another service in the inventory change it."""
    states = [where(), where(postgres="wf002"), where(redis="wf001"), where(postgres="wf002", redis="wf001")]
    seen: dict[tuple[str, str, str, str], int] = {}
    for state in states:
        for relay in wanted_forwarders(scope(), state):
            key = (relay.host, relay.network, relay.alias, relay.far.host)
            assert seen.setdefault(key, relay.to_port) == relay.to_port
    assert len(set(far_ports(scope()).values())) == len(far_ports(scope()))
    more = far_ports(scope(another=service("another", port(1234))))
    assert {key: number for key, number in more.items() if key in far_ports(scope())} == far_ports(scope())


def test_somebody_at_a_relays_port_is_found_by_preflight() -> None:
    """Docker could not publish it there, in the middle of the outage."""
    (relay,) = wanted_forwarders(scope(), where(postgres="wf002"))
    taken = make_host(host="wf002", listening=(make_socket(relay.to_port),))
    answer = judge_links_relayable(scope(), "postgres", {"wf002": taken})
    assert answer.verdict is Verdict.FAILED
    assert f"port {relay.to_port}" in answer.text


def test_relays_that_are_not_encrypted_are_a_warning_of_their_own_with_the_reason() -> None:
    """The plan may say so, and nobody can miss it."""
    plain = scope()
    plain.plan.relays = Relays(encrypt=False, reason="all hosts share a WireGuard network")
    (relay,) = wanted_forwarders(plain, where(postgres="wf002"))
    assert "NOT encrypted" in relay.text()
    answer = judge_relays_encrypted(plain, "postgres")
    assert answer.verdict is Verdict.FAILED
    assert "all hosts share a WireGuard network" in answer.text
    assert judge_relays_encrypted(scope(), "postgres").passed


def test_every_host_of_a_relay_before_or_after_is_known_from_the_files() -> None:
    """A dependant that went elsewhere, a provider's old host, and the way back count, in whatever order."""
    assert hosts_of_relays(scope(), where(orders="wf001"), {"postgres"}) == ("wf001", "wf002", "wf005")
    assert hosts_of_relays(scope(), where(), set()) == ()


def test_preflight_refuses_a_link_that_can_not_be_kept() -> None:
    """By name, with the way out; a real container of that name on the network is one reason."""
    fine = judge_links_relayable(scope(), "postgres", {})
    assert fine.passed
    assert fine.measured["relays"] == 1
    assert (
        judge_links_relayable(scope(postgres=service("postgres", networks=())), "postgres", {}).verdict
        is Verdict.FAILED
    )
    real = make_container(name="pg-proxy", networks={"shop": ("postgres",)})
    answer = judge_links_relayable(scope(), "postgres", {"wf005": make_host(host="wf005", containers=(real,))})
    assert answer.verdict is Verdict.FAILED
    assert "pg-proxy" in answer.text


def test_probe_looks_as_a_dependant_on_the_source_does() -> None:
    """With the product's own question, under the link's name."""
    aimed = scope(postgres=SimpleNamespace(**vars(service("postgres", port(5432))), product="postgres", health=None))
    aimed.dependants_of = lambda name: tuple(item for item in aimed.links if item.to == name)
    assert choose_probe_target(aimed, "postgres", where()) == ProbeTarget("shop", "postgres", 5432, "postgres")


def test_probe_without_a_dependant_there_looks_at_the_published_port() -> None:
    """From the host's own network, with the health path; loopback only can't be seen from outside."""
    health = SimpleNamespace(kind="http", port=9090, path="/-/ready")
    entry = SimpleNamespace(**vars(service("prometheus", port(9090))), product="prometheus", health=health)
    aimed = scope(prometheus=entry)
    aimed.dependants_of = lambda _: ()
    assert choose_probe_target(aimed, "prometheus", where(prometheus="wf005")) == ProbeTarget(
        "host", "192.0.2.5", 9090, "http", "/-/ready"
    )
    entry.ports = [port(9090, address="127.0.0.1")]
    assert choose_probe_target(aimed, "prometheus", where(prometheus="wf005")) is None


def test_a_port_that_needs_no_relay_is_no_problem_and_is_reported() -> None:
    """UDP can't be relayed; where the inventory says why its clients do without, preflight passes and shows it."""
    ports = (port(443), port(443, protocol="udp", no_relay_because="HTTP/3: browsers fall back to TCP"))
    refused = judge_links_relayable(scope(redis=service("redis", port(6379), port(443, protocol="udp"))), "redis", {})
    fine = judge_links_relayable(scope(redis=service("redis", port(6379), *ports)), "redis", {})
    assert refused.verdict is Verdict.FAILED
    assert "no_relay_because" in refused.text
    assert fine.verdict is Verdict.PASSED
    assert "443/udp is not relayed: HTTP/3: browsers fall back to TCP" in fine.details
