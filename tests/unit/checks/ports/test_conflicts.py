"""Who wants which port, and which of them can't all have it: addresses, families, protocols, moves and relays."""

from __future__ import annotations

import pytest

from checks.compose.grouping import LABEL_FILES, LABEL_FOLDER, LABEL_PROJECT, LABEL_SERVICE, launch_of, read_projects
from checks.compose.model import ComposeProject
from checks.compose.sources import FetchedSources
from checks.ports.addresses import bound_of, overlap
from checks.ports.claims import Claim, Level, claims_of_host
from checks.ports.conflicts import conflicts_after, conflicts_among
from checks.ports.planned_ports import PlannedPorts, PublishedPort
from engine.contracts.container import ContainerFacts
from engine.errors import NotObservedError
from tests.fakes.facts import make_container, make_host, make_socket


def claim(
    who: str, port: int, *, last: int = 0, address: str = "", protocol: str = "tcp", level: Level = Level.CLAIMED
) -> Claim:
    """Return a claim on wf001."""
    return Claim("wf001", port, last or port, protocol, bound_of(address), level, "container", who, who, address)


def projects(text: str, override: str = "") -> tuple[ComposeProject, ...]:
    """Return the project /srv/shop with this compose file."""
    files = {"/srv/shop/compose.yml": text.encode()}
    if override:
        files["/srv/shop/compose.override.yml"] = override.encode()
    return read_projects(FetchedSources(files), files)


def started(name: str = "shop-web-1", *, service: str = "web", published: int = 80) -> ContainerFacts:
    """Return a container that Compose started from /srv/shop."""
    labels = {
        LABEL_PROJECT: "shop",
        LABEL_SERVICE: service,
        LABEL_FILES: "/srv/shop/compose.yml,/srv/shop/compose.override.yml",
        LABEL_FOLDER: "/srv/shop",
    }
    return make_container(host="wf001", name=name, labels=labels, published=(("", published, 80, "tcp"),))


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("", "127.0.0.1", False),
        ("0.0.0.0", "127.0.0.1", False),  # noqa: S104 compared, never bound
        ("127.0.0.1", "127.0.0.1", False),
        ("127.0.0.1", "192.0.2.11", True),
        ("0.0.0.0", "::1", True),  # noqa: S104 the same
        ("", "::1", False),
        ("::", "127.0.0.1", False),
        ("[::1]", "::1", False),
        ("::1", "fe80::1", True),
        ("::ffff:127.0.0.1", "127.0.0.1", False),
        ("not an address", "127.0.0.1", False),
    ],
)
def test_addresses_that_can_not_be_listened_on_together(one: str, other: str, together: bool) -> None:
    """A wildcard takes every address of its family, and without an address a port is published on both families."""
    assert overlap(bound_of(one), bound_of(other)) is not together
    assert overlap(bound_of(other), bound_of(one)) is not together


def test_sockets_show_their_family() -> None:
    """Of a socket the kernel says whether it takes both: `*` does, `[::]` takes IPv6 only."""
    assert not overlap(bound_of("::", of_socket=True), bound_of("0.0.0.0"))  # noqa: S104 compared, never bound
    assert overlap(bound_of("*", of_socket=True), bound_of("0.0.0.0"))  # noqa: S104 the same


def test_protocols_are_apart() -> None:
    """443 for HTTP/2 and 443 for QUIC are two things."""
    assert conflicts_among([claim("caddy", 443), claim("dns", 443, protocol="udp")]) == []


def test_spans_conflict_where_they_meet() -> None:
    """Only the ports that both want, as one stretch."""
    (found,) = conflicts_among([claim("a", 8000, last=8010), claim("b", 8005, last=8020)])

    assert (found.first, found.last, found.port_text) == (8005, 8010, "8005-8010/tcp")
    assert found.text() == "wf001 8005-8010/tcp: a and b"


def test_a_third_on_another_address_is_left_out() -> None:
    """The wildcard conflicts with both specific ones, which do not conflict with each other."""
    both = conflicts_among([claim("a", 80, address="127.0.0.1"), claim("b", 80, address="192.0.2.11")])
    three = conflicts_among([claim("a", 80, address="127.0.0.1"), claim("b", 80, address="192.0.2.11"), claim("c", 80)])

    assert both == []
    assert {one.who for one in three[0].claims} == {"a", "b", "c"}


def test_what_listens_side_by_side_is_no_conflict() -> None:
    """Two processes that have one port (SO_REUSEPORT) have it; a third that wants it can't."""
    held = [claim("one", 53, level=Level.HELD), claim("two", 53, level=Level.HELD)]

    assert conflicts_among(held) == []
    assert conflicts_among([*held, claim("three", 53)])


def test_only_unused_declarations_do_not_block() -> None:
    """A compose file from which nothing was ever started is a possible conflict, not a sure one."""
    (possible,) = conflicts_among([claim("redis", 6379), claim("old/redis", 6379, level=Level.DECLARED)])
    (sure,) = conflicts_among([claim("redis", 6379), claim("other", 6379)])

    assert (possible.blocks, sure.blocks) == (False, True)


