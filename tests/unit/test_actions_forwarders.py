"""Relays: one for each link whose ends are on different hosts, none where a real container has the name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from actions.aims import ProbeAim, choose_aim
from actions.forwarders import Forwarder, judge_links_relayable, plan_forwarders, wanted_forwarders
from actions.reconciling import relay_argv, relay_name
from engine.verdict import Verdict
from tests.unit.making_facts import make_container, make_host

HOSTS = {"wf005": "192.0.2.5", "wf001": "192.0.2.1", "wf002": "192.0.2.2"}


def port(number: int, *, address: str = "0.0.0.0", protocol: str = "tcp", host: int = 0, unrelayed: str = "") -> SimpleNamespace:  # noqa: S104
    """Return a published port."""
    return SimpleNamespace(host=host or number, container=number, protocol=protocol, address=address, unrelayed=unrelayed)


def service(name: str, *ports: SimpleNamespace, networks: tuple[str, ...] = ("shop",)) -> SimpleNamespace:
    """Return a service on wf005."""
    return SimpleNamespace(host="wf005", container=name, ports=list(ports), networks=list(networks))


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
    environment = SimpleNamespace(environment="lab", hosts={name: SimpleNamespace(address=address) for name, address in HOSTS.items()})
    moves = (SimpleNamespace(service="postgres", target="wf002", ports=ports or {}), SimpleNamespace(service="redis", target="wf001", ports={}))
    return SimpleNamespace(
        services={**known, **services}, links=(link("orders", "postgres", 5432), link("orders", "redis", 6379)),
        repointed=frozenset(), environment=environment, moves=moves, plan=SimpleNamespace(moves=moves), hosts=tuple(HOSTS),
    )  # fmt: skip


def where(**moved: str) -> dict[str, str]:
    """Return where everything is."""
    return {"orders": "wf005", "postgres": "wf005", "redis": "wf005", **moved}


def test_no_relay_while_all_are_together() -> None:
    """Nothing moved, nothing relayed."""
    assert wanted_forwarders(scope(), where()) == frozenset()


def test_moved_provider_keeps_name_and_published_port_with_one_relay() -> None:
    """The dependant's network and the old published port lead to the new host."""
    expected = Forwarder("wf005", "shop", "postgres", 5432, "192.0.2.2", 5432, "0.0.0.0:5432")
    assert wanted_forwarders(scope(), where(postgres="wf002")) == {expected}


def test_moved_dependant_reaches_the_provider_that_stayed() -> None:
    """A relay on the dependant's new host, to the old one; its other provider too."""
    assert wanted_forwarders(scope(), where(orders="wf001")) == {
        Forwarder("wf001", "shop", "postgres", 5432, "192.0.2.5", 5432),
        Forwarder("wf001", "shop", "redis", 6379, "192.0.2.5", 6379),
    }


def test_provider_arriving_beside_its_dependant_needs_no_relay_for_the_name() -> None:
    """Redis on wf001 beside orders: only the published port of wf005 is left to keep (no relay beside the real one)."""
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
    assert Forwarder("wf001", "shop", "postgres", 5432, "192.0.2.2", 5432) in found


def test_unpublished_provider_is_a_problem_naming_the_link() -> None:
    """No port of the service's own container is opened silently."""
    plan = plan_forwarders(scope(postgres=service("postgres")), where(postgres="wf002"))
    assert plan.forwarders == frozenset()
    assert plan.problems[0].startswith("orders to postgres: postgres:5432")


def test_loopback_and_udp_are_problems() -> None:
    """Neither can be reached through a TCP relay."""
    local = plan_forwarders(scope(redis=service("redis", port(6379, address="127.0.0.1"))), where(redis="wf001"))
    udp = plan_forwarders(scope(redis=service("redis", port(6379), port(443, protocol="udp"))), where(redis="wf001"))
    assert any("loopback" in problem for problem in local.problems)
    assert any("443/udp" in problem for problem in udp.problems)


def test_other_service_with_the_name_is_a_problem() -> None:
    """Docker would answer with both addresses."""
    extra = scope()
    extra.services["cache"] = SimpleNamespace(host="wf005", container="redis", ports=[], networks=["shop"])
    plan = plan_forwarders(extra, {**where(redis="wf001"), "cache": "wf005"})
    assert any("cache has the name redis" in problem for problem in plan.problems)


