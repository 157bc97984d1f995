"""Rows of the copy between two lab hosts: ours, and what a person would type, in turn, over the same network, into an
empty place.

What a move finds out once, before its first pass (room, link, holes, the fastest hash), is measured apart and said in
the row.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from actions.common.route import Route, run_checked
from actions.copy.locations import DataPlace
from actions.copy.ssh_channel import Peer, close_channel, make_channel, shell_line
from actions.copy.verification import choose_algorithm
from actions.copy.volumes import CopyVolumes
from bench.row import Row, median_and_spread
from engine.config.environment import load_environment
from hosts.fleet import Fleet, open_hosts

SOURCE: Final = "wf005"
TARGET: Final = "wf001"
VOLUME: Final = "bench_data"
LABEL: Final = "lab/bench/1"
RUNS: Final = 3
LONGEST_S: Final = 1800.0
VOLUMES: Final = "/var/lib/docker/volumes"

EMPTY: Final = """
set -eu
cd "$1"
aside=$(mktemp -d ./before.XXXXXX)
find _data -mindepth 1 -maxdepth 1 -exec mv -t "$aside" -- {} +
find "$aside" -type f -size +1M -delete
sync
"""
"""Small files are put aside until the end: ext4 looks past each inode that was freed in the last minutes before it
takes a free one
(its recently_deleted()), so what is made where as much was just removed takes twice as long."""
LARGE: Final = "head -c 4294967296 /dev/urandom > /data/file"
SMALL: Final = """
import os
for folder in range(500):
    os.makedirs(f"/data/{folder:03}")
    for file in range(200):
        with open(f"/data/{folder:03}/{file:03}", "wb") as out:
            out.write(os.urandom(4096))
"""
MAKE: Final = {"4g": ["sh", "-c", LARGE], "100k": ["python3", "-c", SMALL]}
BYTES: Final = {"4g": 4 << 30, "100k": 100_000 * 4096}
WORK: Final = {"4g": "one file of 4 GiB", "100k": "100,000 files of 4 KiB"}


@dataclass(frozen=True)
class Measured:
    """Seconds of each run: ours, ours with the proof, and each peer."""

    ours: tuple[float, ...]
    proven: tuple[float, ...]
    tar: tuple[float, ...]
    rsync: tuple[float, ...]
    begin_s: float


@contextmanager
def lab_hosts(*names: str) -> Iterator[tuple[Fleet, Path]]:
    """Open hosts of the lab, which must be up; yield them and the folder of its state."""
    environment = load_environment(Path("environments/lab.yaml"))
    config = Path(str(environment.ssh_config))
    with open_hosts(names or tuple(environment.hosts), environment, config) as fleet:
        yield fleet, config.parent


def peer_in_lab(host: str) -> Peer:
    """Return a lab host as another reaches it."""
    identity = load_environment(Path("environments/lab.yaml")).hosts[host]
    return Peer(host, identity.address, identity.ssh_host_key)


@functools.cache
def _measured(kind: str) -> Measured:
    with lab_hosts(SOURCE, TARGET) as (fleet, _):
        route = Route(fleet, "bench", "bench", SOURCE, TARGET, LABEL)
        copying = CopyVolumes(route, (DataPlace("volume", VOLUME),), peer_in_lab(TARGET))
        try:
            make = ["docker", "run", "--rm", "-v", f"{VOLUME}:/data", "longshore/toolbox:1", *MAKE[kind]]
            run_checked(fleet, SOURCE, make, doing="make the bench's data", timeout_s=LONGEST_S)
            copying.ends.open()
            began = time.monotonic()
            copying.begin({})
            choose_algorithm(copying.ends, BYTES[kind])
            return _in_turn(copying, time.monotonic() - began)
        finally:
            copying.undo({})
            fleet[SOURCE].run(["docker", "volume", "rm", "--force", VOLUME], timeout_s=LONGEST_S)


def _in_turn(copying: CopyVolumes, begin_s: float) -> Measured:
    ours: list[float] = []
    proven: list[float] = []
    tar: list[float] = []
    plain: list[float] = []
    for _ in range(RUNS):
        ours.append(_emptied(copying, lambda: copying.copying("copy").copy(live=False)))
        began = time.monotonic()
        drift = copying.proving().compare()[0]
        if drift or not drift.compared:
            raise RuntimeError(f"the bench's copy differs: {drift.differences[:3]}")
        proven.append(ours[-1] + time.monotonic() - began)
        plain.append(_emptied(copying, lambda: plain_rsync(copying)))
        with _tar(copying) as pipe:
            tar.append(_emptied(copying, pipe))
    return Measured(tuple(ours), tuple(proven), tuple(tar), tuple(plain), begin_s)


def _emptied(copying: CopyVolumes, work: Callable[[], object]) -> float:
    """Empty the target, have both hosts' disks at rest, and return the seconds of the work."""
    run_checked(
        copying.route.fleet,
        TARGET,
        ["sh", "-c", EMPTY, "empty", f"{VOLUMES}/{VOLUME}"],
        doing="empty the target",
        timeout_s=LONGEST_S,
    )
    began = time.monotonic()
    work()
    return time.monotonic() - began


