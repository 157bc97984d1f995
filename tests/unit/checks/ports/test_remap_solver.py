"""The remap plan is the smallest one, keeps well-known ports, and takes numbers that nobody uses anywhere."""

from __future__ import annotations

from itertools import combinations
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from checks.ports.addresses import bound_of
from checks.ports.claims import Claim, Level
from checks.ports.conflicts import conflicts_after
from checks.ports.consumers import Consumer, Setting, list_consumers, paired_variables
from checks.ports.planned_ports import PlannedPorts, PublishedPort, planned_claims
from checks.ports.remap_solver import Remap, plan_remaps, with_remaps
from engine.config.inventory import Link
from services.registry import product_or_generic

EPHEMERAL: Final = [(32_768, 60_999)]
ADDRESSES: Final = {"wf005": "192.0.2.15", "wf001": "192.0.2.11", "wf002": "192.0.2.12"}


def arrives(
    service: str, *ports: int | tuple[int, int], target: str = "wf001", address: str = "", source: str = "wf005"
) -> PlannedPorts:
    """Return a move of a service that publishes ports, each as a number or as (host, container)."""
    pairs = [port if isinstance(port, tuple) else (port, port) for port in ports]
    return PlannedPorts(
        service, source, target, tuple(PublishedPort(host, inside, "tcp", address) for host, inside in pairs), service
    )


def held(
    host: str, port: int, who: str = "process nginx", *, level: Level = Level.HELD, protocol: str = "tcp"
) -> Claim:
    """Return what is on a host already."""
    return Claim(host, port, port, protocol, bound_of(""), level, "process", who, who)


def ports_of(remaps: list[Remap]) -> list[tuple[str, str, int]]:
    """Return remaps as service, port and number."""
    return [(remap.service, remap.key, remap.to) for remap in remaps]


def test_no_conflict_no_remap() -> None:
    """Nothing is changed for its own sake."""
    assert plan_remaps([held("wf001", 80)], [arrives("redis", 6379)], EPHEMERAL) == []


def test_a_taken_port_gets_a_number_that_people_recognise() -> None:
    """5432 becomes 15432, and the reason is named."""
    (remap,) = plan_remaps([held("wf001", 5432)], [arrives("postgres", 5432)], EPHEMERAL)

    assert (remap.service, remap.key, remap.to) == ("postgres", "5432/tcp", 15432)
    assert remap.text() == "postgres on wf001: 5432/tcp becomes 15432/tcp, because process nginx has it"


def test_numbers_taken_anywhere_or_ephemeral_are_avoided() -> None:
    """Also those of other hosts and protocols, of unused compose files, of the inventory: one number shall mean one
    thing.
    """
    claims = [held("wf001", 5432), held("wf002", 15432, protocol="udp"), held("wf002", 25432, level=Level.DECLARED)]
    (remap,) = plan_remaps(claims, [arrives("postgres", 5432)], EPHEMERAL, declared=[15433])
    (high,) = plan_remaps([held("wf001", 50_000)], [arrives("app", 50_000)], EPHEMERAL)

    assert remap.to == 15434
    assert not 32_768 <= high.to <= 60_999
    assert high.to >= 10_000


def test_of_two_arrivals_the_one_without_a_well_known_port_gives_way() -> None:
    """80 stays with who means it; among equals the earlier move keeps its port."""
    caddy, app = arrives("caddy", 80), arrives("app", (80, 3000), source="wf002")

    assert ports_of(plan_remaps([], [app, caddy], EPHEMERAL)) == [("app", "80/tcp", 10080)]
    assert ports_of(plan_remaps([], [arrives("one", 3000), arrives("two", 3000, source="wf002")], EPHEMERAL)) == [
        ("two", "3000/tcp", 13000)
    ]


def test_a_wildcard_gives_way_to_two_specific_addresses() -> None:
    """One remap instead of two."""
    moves = [
        arrives("a", 80, address="127.0.0.1"),
        arrives("b", 80, address="192.0.2.11", source="wf002"),
        arrives("all", 80, source="wf003"),
    ]

    assert [remap.service for remap in plan_remaps([], moves, EPHEMERAL)] == ["all"]


