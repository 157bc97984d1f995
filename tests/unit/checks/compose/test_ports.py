"""Ports in both syntaxes mean what the Compose specification says: whole entries are made from parts, and read back
into them.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from checks.compose.ports import PortError, Published, parse_port, parse_short

PORTS = some.integers(1, 65_535)
PROTOCOLS = some.sampled_from(("tcp", "udp", "sctp"))
ADDRESSES = some.one_of(some.just(""), some.ip_addresses(v=4).map(str), some.ip_addresses(v=6).map(str))


@some.composite
def spans(draw: Any, longest: int = 300) -> tuple[int, int]:
    """Return a first and a last port."""
    first = draw(PORTS)
    return first, min(65_535, first + draw(some.one_of(some.just(0), some.integers(0, longest))))


def written(span: tuple[int, int]) -> str:
    """Return a span as the specification writes it."""
    return str(span[0]) if span[0] == span[1] else f"{span[0]}-{span[1]}"


def in_brackets(address: str, *, always: bool) -> str:
    """Return an address as it may stand before a port; brackets around IPv6 are allowed, and needed by
    older Compose.
    """
    return f"[{address}]" if ":" in address and always else address


@settings(deadline=None, max_examples=40)
@given(spans(), PROTOCOLS, some.booleans(), some.booleans())
def test_container_alone_is_published_on_any_free_port(
    container: tuple[int, int], protocol: str, loud: bool, with_protocol: bool
) -> None:
    """`CONTAINER[/PROTOCOL]`: one any-port publication for each port of the span; tcp where nothing is said."""
    suffix = f"/{protocol.upper() if loud else protocol}" if with_protocol else ""
    expected = [("", "", port, protocol if with_protocol else "tcp") for port in range(container[0], container[1] + 1)]

    assert list(parse_short(written(container) + suffix).single()) == expected


@settings(deadline=None, max_examples=40)
@given(ADDRESSES, spans(), some.integers(1, 60_000), PROTOCOLS, some.booleans())
def test_span_to_span_goes_port_by_port(
    address: str, host: tuple[int, int], inside: int, protocol: str, brackets: bool
) -> None:
    """`[IP:]HOST:CONTAINER`: spans of one length are matched in order."""
    length = min(host[1] - host[0], 65_535 - inside)
    host, container = (host[0], host[0] + length), (inside, inside + length)
    head = f"{in_brackets(address, always=brackets)}:" if address else ""
    expected = [(address, str(host[0] + step), inside + step, protocol) for step in range(length + 1)]

    assert list(parse_short(f"{head}{written(host)}:{written(container)}/{protocol}").single()) == expected


@settings(deadline=None, max_examples=40)
@given(ADDRESSES, spans(), PORTS)
def test_span_to_one_port_is_a_choice(address: str, host: tuple[int, int], inside: int) -> None:
    """Several host ports for one container port: the first free one is taken, so none of them is needed for sure."""
    head = f"{in_brackets(address, always=True)}:" if address else ""
    published = parse_short(f"{head}{written(host)}:{inside}")

    assert list(published.single()) == [(address, written(host), inside, "tcp")]
    assert published.is_fixed == (host[0] == host[1])


@settings(deadline=None, max_examples=40)
@given(spans(), spans())
def test_spans_of_different_lengths_are_refused(host: tuple[int, int], container: tuple[int, int]) -> None:
    """Unless there is only one container port."""
    lengths = host[1] - host[0], container[1] - container[0]
    text = f"{written(host)}:{written(container)}"
    if lengths[0] == lengths[1] or lengths[1] == 0:
        assert parse_short(text).host == host
    else:
        with pytest.raises(PortError, match="expected as many"):
            parse_short(text)


@settings(deadline=None, max_examples=40)
@given(ADDRESSES, some.one_of(some.none(), spans()), PORTS, PROTOCOLS, some.booleans(), some.booleans())
def test_long_syntax_says_the_same_as_the_short(  # noqa: PLR0917 hypothesis hands over one by one
    address: str, host: tuple[int, int] | None, inside: int, protocol: str, as_text: bool, brackets: bool
) -> None:
    """target, published, host_ip and protocol are the parts of HOST:CONTAINER/PROTOCOL; the rest changes
    nothing here.
    """
    long: dict[str, Any] = {
        "target": str(inside) if as_text else inside,
        "mode": "host",
        "app_protocol": "http",
        "name": "web",
        "x-note": 1,
    }
    if host:
        long["published"] = host[0] if host[0] == host[1] and not as_text else written(host)
    if protocol != "tcp":
        long["protocol"] = protocol
    if address:
        long["host_ip"] = in_brackets(address, always=brackets)
    head = f"{in_brackets(address, always=True)}:" if address else ""
    short = f"{head}{written(host) if host else ''}:{inside}/{protocol}" if head or host else f"{inside}/{protocol}"

    assert parse_port(long) == parse_short(short)


@settings(deadline=None, max_examples=40)
@given(ADDRESSES, spans(), PROTOCOLS)
def test_text_is_read_back(address: str, host: tuple[int, int], protocol: str) -> None:
    """What a report shows as a port is that port in the short syntax."""
    published = Published(address, host, host, protocol)

    assert parse_short(published.text()) == published


@settings(deadline=None, max_examples=40)
@given(some.text(max_size=30))
def test_any_text_is_a_port_or_refused(text: str) -> None:
    """And what is accepted has numbers in range and an address that is one."""
    try:
        published = parse_short(text)
    except PortError:
        return
    assert 1 <= published.container[0] <= published.container[1] <= 65_535
    assert 0 <= published.host[0] <= published.host[1] <= 65_535
    assert not published.address or (IPv6Address if ":" in published.address else IPv4Address)(published.address)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("80:http", "container port 'http'"),
        ("http:80", "host port 'http'"),
        ("70000:80", "up to 65535"),
        ("localhost:80:80", "expected an IPv4 or IPv6 address"),
        ("80-79", "ends before it begins"),
        ("80/icmp", "expected tcp, udp or sctp"),
        (0, "container port 0"),
        (80.5, "a fraction"),
        (True, "true or false"),
        (None, "empty"),
        ([80], "a list"),
        ({"published": 80}, "without target"),
        ({"target": 80, "hostip": "127.0.0.1"}, "unknown key 'hostip'"),
        ({"target": 80, "published": "abc"}, "published 'abc'"),
        ({"target": 80, "host_ip": "nowhere"}, "host address 'nowhere'"),
        ({"target": 80, "protocol": "icmp"}, "expected tcp, udp or sctp"),
    ],
)
def test_what_is_wrong_is_named(item: Any, reason: str) -> None:
    """The message shows what was seen and what was expected."""
    with pytest.raises(PortError, match=reason):
        parse_port(item)