def plain_rsync(copying: CopyVolumes) -> None:
    """Copy as a person types it: rsync -a over ssh, with ssh's own choice of cipher."""
    channel = copying.ends.channel
    argv = ["rsync", "-a", "-e", shell_line(_typed(channel.ssh())), "/data/0/", f"{channel.destination()}:/data/0/"]
    copying.ends.inside(SOURCE, argv, timeout_s=LONGEST_S)


def _typed(ssh: list[str]) -> list[str]:
    """Return an ssh command without our choice of a cipher."""
    pairs = zip(ssh, [*ssh[1:], ""], strict=True)
    return [
        word
        for word, after in pairs
        if not word.startswith("Ciphers") and not (word == "-o" and after.startswith("Ciphers"))
    ]


@contextmanager
def _tar(copying: CopyVolumes) -> Iterator[Callable[[], object]]:
    """Yield tar | ssh tar on the hosts themselves, with ssh's own choice of cipher."""
    fleet, folder = copying.route.fleet, f"{VOLUMES}/{VOLUME}/_data"
    take = f"tar -C {folder} -xpf -"
    channel = make_channel(
        fleet, SOURCE, peer_in_lab(TARGET), move_label=LABEL, purpose="tar", forced_command=take, valid_s=LONGEST_S
    )
    try:
        ssh = [word.replace("/key/", f"{channel.directory}/") for word in _typed(channel.ssh())]
        pipe = f"tar -C {folder} -cf - . | {shell_line([*ssh, channel.destination(), 'take'])}"
        yield lambda: run_checked(fleet, SOURCE, ["sh", "-c", pipe], doing="tar", timeout_s=LONGEST_S)
    finally:
        close_channel(fleet, SOURCE, TARGET, move_label=LABEL, purpose="tar")


def _row(kind: str, *, proof: bool) -> Row:
    seen = _measured(kind)
    scale = BYTES[kind] / 1e6
    ours, spread = median_and_spread([scale / one for one in (seen.proven if proof else seen.ours)])
    peers = {
        "tar | ssh tar": median_and_spread([scale / one for one in seen.tar])[0],
        "rsync -a": median_and_spread([scale / one for one in seen.rsync])[0],
    }
    name = max(peers, key=peers.__getitem__)
    work = f"copy {WORK[kind]} to another host{', proof included' if proof else ''} (once before: {seen.begin_s:.1f} s)"
    identity = f"copy-{kind}{'-proof' if proof else ''}"
    others = ", ".join(f"{peer} {value:.0f}" for peer, value in peers.items())
    return Row(
        identity,
        work,
        f"the faster of {others}: {name}",
        ours,
        peers[name],
        "MB/s",
        0.8 if proof else 1.0,
        "more",
        RUNS,
        spread,
    )


ROWS: Final[dict[str, Callable[[], Row]]] = {
    "copy-4g": lambda: _row("4g", proof=False),
    "copy-4g-proof": lambda: _row("4g", proof=True),
    "copy-100k": lambda: _row("100k", proof=False),
    "copy-100k-proof": lambda: _row("100k", proof=True),
}
