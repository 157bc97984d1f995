"""Rows of the manifest: one host at a time, in the toolbox, against the tools that a person would use, in the same
container.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.row import Row, median_and_spread
from engine.constants import TOOLBOX_IMAGE
from hosts.manifest.reader import PROGRAM, PROGRAM_AT, manifest_words

ROOT: Final = Path(__file__).resolve().parent.parent
NAME: Final = "longshore-bench-manifest"
RUNS: Final = 3
GIB: Final = 1 << 30
LINES: Final = 1_000_000

LARGE: Final = (
    'mkdir -p /data && for n in $(seq 1 {count}); do head -c {size} /dev/urandom > "/data/file-$n"; done; cat '
    "/data/* > /dev/null"
)
SMALL: Final = """
import os
for folder in range(500):
    os.makedirs(f"/data/{folder:03}")
    for file in range(200):
        with open(f"/data/{folder:03}/{file:03}", "wb") as out:
            out.write(os.urandom(4096))
"""
TIMED: Final = 'began=$(date +%s%N); "$@" > /dev/null; ended=$(date +%s%N); echo $(((ended - began) / 1000000))'
COMPARE: Final = """
import json, resource, sys, time
from hosts.manifest.manifest import Manifest, compare_manifests
began = time.monotonic()
with open(sys.argv[1], "rb") as one, open(sys.argv[2], "rb") as other:
    drift = compare_manifests(Manifest("source", "bench", one), Manifest("target", "bench", other))
seconds = time.monotonic() - began
assert (drift.count, drift.compared) == (3, int(sys.argv[3])), drift
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6]))
"""


@contextmanager
def _container(make: list[str]) -> Iterator[Callable[[list[str]], float]]:
    """Start a toolbox with data in it; yield what runs a command there and returns its seconds."""
    subprocess.run(["docker", "rm", "--force", "--volumes", NAME], capture_output=True, check=False)
    start = [
        "docker",
        "run",
        "--detach",
        "--rm",
        "--name",
        NAME,
        "--network",
        "none",
        "--volume",
        "/data",
        TOOLBOX_IMAGE,
        "sleep",
        "7200",
    ]
    subprocess.run(start, capture_output=True, check=True)
    try:
        subprocess.run(["docker", "exec", "-i", NAME, "sh", "-c", f"cat > {PROGRAM_AT}"], input=PROGRAM, check=True)
        subprocess.run(["docker", "exec", NAME, *make], check=True)
        yield lambda argv: _milliseconds(["docker", "exec", NAME, "sh", "-c", TIMED, "timed", *argv]) / 1000
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", NAME], capture_output=True, check=False)


def _milliseconds(argv: list[str]) -> int:
    return int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


@dataclass(frozen=True)
class _Peer:
    """The command that a person would run instead, and how fast ours has to be in comparison."""

    name: str
    argv: list[str]
    goal: float


def _against(about: tuple[str, str], amount: float, unit: str, peer: _Peer, make: list[str]) -> Row:
    """Measure ours and the peer in turn, so that what else the machine does meets both."""
    with _container(make) as timed:
        pairs = [(timed(manifest_words()), timed(peer.argv)) for _ in range(RUNS)]
    ours, spread = median_and_spread([amount / one for one, _ in pairs])
    theirs, _ = median_and_spread([amount / one for _, one in pairs])
    return Row(*about, peer.name, ours, theirs, unit, peer.goal, "more", RUNS, spread)


def manifest_4g() -> Row:
    """One file of 4 GiB in the page cache."""
    peer = _Peer("openssl dgst -sha256", ["openssl", "dgst", "-sha256", "/data/file-1"], 0.85)
    make = ["sh", "-c", LARGE.format(count=1, size=4 * GIB)]
    return _against(("manifest-4g", "manifest of one file of 4 GiB"), 4 * GIB / 1e9, "GB/s", peer, make)


def manifest_4x1g() -> Row:
    """Four files of 1 GiB."""
    files = [f"/data/file-{number}" for number in range(1, 5)]
    peer = _Peer("openssl dgst -sha256, one process", ["openssl", "dgst", "-sha256", *files], 1.5)
    make = ["sh", "-c", LARGE.format(count=4, size=GIB)]
    return _against(("manifest-4x1g", "manifest of four files of 1 GiB"), 4 * GIB / 1e9, "GB/s", peer, make)


def manifest_100k() -> Row:
    """100,000 files of 4 KiB, with all metadata."""
    peer = _Peer("find -exec sha256sum", ["find", "/data", "-type", "f", "-exec", "sha256sum", "{}", "+"], 1.2)
    about = ("manifest-100k", "manifest of 100,000 files of 4 KiB, all metadata")
    return _against(about, 100_000, "files/s", peer, ["python3", "-c", SMALL])


def manifest_compare_1m() -> Row:
    """Compare, in a process of its own, two manifests of a million files that differ in three."""
    seconds, spread, _ = _compared()
    return Row(
        "manifest-compare-1m",
        "compare two manifests of 1,000,000 files",
        "",
        seconds,
        None,
        "s",
        30,
        "less",
        RUNS,
        spread,
    )


def manifest_compare_1m_memory() -> Row:
    """The largest memory of that process."""
    _, _, memory = _compared()
    return Row(
        "manifest-compare-1m-memory",
        "memory of comparing 1,000,000 files",
        "",
        memory,
        None,
        "MB",
        200,
        "less",
        RUNS,
        0.0,
    )


def _compared() -> tuple[float, float, float]:
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("one", "other")]
        for file, changed in zip(files, (set[int](), {5, LINES // 2, LINES - 1}), strict=True):
            _write(file, changed)
        argv = [sys.executable, "-c", COMPARE, *map(str, files), str(LINES)]
        answers = [
            json.loads(subprocess.run(argv, capture_output=True, check=True, cwd=ROOT).stdout) for _ in range(RUNS)
        ]
    middle, spread = median_and_spread([seconds for seconds, _ in answers])
    return middle, spread, max(memory for _, memory in answers)


def _write(file: Path, changed: set[int]) -> None:
    with gzip.open(file, "wb", compresslevel=1) as out:
        for number in range(LINES):
            content = hashlib.sha256(b"%d" % (-number if number in changed else number)).hexdigest()
            out.write(
                b'{"path":"folder-%05d/file-%07d","type":"file","mode":420,"uid":999,"gid":999,"mtime_ns":%d,"xattrs":"","size":4096,'
                b'"content":"sha256:%s"}\n' % (number // 1000, number, 10**18 + number, content.encode())
            )
        out.write(
            b'{"end":true,"entries":%d,"files":%d,"bytes":%d,"read":0,"reused":0}\n' % (LINES, LINES, LINES * 4096)
        )


ROWS: Final[dict[str, Callable[[], Row]]] = {
    "manifest-4g": manifest_4g,
    "manifest-4x1g": manifest_4x1g,
    "manifest-100k": manifest_100k,
    "manifest-compare-1m": manifest_compare_1m,
    "manifest-compare-1m-memory": manifest_compare_1m_memory,
}