def test_declared_only_forces_nothing() -> None:
    """A compose file from which nothing was ever started takes no port away."""
    assert plan_remaps([held("wf001", 80, level=Level.DECLARED)], [arrives("caddy", 80)], EPHEMERAL) == []


def test_a_remap_of_the_plan_is_kept_unless_it_collides() -> None:
    """What people have signed stays."""
    signed = with_remaps(
        [arrives("postgres", 5432)], plan_remaps([held("wf001", 5432)], [arrives("postgres", 5432)], EPHEMERAL)
    )

    assert plan_remaps([held("wf001", 5432)], signed, EPHEMERAL) == []
    assert ports_of(plan_remaps([held("wf001", 5432), held("wf001", 15432)], signed, EPHEMERAL)) == [
        ("postgres", "5432/tcp", 25432)
    ]


@some.composite
def worlds(draw: Any) -> tuple[list[Claim], list[PlannedPorts]]:
    """Return a few hosts with things on them, and moves between them, on few ports so that they collide."""
    hosts = ("wf001", "wf002", "wf005")
    ports = some.sampled_from((80, 443, 3000, 3001))
    claims = [
        held(draw(some.sampled_from(hosts)), draw(ports), f"process {number}")
        for number in range(draw(some.integers(0, 3)))
    ]
    moves = []
    for number in range(draw(some.integers(1, 4))):
        source, target = draw(some.permutations(hosts))[:2]
        address = draw(some.sampled_from(("", "127.0.0.1", "192.0.2.1", "::1")))
        wanted = draw(some.lists(ports, min_size=1, max_size=2, unique=True))
        moves.append(arrives(f"s{number}", *wanted, target=target, source=source, address=address))
    return claims, moves


@settings(deadline=None, max_examples=60)
@given(worlds())
def test_the_plan_solves_everything_and_no_smaller_one_does(world: tuple[list[Claim], list[PlannedPorts]]) -> None:
    """Against every smaller choice of ports to remap, tried one by one."""
    claims, moves = world
    remaps = plan_remaps(claims, moves, EPHEMERAL)
    wished = [(move.service, port.key) for move in moves for port in move.ports]

    assert _solved(claims, with_remaps(moves, remaps))
    assert len({remap.to for remap in remaps}) == len(remaps)
    for fewer in combinations(wished, max(len(remaps) - 1, 0)):
        elsewhere = [_remap(moves, service, key, 20_000 + number) for number, (service, key) in enumerate(fewer)]
        assert not remaps or not _solved(claims, with_remaps(moves, elsewhere))


def _remap(moves: list[PlannedPorts], service: str, key: str, to: int) -> Remap:
    move = next(move for move in moves if move.service == service)
    return Remap(service, move.source, move.target, next(port for port in move.ports if port.key == key), to, "")


def _solved(claims: list[Claim], moves: tuple[PlannedPorts, ...] | list[PlannedPorts]) -> bool:
    """Return whether no move's wish conflicts; two relays on one host are the sources' own business, which nothing here
    can change.
    """
    return not [
        conflict
        for conflict in conflicts_after(claims, moves)
        if conflict.blocks and any(claim.kind == "move" for claim in conflict.claims)
    ]


def remapped(**given: Any) -> Remap:
    """Return postgres from wf005 to wf002, published as 15432 there."""
    values = {
        "service": "postgres",
        "source": "wf005",
        "target": "wf002",
        "port": PublishedPort(5432, 5432),
        "to": 15432,
        "because": "x",
        **given,
    }
    return Remap(**values)


def consumers(
    *settings: Setting, links: tuple[Link, ...] = (), after: dict[str, str] | None = None, **given: Any
) -> tuple[Consumer, ...]:
    """Return the consumers of the remapped postgres."""
    return list_consumers([remapped(**given)], links, settings, after=after or {}, addresses=ADDRESSES)


