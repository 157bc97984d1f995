"""Preflight on real hosts with real trouble: each fault is found, and for its own reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from actions.relays.planning import wanted_forwarders
from engine.config.environment import load_environment
from engine.config.inventory import load_inventory
from engine.config.plan import load_plan
from engine.config.scope import build_scope
from phases.context.link_state import places_planned
from tests.lab import at_hand
from tests.lab.at_hand import ROOT, SOURCE

pytestmark = [pytest.mark.lab, pytest.mark.full]

TARGET: Final = "wf001"
KNOWN_CELLS: Final = 4
"""The columns of the baseline that every host and container fills: host, what, memory, processors."""


@pytest.fixture
def port(prepared_lab: None) -> int:
    """Return the port of redis' relay on its target, which its clients' host needs to reach."""
    inventory = load_inventory(ROOT / "inventory.yaml")
    plan = load_plan(ROOT / "migration_plan.json", inventory)
    environment = load_environment(ROOT / "environments" / "lab.yaml")
    scope = build_scope(inventory, plan, environment, services=(), waves=())
    (found,) = {
        relay.to_port
        for relay in wanted_forwarders(scope, places_planned(scope))
        if (relay.host, relay.far.host, relay.port) == (SOURCE, TARGET, 6379)
    }
    return found


@contextmanager
def _changed(host: str, make: str, undo: str) -> Iterator[None]:
    """Change a host by a shell script, and take it back whatever happens."""
    try:
        at_hand.on_host(host, "sh", "-c", make)
        yield
    finally:
        at_hand.on_host(host, "sh", "-c", undo)


def _row(key: str, host: str) -> dict[str, object]:
    """Return the row of a step about a host, of a preflight that is run now."""
    ran = at_hand.run_phase("preflight")
    found = [
        record["body"] for record in at_hand.rows_of(ran) if record["key"] == key and record["body"]["host"] == host
    ]
    assert len(found) == 1, ran.output[-3000:]
    body: dict[str, object] = found[0]
    return body


@pytest.mark.parametrize(("verdict", "word"), [("DROP", "filtered"), ("REJECT", "refused")])
def test_a_firewall_is_named_with_its_rule(port: int, verdict: str, word: str) -> None:
    """DROP is no answer, REJECT looks like an empty port: both are found, with the rule."""
    rule = f"INPUT -p tcp --dport {port} -j {verdict}"
    with _changed(TARGET, f"iptables -I {rule}", f"iptables -D {rule}"):
        body = _row("network-open", SOURCE)
    assert body["verdict"] == "FAILED"
    assert word in str(body["text"])
    assert f"--dport {port} -j {verdict}" in str(body["text"])


def test_a_path_that_swallows_large_packets_is_named(prepared_lab: None) -> None:
    """Small packets pass, large ones vanish without a word: a connection would open and hang with the first full
    packet.
    """
    rule = "INPUT -p icmp -m length --length 1400:65535 -j DROP"
    with _changed(TARGET, f"iptables -I {rule}", f"iptables -D {rule}"):
        body = _row("network-open", SOURCE)
    assert body["verdict"] == "FAILED"
    assert f"{SOURCE} → {TARGET}: packets above 1300 bytes vanish without a word (MTU black hole)" in str(body["text"])


def test_dockers_own_path_is_tried_by_prepare(port: int) -> None:
    """A rule in DOCKER-USER does not touch an empty port: only a listener published as the relay will be shows it."""
    rule = f"DOCKER-USER -p tcp -m conntrack --ctorigdstport {port} --ctdir ORIGINAL -j DROP"
    with _changed(TARGET, f"iptables -I {rule}", f"iptables -D {rule}"):
        ran = at_hand.run_phase("prepare", "--apply")
    results = [
        record["body"]
        for record in at_hand.rows_of(ran)
        if record["key"] == "network-tested" and record["body"]["host"] == TARGET
    ]
    assert [body["verdict"] for body in results] == ["FAILED"]
    assert "DOCKER-USER" in results[0]["text"]
    assert at_hand.run_phase("prepare", "--apply").code == 0


def test_bytes_without_inodes_are_no_room(prepared_lab: None) -> None:
    """A file system with half of its bytes free and no inode left."""
    make = (
        "mount -t tmpfs -o size=2g,nr_inodes=40 few /var/lib/docker/volumes && "
        "i=0; while touch /var/lib/docker/volumes/f$i 2>/dev/null; do i=$((i+1)); done; true"
    )
    with _changed(TARGET, make, "umount -l /var/lib/docker/volumes"):
        ran = at_hand.run_phase("preflight")
    body = at_hand.row(ran, "redis", "disk-writable")
    assert body["verdict"] == "FAILED"
    assert "inodes of /var/lib/docker/volumes are used" in body["text"]


def test_a_read_only_mount_under_the_data_is_named(prepared_lab: None) -> None:
    """As the kernel leaves a disk that fails."""
    make = "mount -t tmpfs ro /var/lib/docker/volumes && mount -o remount,ro /var/lib/docker/volumes"
    with _changed(TARGET, make, "umount -l /var/lib/docker/volumes"):
        ran = at_hand.run_phase("preflight")
    body = at_hand.row(ran, "redis", "disk-writable")
    assert body["verdict"] == "FAILED"
    assert "read-only mount" in body["text"]


def test_a_connection_that_nobody_declared_is_seen(prepared_lab: None) -> None:
    """A container of nobody's that holds a connection to redis."""
    run = (
        "docker run -d --rm --name spy --network apps longshore/toolbox:1 "
        "python3 -c 'import socket,time; s=socket.create_connection((\"redis\", 6379)); time.sleep(120)' && sleep 1"
    )
    with _changed(SOURCE, run, "docker rm -f spy"):
        ran = at_hand.run_command("links", "--lab")
    assert ran.code == 1, ran.output[-2000:]
    assert "spy@wf005" in ran.output


def test_samples_are_taken_and_shown(prepared_lab: None) -> None:
    """Each host and each running container, with memory and processor time."""
    taken = at_hand.run_command("sample", "--lab", "--count", "2", "--every", "1")
    shown = at_hand.run_command("sample", "--lab", "--show")
    assert (taken.code, shown.code) == (0, 0), taken.output + shown.output
    lines = [line.strip("│ ") for line in shown.output.splitlines() if "│" in line]
    rows = [[cell.strip() for cell in line.split("│")] for line in lines]
    known = [row[:KNOWN_CELLS] for row in rows if row[0]]
    assert {row[1] for row in known} >= {"the host", "redis"}
    assert not [row for row in known if "not known" in row]


def test_the_kept_configuration_can_be_read(prepared_lab: None) -> None:
    """Preflight says what it holds."""
    body = _row("configuration-kept", SOURCE)
    assert body["verdict"] == "PASSED"
    assert "read back as stored" in str(body["text"])
