"""Copies between real hosts under trouble: cut connections, a disk that fills up, a killed run's leftovers, writers
that keep writing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from actions.common.route import Route
from actions.copy.locations import DataPlace
from actions.copy.precopy import Precopy
from actions.copy.ssh_channel import Peer, list_keys
from actions.copy.volumes import CopyVolumes, Limits
from engine.config.environment import load_environment
from engine.constants import TOOLBOX_IMAGE
from engine.contracts.action import Note
from engine.errors import ActionError
from hosts.fleet import Fleet, open_hosts
from tests.lab import at_hand
from tests.lab.at_hand import ROOT, SOURCE

TARGET: Final = "wf002"
VOLUME: Final = "moving_data"
LABEL: Final = "lab/moving/1"
MEGABYTE: Final = 1_000_000
CUTS: Final = 10
RECEIVED: Final = "/sys/class/net/eth0/statistics/rx_bytes"

pytestmark = [pytest.mark.lab, pytest.mark.full, pytest.mark.usefixtures("fresh_lab")]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Open both hosts."""
    environment = load_environment(ROOT / "environments" / "lab.yaml")
    with open_hosts((SOURCE, TARGET), environment, ROOT / "state/lab/ssh_config") as opened:
        yield opened


@contextmanager
def volume(fleet: Fleet, size_mb: int) -> Iterator[CopyVolumes]:
    """Make a volume of random data on the source, and yield its copy to the target; everything is removed
    afterwards.
    """
    identity = load_environment(ROOT / "environments" / "lab.yaml").hosts[TARGET]
    make = f"head -c {size_mb * MEGABYTE // 4 * 3} /dev/urandom > /data/large; mkdir /data/more; "
    make += "split -b 100k -a 4 /data/large /data/more/; rm -f /data/more/*[e-z]"
    at_hand.on_host(
        SOURCE, "docker", "run", "--rm", "-v", f"{VOLUME}:/data", TOOLBOX_IMAGE, "sh", "-c", make, timeout_s=120
    )
    route = Route(fleet, "moving", "moving", SOURCE, TARGET, LABEL)
    copying = CopyVolumes(route, (DataPlace("volume", VOLUME),), Peer(TARGET, identity.address, identity.ssh_host_key))
    try:
        yield copying
    finally:
        copying.undo({})
        at_hand.on_host(SOURCE, "docker", "volume", "rm", VOLUME)


def limited(copying: CopyVolumes, mb_s: float) -> CopyVolumes:
    """Return the same copy with a bandwidth that gives a test time to interfere."""
    return replace(copying, limits=Limits(bandwidth_mb_s=mb_s))


@contextmanager
def meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Do something while the copy runs, until it ends."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def assert_nothing_left(fleet: Fleet, copying: CopyVolumes) -> None:
    """Assert that an undone copy left no container, no volume and no key on the target."""
    assert VOLUME not in at_hand.leftovers(TARGET)["volumes"]
    assert copying.ends.name not in {**at_hand.containers(TARGET), **at_hand.containers(SOURCE)}
    assert not list_keys(fleet, TARGET)


def test_passes_end_with_equal_sides_and_leave_nothing_else(fleet: Fleet) -> None:
    """Copied while it may change, changed, copied to its end: equal; what the last pass sends is the change, not the
    data.
    """
    with volume(fleet, 40) as copying:
        note: Note = {}
        live = Precopy(copying, 1.0)
        live.do(note)
        judgement = live.verify(note)
        assert judgement.passed, judgement.text
        assert len(note["passes"]) >= 2
        at_hand.on_host(SOURCE, "sh", "-c", f"echo changed >> /var/lib/docker/volumes/{VOLUME}/_data/more/aaaa")
        last: Note = {}
        copying.do(last)
        drifts = copying.proving().compare()
        copying.undo(last)
        assert_nothing_left(fleet, copying)
    assert [(drift.count, drift.reused == drift.files - 1) for drift in drifts.values()] == [(0, True)]
    assert last["copied"]["sent_bytes"] < 5 * MEGABYTE < note["passes"][0]["sent_bytes"]