def test_links_are_kept_by_relays_that_lead_to_the_new_port() -> None:
    """And on the target itself nothing changes: the port in the container is the same."""
    link = Link.model_validate({"from": "orders", "to": "postgres", "name": "db", "port": 5432})
    (away,) = consumers(links=(link,), after={"orders": "wf005"})
    (same_host,) = consumers(links=(link,), after={"orders": "wf002"})

    assert (away.says, away.becomes) == ("db:5432", "db:5432")
    assert away.how == "migrate sets the relay on wf005, which then leads to wf002:15432"
    assert same_host.how.startswith("nothing")


@pytest.mark.parametrize(
    ("product", "path", "text", "role", "says", "becomes"),
    [
        ("caddy", "/srv/caddy/Caddyfile", "reverse_proxy wf005:5432 {", "Caddy upstream", "wf005:5432", "wf002:15432"),
        (
            "prometheus",
            "/srv/prometheus/prometheus.yml",
            "- targets: ['192.0.2.15:5432']",
            "Prometheus target",
            "192.0.2.15:5432",
            "192.0.2.12:15432",
        ),
        (
            "grafana",
            "/srv/grafana/ds.yml",
            "url: postgres://wf005:5432/shop",
            "Grafana data source",
            "wf005:5432",
            "wf002:15432",
        ),
        ("", "/srv/shop/.env", "DATABASE=wf005:5432", "setting", "wf005:5432", "wf002:15432"),
    ],
)
def test_settings_that_name_the_port_are_found(  # noqa: PLR0917
    product: str, path: str, text: str, role: str, says: str, becomes: str
) -> None:
    """By the host's name or its address, with file and line; what is written around it never shows."""
    (found,) = consumers(Setting("wf001", path, f"# secret\n{text}", product_or_generic(product).settings_role))

    assert (found.role, found.place, found.says, found.becomes) == (role, f"wf001:{path}:2", says, becomes)
    assert "relay" in found.how


def test_what_only_looks_like_it_is_left_out() -> None:
    """Other ports, longer names and longer numbers."""
    texts = "wf005:54321 xwf005:5432 my-wf005:5432 wf0055:5432 192.0.2.150:5432 db:5432 wf001:5432"

    assert consumers(Setting("wf001", "/f", texts)) == ()


def test_variables_and_webhooks_of_containers_are_found() -> None:
    """One variable with both, or a pair of host and port."""
    env = {
        "DB_HOST": "wf005",
        "DB_PORT": "5432",
        "WEBHOOK_URL": "http://wf005:5432/hook",
        "PORT": "5432",
        "PASSWORD": "hunter2",
    }
    found = consumers(*paired_variables("wf001", "n8n", env))

    assert [(one.role, one.place) for one in found] == [
        ("setting", "wf001:container n8n, DB_HOST and DB_PORT"),
        ("webhook URL", "wf001:container n8n, WEBHOOK_URL"),
    ]


def test_from_inside_a_container_the_host_has_another_name() -> None:
    """host.docker.internal is the source only on the source."""
    assert consumers(Setting("wf005", "/f", "host.docker.internal:5432"))
    assert consumers(Setting("wf001", "/f", "host.docker.internal:5432")) == ()


def test_who_names_the_target_already_and_who_uses_udp_must_change_at_once() -> None:
    """No relay helps them."""
    (ahead,) = consumers(Setting("wf001", "/f", "wf002:5432"))
    (udp,) = consumers(Setting("wf001", "/f", "wf005:5432"), port=PublishedPort(5432, 5432, "udp"))

    assert "as soon as the service is moved" in ahead.how
    assert "only TCP" in udp.how


def test_arrivals_that_are_done_want_nothing() -> None:
    """Their containers hold the ports themselves."""
    move = arrives("redis", 6379)

    assert {claim.kind for claim in planned_claims([move])} == {"move", "relay"}
    assert list(planned_claims([PlannedPorts(move.service, move.source, move.target, move.ports, done=True)])) == []
