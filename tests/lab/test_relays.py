"""Relays on four real hosts: services moved and rolled back one by one in every order, and nothing crosses in clear
text.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import permutations
from typing import Any, Final

import pytest

from lab.settings import BACKUP_HOST, FOURTH_VARIABLE, TOOLBOX
from tests.lab import at_hand
from tests.lab.at_hand import SOURCE, TARGETS

pytestmark = [pytest.mark.lab, pytest.mark.full]
ALL_HOSTS: Final = (SOURCE, "wf001", "wf002", BACKUP_HOST)
MARK: Final = b"longshore-clear-text-4711"
REDIS: Final = 6379
FRAMES: Final = 0x0003
"""ETH_P_ALL of linux/if_ether.h: every frame."""


@pytest.fixture(scope="module")
def four_hosts() -> Iterator[None]:
    """Raise a lab with a fourth host that carries the backup, prepare it, and take it down again."""
    patch = pytest.MonkeyPatch()
    patch.setenv(FOURTH_VARIABLE, "1")
    at_hand.lab("up", "--services", "core")
    at_hand.reset("core")
    prepare = at_hand.run_phase("prepare", "--apply")
    assert prepare.code == 0, prepare.output[-3000:]
    at_hand.wait_for("orders works", at_hand.orders_work)
    yield
    at_hand.lab("down")
    patch.undo()


def relays(host: str) -> dict[str, dict[str, Any]]:
    """Return our relays' containers on a host, by name."""
    return {
        name: raw
        for name, raw in at_hand.containers(host).items()
        if raw["Config"]["Labels"].get("longshore.role") == "forwarder"
    }


def wanted(moved: set[str]) -> dict[tuple[str, str], int]:
    """Return by host and end how many relays must be there: one for the name and port that each service left, one for
    what prometheus scrapes.
    """
    ends = [end for service in moved for end in ((SOURCE, "near"), (TARGETS[service], "far"))]
    ends += [(TARGETS["prometheus"], "near"), (SOURCE, "far")] if "prometheus" in moved else []
    return dict(Counter(ends))


def assert_relays_are_right(moved: set[str]) -> None:
    """Assert that each host has the relays of what has moved, all running, and each end demands what the other shows;
    and the application works.
    """
    seen: Counter[tuple[str, str]] = Counter()
    keys: dict[str, list[str]] = {}
    for host in ALL_HOSTS:
        for name, raw in relays(host).items():
            labels = raw["Config"]["Labels"]
            assert raw["State"]["Status"] == "running", f"{host}: {name}"
            assert not any("PRIVATE KEY" in item for item in raw["Config"]["Env"])
            end = labels["longshore.relay.end"]
            seen[host, end] += 1
            keys.setdefault(labels["longshore.relay"], []).append(labels["longshore.relay.keys"])
            if end == "far":
                (bound,) = [one for many in raw["HostConfig"]["PortBindings"].values() for one in many]
                assert bound["HostIp"] == at_hand.address(host), "on the private address only"
        left = at_hand.on_host(
            host, "docker", "volume", "ls", "-q", "--filter", "label=longshore.role=forwarder-keys"
        ).split()
        assert len(left) == len(relays(host)), f"{host}: {left}"
    assert dict(seen) == wanted(moved)
    assert all(one.split(":") == other.split(":")[::-1] for one, other in keys.values())
    at_hand.wait_for("orders works", at_hand.orders_work)


@pytest.mark.parametrize("order", list(permutations(TARGETS)), ids="-".join)
def test_moved_and_rolled_back_one_by_one_relays_are_right_on_all_hosts(
    four_hosts: None, order: tuple[str, ...]
) -> None:
    """Each command that status prints is given for one service alone; after each, all four hosts have exactly the
    relays that are needed.
    """
    at_hand.preflight_and_approve()
    moved: set[str] = set()
    for service in order:
        ran = at_hand.run_phase("migrate", "--apply", "--service", service, "--retry", service)
        assert ran.code == 0, ran.output[-4000:]
        moved.add(service)
        assert_relays_are_right(moved)
        at_hand.assert_data_flows()
    for service in order[::-1]:
        ran = at_hand.run_command("rollback", service, "--lab", "--apply")
        assert ran.code == 0, ran.output[-4000:]
        moved.remove(service)
        assert_relays_are_right(moved)
        at_hand.assert_data_flows()