def test_a_killed_runs_copy_is_ended_before_anything_else(fleet: Fleet) -> None:
    """The operator died, the rsync on the source did not: the next start adopts the containers and ends it."""
    with volume(fleet, 20) as copying:
        copying.ends.open()
        slow = replace(limited(copying, 0.1).copying("slow"), tell=lambda _line: None)
        words = slow.words.words()
        ssh = " ".join(copying.ends.channel.ssh())
        orphan = [
            "docker",
            "exec",
            "--detach",
            copying.ends.name,
            "rsync",
            *words,
            "-e",
            ssh,
            "/data/0/",
            f"root@{at_hand.address(TARGET)}:/data/0/",
        ]
        at_hand.on_host(SOURCE, *orphan)
        at_hand.wait_for("the orphan's rsync", lambda: "rsync" in _processes(copying, SOURCE))
        at_hand.wait_for("its other end", lambda: "rsync" in _processes(copying, TARGET))
        next_start = replace(copying)
        assert next_start.ends.open(), "both containers were there"
        at_hand.wait_for("no rsync on the source", lambda: "rsync" not in _processes(copying, SOURCE), 5)
        at_hand.wait_for("no rsync on the target", lambda: "rsync" not in _processes(copying, TARGET), 5)


def _processes(copying: CopyVolumes, host: str) -> str:
    return at_hand.on_host(host, "docker", "exec", copying.ends.name, "sh", "-c", "cat /proc/[0-9]*/comm")


def test_a_target_that_fills_up_in_the_middle_stops_the_copy(fleet: Fleet) -> None:
    """It fitted when it began; then something else filled the disk: the message says how much is missing, and the undo
    leaves nothing.
    """
    disk = "/var/lib/docker/volumes"
    with volume(fleet, 60) as copying:
        at_hand.on_host(TARGET, "mount", "-t", "tmpfs", "-o", "size=80m", "filling", disk)
        try:

            def fill(_over: threading.Event) -> None:
                at_hand.wait_for(
                    "some data on the target", lambda: int(at_hand.on_host(TARGET, "du", "-sm", disk).split()[0]) >= 4
                )
                at_hand.on_host(TARGET, "sh", "-c", f"head -c 64000000 /dev/zero > {disk}/filler")

            with (
                meanwhile(fill),
                pytest.raises(ActionError, match=r"wf002: volume moving_data: .* are missing") as stopped,
            ):
                limited(copying, 10).do({})
            assert "bytes" in str(stopped.value)
            copying.undo({})
            assert_nothing_left(fleet, copying)
        finally:
            at_hand.on_host(TARGET, "umount", "-l", disk)
        assert at_hand.inspect(SOURCE, "postgres")["State"]["Running"]


def test_what_does_not_fit_is_refused_before_the_first_byte(fleet: Fleet) -> None:
    """Bytes that are needed, that are free, that are missing."""
    disk = "/var/lib/docker/volumes"
    with volume(fleet, 60) as copying:
        at_hand.on_host(TARGET, "mount", "-t", "tmpfs", "-o", "size=16m", "small", disk)
        try:
            with pytest.raises(
                ActionError,
                match=r"needs [\d,]+ more bytes and has [\d,]+ free: [\d,]+ bytes .* are missing. Expected: it fits",
            ):
                copying.do({})
            copying.undo({})
        finally:
            at_hand.on_host(TARGET, "umount", "-l", disk)


