"""What is found out before the first pass of a copy: does it fit, does compressing pay on this link, what are the files
like.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from actions.copy.endpoints import SINK, CopyEndpoints
from actions.copy.rsync import worth_compressing
from actions.copy.ssh_channel import shell_line
from engine.finding import joined, say

MEASURE_S: Final = 1800.0
USED: Final = """\
for place in "$@"; do
  if [ -e "$place" ]; then
    set -- $(du -s -B1 "$place" 2>/dev/null); size=$1
    set -- $(du -s --inodes "$place" 2>/dev/null); echo "$size $1"
  else echo "0 0"; fi
done
"""
FILES: Final = r"""find "$@" -type f -size +4k -printf '%S %s\n' 2>/dev/null |
  awk '$1 < 1 { holes = 1 } $2 > largest { largest = $2 } END { printf "%d %d\n", holes, largest }'"""
"""Of a file without holes as much is allocated as it is long, or more. find(1), %S."""
SMALL_BYTES: Final = 8 << 20
FAST_MB_S: Final = 250.0
"""Over a link that carries more than rsync compares, small files are sooner sent whole; of a large one only what
changed travels.
"""
FREE: Final = 'for place in "$@"; do df -B1 --output=avail,iavail,itotal,source "$place" | tail -n 1; done'
MIB: Final = 1 << 20
SPEED_TEST_BYTES: Final = 16 * MIB
SAMPLE: Final = r"""
import os, subprocess, sys, time
files = []
for root in sys.argv[1:]:
    found = [(root, [], [""])] if os.path.isfile(root) else os.walk(root)
    for folder, _, names in found:
        files += [os.path.join(folder, name) if name else folder for name in names]
        if len(files) > 20000: break
pieces = []
for path in files[:: max(1, len(files) // 64)][:64]:
    try:
        if os.path.isfile(path) and not os.path.islink(path):
            with open(path, "rb") as file:
                file.seek(max(0, os.path.getsize(path) // 2 - 131072))
                pieces.append(file.read(262144))
    except OSError:
        pass
plain = b"".join(pieces)
began = time.perf_counter()
packed = subprocess.run(["zstd", "-1", "-c", "-q"], input=plain, stdout=subprocess.PIPE, check=True).stdout
print(len(plain), len(packed), time.perf_counter() - began)
"""
"""Pieces of files from all over the places, and how far and how fast they shrink."""


@dataclass(frozen=True)
class TargetSpace:
    """What a copy needs on one file system of the target, and what is free there; bytes and inodes."""

    mount: str
    needed_bytes: int
    free_bytes: int
    needed_inodes: int
    free_inodes: int | None  # None: this file system makes them as needed

    def missing(self) -> str:
        """Return what is missing, empty when it fits."""
        if self.needed_bytes > self.free_bytes:
            short = self.needed_bytes - self.free_bytes
            need = f"{self.mount} needs {self.needed_bytes:,} more bytes and has {self.free_bytes:,} free"
            return f"{need}: {short:,} bytes ({short / MIB:.1f} MiB) are missing"
        if self.free_inodes is not None and self.needed_inodes > self.free_inodes:
            short = self.needed_inodes - self.free_inodes
            return (
                f"{self.mount} needs {self.needed_inodes:,} more inodes and has {self.free_inodes:,} free: "
                f"{short:,} are missing"
            )
        return ""


def read_room(ends: CopyEndpoints) -> tuple[list[TargetSpace], int]:
    """Return what the rest of the copy needs on each file system of the target, and how much data there is in all."""
    places = [ends.at(position) for position in range(len(ends.places))]
    source, target = ends.route.source, ends.route.target
    with ThreadPoolExecutor(max_workers=2) as pool:
        have, there = pool.map(
            lambda host: _numbers(ends.inside(host, ["sh", "-c", USED, "used", *places], timeout_s=MEASURE_S).text),
            (source, target),
        )
    rooms: dict[str, TargetSpace] = {}
    lines = ends.inside(target, ["sh", "-c", FREE, "free", *places]).text.splitlines()
    for place, (size, inodes), (is_there, are_there), line in zip(ends.places, have, there, lines, strict=True):
        free, free_inodes, all_inodes, device = line.split(maxsplit=3)
        disk = device if "/" in device else place.text()  # tmpfs and overlay are only kinds
        old = rooms.get(
            disk,
            TargetSpace(
                f"the file system of {place.text()}", 0, int(free), 0, int(free_inodes) if int(all_inodes) else None
            ),
        )
        rooms[disk] = replace(
            old,
            needed_bytes=old.needed_bytes + max(0, size - is_there),
            needed_inodes=old.needed_inodes + max(0, inodes - are_there),
        )
    return list(rooms.values()), sum(size for size, _ in have)


def _numbers(text: str) -> list[tuple[int, int]]:
    return [(int(first), int(second)) for first, second in (line.split() for line in text.splitlines())]


def missing_room(ends: CopyEndpoints) -> str:
    """Return what the target's file systems lack for the rest of the copy, empty when it fits."""
    rooms, _ = read_room(ends)
    return joined("; ", (text for room in rooms if (text := room.missing())))


@dataclass(frozen=True)
class PathProbe:
    """What the link carries and whether this data had better be compressed on it; None: too little data to measure."""

    mb_s: float | None
    compress: bool
    text: str

    def sends_whole(self, largest_bytes: int) -> bool:
        """Return whether changed files are sent whole when the largest of them has so many bytes."""
        return not self.compress and largest_bytes <= SMALL_BYTES and (self.mb_s or 0.0) >= FAST_MB_S


def look_at_files(ends: CopyEndpoints) -> tuple[bool, int]:
    """Return whether a file of the source has holes or is stored in less room than it is long, and the size of the
    largest.
    """
    places = [ends.at(position) for position in range(len(ends.places))]
    holes, largest = ends.inside(
        ends.route.source, ["sh", "-c", FILES, "files", *places], timeout_s=MEASURE_S
    ).text.split()
    return holes == "1", int(largest)


def measure_link(ends: CopyEndpoints, limit_mb_s: float | None) -> PathProbe:
    """Measure what the link carries, and how far and how fast this data shrinks."""
    route = ends.route
    places = [ends.at(position) for position in range(len(ends.places))]
    plain, packed, seconds = ends.inside(route.source, ["python3", "-c", SAMPLE, *places]).text.split()
    if int(plain) < MIB:
        return PathProbe(None, compress=False, text=say("too little data to compress"))
    way = shell_line([*ends.channel.ssh(), ends.channel.destination(), SINK])
    nothing, some = (_timed(ends, f"head -c {count} /dev/zero | {way}") for count in (0, SPEED_TEST_BYTES))
    link = min(SPEED_TEST_BYTES / 1e6 / max(some - nothing, 0.01), limit_mb_s or float("inf"))
    ratio, speed = int(packed) / int(plain), int(plain) / 1e6 / float(seconds)
    worth = worth_compressing(link_mb_s=link, ratio=ratio, compress_mb_s=speed)
    text = say(
        "{worth}: {link:,.0f} MB/s, data shrinks to {ratio:.0%} at {speed:,.0f} MB/s",
        worth="compressed" if worth else say("not compressed"),
        link=link,
        ratio=ratio,
        speed=speed,
    )
    return PathProbe(link, worth, text)


def _timed(ends: CopyEndpoints, line: str) -> float:
    started = time.monotonic()
    ends.inside(ends.route.source, ["sh", "-c", line])
    return time.monotonic() - started