@pytest.fixture(scope="module")
def moved_redis(four_hosts: None) -> None:
    """Move redis alone."""
    at_hand.preflight_and_approve()
    ran = at_hand.run_phase("migrate", "--apply", "--service", "redis", "--retry", "redis")
    assert ran.code == 0, ran.output[-4000:]


def far_port(host: str) -> int:
    """Return the port at which the relay of redis comes out."""
    (far,) = [
        raw
        for name, raw in relays(host).items()
        if raw["Config"]["Labels"]["longshore.relay.end"] == "far" and "-redis-" in name
    ]
    (bound,) = [one for many in far["HostConfig"]["PortBindings"].values() for one in many]
    return int(bound["HostPort"])


def sniff(frames: list[bytes], ending: threading.Event) -> None:
    """Keep every frame of this machine, those between the lab's hosts too, until it is stopped."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(FRAMES)) as heard:
        heard.settimeout(0.2)
        while not ending.is_set():
            try:
                frames.append(heard.recv(65535))
            except TimeoutError:
                continue


def test_no_clear_text_crosses_between_hosts(moved_redis: None) -> None:
    """What a client says to the old host in clear text is not to be read on its way to the new one; the listener hears
    that it would be.
    """
    frames: list[bytes] = []
    ending = threading.Event()
    listener = threading.Thread(target=sniff, args=(frames, ending))
    listener.start()
    try:
        time.sleep(0.5)
        with socket.create_connection((at_hand.address(SOURCE), REDIS), timeout=10) as client:
            client.sendall(b"*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n" % (len(MARK), MARK))
            assert client.recv(200).startswith(b"-NOAUTH")
        time.sleep(1)
    finally:
        ending.set()
        listener.join()
    source, target = (socket.inet_aton(at_hand.address(host)) for host in (SOURCE, TARGETS["redis"]))
    between = [frame for frame in frames if {frame[26:30], frame[30:34]} == {source, target}]
    assert [frame for frame in frames if MARK in frame], "the way to the old host is the client's own, in clear text"
    assert between
    assert not [frame for frame in between if MARK in frame or b"NOAUTH" in frame]


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (SOURCE, "TCP:{there}"),
        (SOURCE, "OPENSSL:{there},verify=0,nosni"),
        (SOURCE, "OPENSSL:{there},verify=0,nosni,cert=/tmp/c.pem,key=/tmp/k.pem"),
        ("wf002", "OPENSSL:{there},verify=0,nosni"),
    ],
    ids=["plain", "no key", "another key", "another host"],
)
def test_who_has_not_the_key_is_refused(moved_redis: None, host: str, words: str) -> None:
    """Neither clear text, nor TLS without a key, nor with another one, nor from another host gets one byte of an
    answer.
    """
    target = TARGETS["redis"]
    there = f"{at_hand.address(target)}:{far_port(target)}"
    script = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /tmp/k.pem -out /tmp/c.pem "
        "-subj /CN=near 2>/dev/null; "
        f"printf 'PING\\r\\n' | timeout 5 socat -t 2 - {words.format(there=there)} 2>/dev/null | head -c 200; true"
    )
    answer = at_hand.on_host(host, "docker", "run", "--rm", "--network", "host", TOOLBOX, "sh", "-c", script)
    assert "NOAUTH" not in answer
    assert "PONG" not in answer
    with socket.create_connection((at_hand.address(SOURCE), REDIS), timeout=10) as client:
        client.sendall(b"PING\r\n")
        assert client.recv(200).startswith(b"-NOAUTH"), "while the relay's own ends reach it"


def test_relays_come_back_with_their_hosts(moved_redis: None) -> None:
    """Keys and certificates outlive a restart of every end: nothing is asked of the operator's machine."""
    for host in ALL_HOSTS:
        for name in relays(host):
            at_hand.on_host(host, "docker", "restart", "--time", "1", name)
    assert_relays_are_right({"redis"})
    at_hand.assert_data_flows()