def test_a_container_and_its_compose_file_are_one_thing() -> None:
    """What was started from a file does not conflict with the file."""
    text = "services:\n  web:\n    image: x\n    ports: ['80:80']\n"
    facts = make_host(containers=(started(),), listening=(make_socket(80, process="docker-proxy"),))

    assert conflicts_among(claims_of_host(facts, projects(text))) == []


def test_an_override_that_republishes_a_port_is_found() -> None:
    """The project runs on port 80; its override file, read at the next start, publishes 5432, which postgres has."""
    text, override = (
        "services:\n  web:\n    image: x\n    ports: ['80:80']\n",
        "services:\n  web:\n    ports: ['5432:80']\n",
    )
    postgres = make_container(host="wf001", name="postgres", published=(("", 5432, 5432, "tcp"),))
    facts = make_host(containers=(started(), postgres))

    (found,) = conflicts_among(claims_of_host(facts, projects(text, override)))

    assert found.blocks
    assert "shop/web (/srv/shop/compose.override.yml:3)" in found.text()
    assert "container postgres (running)" in found.text()
    assert conflicts_among(claims_of_host(facts, projects(text))) == []


def test_profiles_scale_and_other_files_claim_nothing() -> None:
    """What `docker compose up` would not start wants no port."""
    text = (
        "services:\n  a:\n    profiles: [debug]\n    ports: ['80:80']\n  b:\n    scale: 0\n    ports: ['81:81']\n"
        "  c:\n    ports: ['82', '90-95:82']\n"
    )
    by_hand = read_projects(
        FetchedSources({"/srv/compose.prod.yml": b"services:\n  a:\n    ports: ['80:80']\n"}), ["/srv/compose.prod.yml"]
    )

    assert claims_of_host(make_host(), (*projects(text), *by_hand)) == ()
    assert by_hand[0].services[0].ports


def test_host_network_claims_what_it_exposes() -> None:
    """`ports` mean nothing there; once it runs, its sockets are seen and the file adds nothing."""
    text = (
        "services:\n  web:\n    image: x\n    network_mode: host\n    ports: ['1:1']\n    expose: ['8080', "
        "'90-91/udp']\n"
    )
    running = make_host(containers=(started(published=0),), listening=(make_socket(8080, process="java"),))

    assert [one.port_text for one in claims_of_host(make_host(), projects(text))] == ["8080/tcp", "90-91/udp"]
    assert conflicts_among(claims_of_host(running, projects(text))) == []


def test_launch_is_read_from_labels() -> None:
    """The labels say from which files, also relative ones, a project was started."""
    launch = launch_of({LABEL_PROJECT: "shop", LABEL_FOLDER: "/srv/shop", LABEL_FILES: "/srv/shop/a.yml,b.yml"})

    assert launch is not None
    assert launch.files == ("/srv/shop/a.yml", "/srv/shop/b.yml")
    assert launch_of({"team": "shop"}) is None


def test_ports_that_were_not_seen_are_not_free() -> None:
    """A silent engine or socket list is no empty one."""
    for unseen in ({"docker_version": ""}, {"listening_error": "no ss"}):
        with pytest.raises(NotObservedError):
            claims_of_host(make_host(**unseen), ())


def redis_arrives(**given: object) -> PlannedPorts:
    """Return redis on its way from wf005 to wf001."""
    return PlannedPorts("redis", "wf005", "wf001", (PublishedPort(6379, 6379),), "redis", **given)  # type: ignore[arg-type]


def test_an_arrival_meets_a_process_that_is_not_docker() -> None:
    """The conflict after the moves names both."""
    held = claims_of_host(make_host(listening=(make_socket(6379, process="valkey-server"),)), ())
    (found,) = conflicts_after(held, [redis_arrives()])

    assert found.blocks
    assert "process valkey-server on 0.0.0.0" in found.text()
    assert "redis when it arrives from wf005" in found.text()
    assert conflicts_after(held, [redis_arrives(remaps={"6379/tcp": 16379})]) == []


def test_a_service_that_leaves_makes_no_room_for_others() -> None:
    """Its relay keeps its old port on the old host."""
    here = make_container(host="wf001", name="cache", published=(("", 6379, 6379, "tcp"),))
    held = claims_of_host(make_host(containers=(here,)), ())
    leaving = PlannedPorts("cache", "wf001", "wf002", (PublishedPort(6379, 6379),), "cache")
    (found,) = conflicts_after(held, [leaving, redis_arrives()])

    assert {one.kind for one in found.claims} == {"move", "relay"}


def test_two_arrivals_with_one_port_conflict() -> None:
    """Both are free today; together they are not."""
    other = PlannedPorts("cache", "wf002", "wf001", (PublishedPort(6379, 6379),), "cache")

    assert len(conflicts_after([], [redis_arrives(), other])) == 1
    assert conflicts_after([], [redis_arrives(done=True), other]) == []
    assert (
        conflicts_after(
            [], [redis_arrives(), PlannedPorts("quic", "wf002", "wf001", (PublishedPort(6379, 1, "udp"),), "quic")]
        )
        == []
    )
