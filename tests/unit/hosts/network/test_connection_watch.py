"""Connections are seen when they are opened, in both versions of IP, and nothing else of the traffic is
taken for one.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Any

import pytest

from engine.errors import NotObservedError
from hosts.network.connection_watch import OpenedConnection, parse_openings, watch_openings
from hosts.network.connection_watch_program import opening
from tests.fakes.host import FakeHost

SYN, SYN_ACK, ACK = 0x02, 0x12, 0x10


def packet(source: str, target: str, port: int, *, flags: int = SYN, protocol: int = 6, words: int = 5) -> bytes:
    """Return the bytes that open a connection as the kernel gives them, with IPv4 options when its header has more than
    five words.
    """
    one, other = ipaddress.ip_address(source), ipaddress.ip_address(target)
    segment = struct.pack("!HHIIBBHHH", 40000, port, 1, 0, 0x50, flags, 1024, 0, 0)
    if one.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(segment), protocol, 64) + one.packed + other.packed + segment
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, 40, 0, 0, 64, protocol, 0) + one.packed + other.packed
    return head + b"\0" * 4 * (words - 5) + segment


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (packet("172.18.0.2", "192.0.2.11", 5432), ("172.18.0.2", "192.0.2.11", 5432)),
        (packet("172.18.0.2", "192.0.2.11", 5432, words=6), ("172.18.0.2", "192.0.2.11", 5432)),
        (packet("2001:db8::1", "2001:db8::2", 5432), ("2001:db8::1", "2001:db8::2", 5432)),
        (packet("172.18.0.2", "192.0.2.11", 5432, flags=SYN_ACK), None),
        (packet("172.18.0.2", "192.0.2.11", 5432, flags=ACK), None),
        (packet("172.18.0.2", "192.0.2.11", 5432, protocol=17), None),
        (packet("172.18.0.2", "192.0.2.11", 5432)[:30], None),
        (b"", None),
        (b"\x00\x01", None),
    ],
)
def test_only_the_packet_that_opens_a_connection_counts(seen: bytes, expected: tuple[str, str, int] | None) -> None:
    """A SYN without ACK."""
    assert opening(seen) == expected


def test_the_programs_lines_are_understood() -> None:
    """One for each pair of ends."""
    assert parse_openings("172.18.0.2 192.0.2.11 3\n") == (OpenedConnection("172.18.0.2", "192.0.2.11", 3),)
    assert parse_openings("") == ()


def test_the_helper_stands_in_the_containers_network_and_may_do_no_more_than_look() -> None:
    """One capability, no log, removed by itself."""
    host = FakeHost("wf001", {"docker run": (0, "a b 1\n", "")})
    fleet: Any = {"wf001": host}

    assert watch_openings(fleet, "wf001", "orders", 5432, seconds=1.5, until="b") == (OpenedConnection("a", "b", 1),)
    (argv, program), = host.asked  # fmt: skip
    line = " ".join(argv)
    assert "--network container:orders" in line
    assert "--cap-drop ALL --cap-add NET_RAW" in line
    assert line.endswith("python3 - 5432 1.5 b")
    assert b"AF_PACKET" in program


def test_a_helper_that_cannot_run_is_no_answer() -> None:
    """It is reported as such, with what to try."""
    fleet: Any = {"wf001": FakeHost("wf001", {"docker run": (125, "", "No such image")})}

    with pytest.raises(
        NotObservedError, match=r"could not be watched: No such image. Try: ssh wf001 docker image inspect"
    ):
        watch_openings(fleet, "wf001", "orders", 5432, seconds=1)