@pytest.mark.full
def test_a_connection_cut_ten_times_is_taken_up_ten_times(fleet: Fleet) -> None:
    """The copy ends whole; by the counter of the target's interface less than 1.5 times the data came in."""
    with volume(fleet, 1000) as copying:
        at_hand.on_host(SOURCE, "rm", "-rf", f"/var/lib/docker/volumes/{VOLUME}/_data/more")
        size = int(at_hand.on_host(SOURCE, "du", "-sb", f"/var/lib/docker/volumes/{VOLUME}/_data").split()[0])
        copying.ends.open()
        cut = [0]

        def cut_often(over: threading.Event) -> None:
            while cut[0] < CUTS and not over.wait(2.0):
                killed = at_hand.on_host(
                    SOURCE, "docker", "exec", copying.ends.name, "sh", "-c", "pkill -x ssh && echo cut || true"
                )
                cut[0] += "cut" in killed

        before = int(at_hand.on_host(TARGET, "cat", RECEIVED))
        with meanwhile(cut_often):
            note: Note = {}
            limited(copying, 30).do(note)
        received = int(at_hand.on_host(TARGET, "cat", RECEIVED)) - before
        assert copying.proving().compare()[0].count == 0
    assert cut[0] == CUTS
    assert note["copied"]["retries"] >= CUTS
    assert size < received < 1.5 * size, f"{received / size:.2f} times"


WRITER: Final = (Path(__file__).parent / "writer_program.py").read_text(encoding="utf-8")
WRITER_NAME: Final = "longshore-writer"


@pytest.mark.full
@pytest.mark.parametrize("strategy", ["precopy", "stop_copy", "replicate"])
def test_no_acknowledged_write_is_lost_or_doubled(strategy: str, tmp_path: Path) -> None:
    """A writer with numbers, 200 a second into each store, keeps writing through the whole move of both."""
    at_hand.prepared_lab()
    plan = tmp_path / "migration_plan.json"
    text = (ROOT / "migration_plan.json").read_text(encoding="utf-8")
    plan.write_text(
        text.replace('"strategy": "precopy"', f'"strategy": "{strategy}"').replace('"schemas/', f'"{ROOT}/schemas/'),
        encoding="utf-8",
    )
    env = dict(
        line.split("=", 1) for line in at_hand.inspect(SOURCE, "orders")["Config"]["Env"] if line.startswith("ORDERS_")
    )
    at_hand.query(
        SOURCE,
        "CREATE TABLE ticks (number bigint, at timestamptz DEFAULT now()); GRANT INSERT, SELECT ON ticks TO orders_app",
    )
    _ready(plan)
    flags = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
    start = ["docker", "run", "--detach", "--name", WRITER_NAME, "--network", "apps", *flags, "--entrypoint", "python3"]
    at_hand.on_host(SOURCE, *start, at_hand.inspect(SOURCE, "orders")["Image"], "-u", "-c", WRITER)
    ran = at_hand.run_phase(
        "migrate", "--apply", "--plan", str(plan), "--service", "postgres", "--service", "redis", timeout_s=400
    )
    time.sleep(3)
    at_hand.on_host(SOURCE, "docker", "stop", WRITER_NAME)
    lines = at_hand.on_host(SOURCE, "docker", "logs", WRITER_NAME).splitlines()
    assert ran.code == 0, ran.output[-4000:]
    if strategy == "replicate":
        assert "replicate was not possible" not in ran.output
    for store, host in (("postgres", "wf002"), ("redis", "wf001")):
        acknowledged = {int(number) for name, number in (line.split() for line in lines) if name == store}
        there = _numbers(store, host)
        assert len(acknowledged) > 1000
        assert not sorted(acknowledged - set(there))[:5], (
            f"{store}: {len(acknowledged - set(there))} of {len(acknowledged)} are missing"
        )
        assert len(there) == len(set(there)), f"{store}: {len(there) - len(set(there))} are there twice"


def _ready(plan: Path) -> None:
    at_hand.preflight_and_approve("--plan", str(plan), "--service", "postgres", "--service", "redis")


def _numbers(store: str, host: str) -> list[int]:
    if store == "postgres":
        return [int(line) for line in at_hand.query(host, "SELECT number FROM ticks").split()]
    return [int(line) for line in at_hand.redis_cli(host, "LRANGE", "orders:ticks", "0", "-1").split()]
