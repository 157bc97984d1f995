"""Try connections from a host, all in one command: what was reached, how fast, and why the others were not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

from engine.contracts.host import Host
from engine.errors import NotObservedError
from engine.finding import say

SCRIPT: Final = (Path(__file__).parent / "reachability.sh").read_bytes()
TRY_S: Final = 3
"""A SYN that is lost is sent again after one second and after three (tcp(7)): two chances."""
TRIP_S: Final = 40.0
TIMED_OUT: Final = 124
NOT_THERE: Final = 127
TOOK: Final = re.compile(r"took ([\d.]+) ([\d.]+)")


class Outcome(str, Enum):
    """How a try ended."""

    OPEN = "open"
    REFUSED = "refused"
    FILTERED = "filtered"  # no answer in time: packets are dropped, here, there or between
    NO_ROUTE = "no route"
    NO_NAME = "name not found"
    NOT_TRIED = "not tried"


WORDS: Final = (
    ("refused", Outcome.REFUSED),
    ("No route to host", Outcome.NO_ROUTE),
    ("Network is unreachable", Outcome.NO_ROUTE),
    ("Host is unreachable", Outcome.NO_ROUTE),
    ("timed out", Outcome.FILTERED),
    ("not known", Outcome.NO_NAME),
    ("name resolution", Outcome.NO_NAME),
    ("bad address", Outcome.NO_NAME),
    ("prohibited", Outcome.NO_ROUTE),
)
"""What bash and nc call it (strerror(3), gai_strerror(3)); an administrator's "prohibited" is EHOSTUNREACH or EACCES.
"""


@dataclass(frozen=True)
class Attempt:
    """One try; `milliseconds` is how long the connection took, None when that was not measured."""

    outcome: Outcome
    milliseconds: float | None = None
    words: str = ""


@dataclass(frozen=True)
class PathSize:
    """The largest packet that a path carries: bytes, 0 when none of those tried passed; `is_silent`: larger ones vanish
    without a word.
    """

    packet_bytes: int | None
    is_silent: bool = False
    reason: str = ""  # why it was not measured


@dataclass(frozen=True)
class Reachability:
    """All tries of one host, by address and port, and its paths by address."""

    tries: Mapping[tuple[str, int], Attempt] = field(default_factory=dict)
    paths: Mapping[str, PathSize] = field(default_factory=dict)


def try_connections(host: Host, ends: Iterable[tuple[str, int]]) -> Reachability:
    """Try to connect from a host to each address and port; raises CouldNotLookError when the host does not answer."""
    wanted = sorted(set(ends))
    if not wanted:
        return Reachability()
    argv = ["sh", "-s", "--", str(TRY_S), *(f"{address}:{port}" for address, port in wanted)]
    answer = host.run(argv, stdin=SCRIPT, timeout_s=TRIP_S)
    if answer.exit_code:
        raise NotObservedError(
            say(
                "{name}: connections could not be tried from it: {error_text}. Try: ssh {name} bash -c 'exec "
                "3<>/dev/tcp/{address}/{port}'",
                name=host.name,
                error_text=answer.error_text or say("exit status {exit_code}", exit_code=answer.exit_code),
                address=wanted[0][0],
                port=wanted[0][1],
            )
        )
    return parse_reached(answer.text)


def parse_reached(text: str) -> Reachability:
    """Parse the rows of the script."""
    tries, paths = {}, {}
    for row in (line.split("\t") for line in text.splitlines()):
        if row[0] == "try" and len(row) == 5 and row[2].isdigit():  # noqa: PLR2004 the script's columns
            tries[row[1], int(row[2])] = _tried(int(row[3]), row[4].strip())
        elif row[0] == "mtu" and len(row) == 4:  # noqa: PLR2004 the same
            paths[row[1]] = _path(int(row[2]), row[3].strip())
    return Reachability(tries, paths)


def _tried(status: int, words: str) -> Attempt:
    took = TOOK.search(words)
    if status == 0:
        return Attempt(Outcome.OPEN, round((float(took[2]) - float(took[1])) * 1000, 2) if took else None)
    if status == TIMED_OUT:
        return Attempt(Outcome.FILTERED, words=f"no answer within {TRY_S} s")
    if status == NOT_THERE:
        return Attempt(Outcome.NOT_TRIED, words=words)
    return Attempt(next((outcome for word, outcome in WORDS if word in words), Outcome.NOT_TRIED), words=words)


def _path(status: int, words: str) -> PathSize:
    size, _, how = words.partition(" ")
    return (
        PathSize(int(size), how.strip() == "silent") if status == 0 and size.isdigit() else PathSize(None, reason=words)
    )