def test_remapped_port_leads_to_the_published_one() -> None:
    """The relay listens on the container's port and goes to the host's."""
    found = wanted_forwarders(scope(postgres=service("postgres", port(5432, host=15432))), where(postgres="wf002"))
    assert {(relay.port, relay.to_port, relay.publish) for relay in found} == {(5432, 15432, "0.0.0.0:15432")}


def test_planned_remap_keeps_the_old_port_and_leads_to_the_new_one() -> None:
    """Clients of the old host go on as before; only the relay knows that the target publishes another port."""
    remapped = scope({"5432/tcp": 15432})
    assert wanted_forwarders(remapped, where(postgres="wf002")) == {
        Forwarder("wf005", "shop", "postgres", 5432, "192.0.2.2", 15432, "0.0.0.0:5432"),
    }
    assert wanted_forwarders(remapped, where(orders="wf001")) >= {Forwarder("wf001", "shop", "postgres", 5432, "192.0.2.5", 5432)}


def test_preflight_refuses_a_link_that_can_not_be_kept() -> None:
    """By name, with the way out; a real container of that name on the network is one reason."""
    fine = judge_links_relayable(scope(), "postgres", {})
    assert fine.passed
    assert fine.measured["relays"] == 1
    assert judge_links_relayable(scope(postgres=service("postgres")), "postgres", {}).verdict is Verdict.FAILED
    real = make_container(name="pg-proxy", networks={"shop": ("postgres",)})
    answer = judge_links_relayable(scope(), "postgres", {"wf005": make_host(host="wf005", containers=(real,))})
    assert answer.verdict is Verdict.FAILED
    assert "pg-proxy" in answer.text


def test_relay_is_labelled_small_and_restarts() -> None:
    """Its label tells what it is for, so that another destination makes another relay."""
    relay = Forwarder("wf005", "shop", "postgres", 5432, "192.0.2.2", 5432, "0.0.0.0:5432")
    argv = relay_argv("lab", relay)
    assert relay_name(relay) == "longshore-forward-shop-postgres-5432"
    assert f"longshore.relay={relay.text()}" in argv
    assert argv[argv.index("--publish") + 1] == "0.0.0.0:5432:5432"
    assert argv[argv.index("--network-alias") + 1] == "postgres"
    assert argv[argv.index("--restart") + 1] == "unless-stopped"


def test_probe_looks_as_a_dependant_on_the_source_does() -> None:
    """With the product's own question, under the link's name."""
    aimed = scope(postgres=SimpleNamespace(**vars(service("postgres", port(5432))), product="postgres", health=None))
    aimed.dependants_of = lambda name: tuple(item for item in aimed.links if item.to == name)
    assert choose_aim(aimed, "postgres", where()) == ProbeAim("shop", "postgres", 5432, "postgres")


def test_probe_without_a_dependant_there_looks_at_the_published_port() -> None:
    """From the host's own network, with the health path; loopback only can't be seen from outside."""
    health = SimpleNamespace(kind="http", port=9090, path="/-/ready")
    entry = SimpleNamespace(**vars(service("prometheus", port(9090))), product="prometheus", health=health)
    aimed = scope(prometheus=entry)
    aimed.dependants_of = lambda _: ()
    assert choose_aim(aimed, "prometheus", where(prometheus="wf005")) == ProbeAim("host", "192.0.2.5", 9090, "http", "/-/ready")
    entry.ports = [port(9090, address="127.0.0.1")]
    assert choose_aim(aimed, "prometheus", where(prometheus="wf005")) is None


def test_a_port_that_needs_no_relay_is_no_problem_and_is_told() -> None:
    """UDP can't be relayed; where the inventory says why its clients do without, preflight passes and shows it."""
    ports = (port(443), port(443, protocol="udp", unrelayed="HTTP/3: browsers fall back to TCP"))
    refused = judge_links_relayable(scope(redis=service("redis", port(6379), port(443, protocol="udp"))), "redis", {})
    fine = judge_links_relayable(scope(redis=service("redis", port(6379), *ports)), "redis", {})
    assert refused.verdict is Verdict.FAILED
    assert "unrelayed" in refused.text
    assert fine.verdict is Verdict.PASSED
    assert "443/udp is not relayed: HTTP/3: browsers fall back to TCP" in fine.details
