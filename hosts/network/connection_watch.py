"""Which connections a container opens or takes while we look, however short they live."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.constants import LABEL_ROLE, NAME, TOOLBOX_IMAGE
from engine.finding import say
from hosts.fleet import Fleet
from hosts.manifest.reader import run_helper

PROGRAM: Final = (Path(__file__).parent / "connection_watch_program.py").read_bytes()
START_S: Final = 60.0


@dataclass(frozen=True)
class OpenedConnection:
    """So many connections that were opened from one address to another, at the port that was looked at."""

    source: str
    target: str
    count: int


def watch_openings(
    fleet: Fleet, host: str, container: str, port: int, *, seconds: float, until: str = ""
) -> tuple[OpenedConnection, ...]:
    """Return the connections at a port that are opened in a container's network within some seconds; with `until` it
    ends at one to that address.

    Packets are seen by a helper container in that network (packet(7)); raises CouldNotLookError when it can't be run.
    """
    name = f"{NAME}-openings-{secrets.token_hex(6)}"
    words = ["python3", "-", str(port), str(seconds), *([until] if until else [])]
    argv = [
        "docker",
        "run",
        "--rm",
        "--interactive",
        "--name",
        name,
        "--network",
        f"container:{container}",
        "--log-driver",
        "none",
        "--read-only",
        "--cap-drop",
        "ALL",
        "--cap-add",
        "NET_RAW",
        "--label",
        f"{LABEL_ROLE}=openings",
        TOOLBOX_IMAGE,
        *words,
    ]
    lacking = say("the connections of {container} could not be watched", container=container)
    answer = run_helper(fleet, host, name, argv, PROGRAM, timeout_s=seconds + START_S, lacking=lacking)
    return parse_openings(answer.text)


def parse_openings(text: str) -> tuple[OpenedConnection, ...]:
    """Parse the program's lines."""
    rows = (line.split() for line in text.splitlines())
    return tuple(OpenedConnection(source, target, int(count)) for source, target, count in rows)
