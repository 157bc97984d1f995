"""Rows of the outage: a service with much data moves between two lab hosts, ours with copies beforehand, the peer as
one would by hand.

The clock runs from the moment that the service is ordered to stop until its new container answers. One hundredth of the
data is rewritten before each pass and once more before the stop.
"""

from __future__ import annotations

import functools
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from actions.common.route import Route, run_checked
from actions.copy.locations import DataPlace
from actions.copy.precopy import Precopy
from actions.copy.volumes import CopyVolumes, Limits, VerifyVolumes
from bench.copies import LABEL, LONGEST_S, SOURCE, TARGET, lab_hosts, peer_in_lab, plain_rsync
from bench.row import Row, median_and_spread
from engine.constants import TOOLBOX_IMAGE
from engine.errors import ActionError
from engine.polling import Polling
from hosts.fleet import Fleet

VOLUME: Final = "bench_ballast"
SERVICE: Final = "bench-ballast"
PORT: Final = 8099
RUNS: Final = 3
GIB: Final = 1 << 30
FILE: Final = 1 << 20
FILES: Final = {"2g": 2 * GIB // FILE, "8g": 8 * GIB // FILE}

MAKE: Final = """
import os, sys
for number in range(int(sys.argv[1])):
    with open(f"/data/{number:05}", "wb") as out:
        out.write(os.urandom(1 << 20))
"""
CHANGE: Final = """
import os, random, sys
names = sorted(os.listdir("/data"))
for name in random.sample(names, max(1, len(names) // 100)):
    with open(f"/data/{name}", "r+b") as out:
        out.write(os.urandom(os.path.getsize(f"/data/{name}")))
os.sync()
"""
SERVE: Final = ("socat", f"TCP-LISTEN:{PORT},fork,reuseaddr", "EXEC:/bin/true")
RUN: Final = [
    "docker",
    "run",
    "--detach",
    "--init",
    "--name",
    SERVICE,
    "--publish",
    f"{PORT}:{PORT}",
    "-v",
    f"{VOLUME}:/data",
    TOOLBOX_IMAGE,
    *SERVE,
]


@dataclass(frozen=True)
class Outages:
    """Seconds of each run."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]


@functools.cache
def _measured(kind: str, runs: int) -> Outages:
    with lab_hosts(SOURCE, TARGET) as (fleet, _), _ballast(fleet, FILES[kind]):
        ours, theirs = [], []
        for _ in range(runs):
            ours.append(_precopied(fleet))
            if kind == "2g":
                theirs.append(_by_hand(fleet))
        return Outages(tuple(ours), tuple(theirs))


@contextmanager
def _ballast(fleet: Fleet, files: int) -> Iterator[None]:
    """Have the service with its data on the source for as long as it is measured."""
    _clear(fleet)
    try:
        make = ["docker", "run", "--rm", "-v", f"{VOLUME}:/data", TOOLBOX_IMAGE, "python3", "-c", MAKE, str(files)]
        run_checked(fleet, SOURCE, make, doing="make the bench's data", timeout_s=LONGEST_S)
        run_checked(fleet, SOURCE, RUN, doing="start the bench's service")
        yield
    finally:
        _clear(fleet)


def _clear(fleet: Fleet) -> None:
    for host in (SOURCE, TARGET):
        fleet[host].run(["docker", "rm", "--force", SERVICE], timeout_s=60.0)
        fleet[host].run(["docker", "volume", "rm", "--force", VOLUME], timeout_s=600.0)


def _copy(fleet: Fleet, report: Callable[[str], None]) -> CopyVolumes:
    route = Route(fleet, "bench", SERVICE, SOURCE, TARGET, LABEL)
    return CopyVolumes(
        route, (DataPlace("volume", VOLUME),), peer_in_lab(TARGET), limits=Limits(outage_budget_s=5.0), report=report
    )


def _change(fleet: Fleet) -> None:
    run_checked(
        fleet,
        SOURCE,
        ["docker", "exec", SERVICE, "python3", "-c", CHANGE],
        doing="rewrite a hundredth",
        timeout_s=LONGEST_S,
    )


def _precopied(fleet: Fleet) -> float:
    """Move it our way: copies while it runs, then stop, the rest, the proof, start."""

    def passed(line: str) -> None:
        if line.startswith("pass "):
            _change(fleet)

    copying, note = _copy(fleet, passed), dict[str, object]()
    proving = VerifyVolumes(copying.route, copying.places, None, copying.proving(), copying.copying("copy"), tidy=False)
    try:
        Precopy(copying, others_s=2.0).do(note)
        taken = _outage(fleet, lambda: _last_copy(copying, proving, note))
    finally:
        _return(fleet, copying)
    return taken


def _last_copy(copying: CopyVolumes, proving: VerifyVolumes, note: dict[str, object]) -> None:
    copying.do(note)
    proving.do(note)
    judgement = proving.verify(note)
    if not judgement.passed:
        raise ActionError(judgement.text)


def _by_hand(fleet: Fleet) -> float:
    """Move it as a person would: stop, copy all with rsync -a over ssh, start; nothing is proven."""
    copying = _copy(fleet, lambda _line: None)
    try:
        copying.ends.open()
        return _outage(fleet, lambda: plain_rsync(copying))
    finally:
        _return(fleet, copying)


def _outage(fleet: Fleet, copy: Callable[[], object]) -> float:
    """Stop, copy, create and start on the target, wait for its answer."""
    began = time.monotonic()
    run_checked(fleet, SOURCE, ["docker", "stop", SERVICE], doing="stop the bench's service")
    copy()
    run_checked(fleet, TARGET, RUN, doing="start the bench's service on the target")
    _wait_for_answer(fleet[TARGET].address)
    return time.monotonic() - began


def _wait_for_answer(address: str) -> None:

    def answers() -> bool:
        with suppress(OSError), socket.create_connection((address, PORT), timeout=1):
            return True
        return False

    if not Polling(f"{address}:{PORT} answers", 60.0, first_s=0.02, longest_s=0.02).until(answers, bool).good:
        raise ActionError(f"{address}:{PORT}: the bench's service does not answer within 60 s")


def _return(fleet: Fleet, copying: CopyVolumes) -> None:
    """Take the target's side away and start the source again."""
    fleet[TARGET].run(["docker", "rm", "--force", SERVICE], timeout_s=60.0)
    copying.undo({})
    run_checked(fleet, SOURCE, ["docker", "start", SERVICE], doing="start the bench's service again")


def outage_2g() -> Row:
    """Measure the outage of 2 GiB against stop, copy all, start."""
    seen = _measured("2g", RUNS)
    ours, spread = median_and_spread(list(seen.ours))
    work = "outage of a service with 2 GiB, 1 % changed between passes, proof included"
    return Row(
        "outage-2g",
        work,
        "stop, rsync -a, start, nothing proven",
        ours,
        median_and_spread(list(seen.theirs))[0],
        "s",
        0.1,
        "less",
        RUNS,
        spread,
    )


def outage_8g_flat() -> Row:
    """Measure the outage of 8 GiB against ours of 2 GiB."""
    small, large = _measured("2g", RUNS), _measured("8g", 1)
    ours, theirs = median_and_spread(list(large.ours))[0], median_and_spread(list(small.ours))[0]
    return Row("outage-8g-flat", "the same with 8 GiB", "ours with 2 GiB", ours, theirs, "s", 1.3, "less", 1, 0.0)


ROWS: Final[dict[str, Callable[[], Row]]] = {"outage-2g": outage_2g, "outage-8g-flat": outage_8g_flat}
