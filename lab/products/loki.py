"""Loki on the source host: two weeks of lines of a fixed past, in three streams."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import requests

from lab import seeds
from lab.containers import NETWORK, address, run_container, wait_for_http, write_file
from lab.settings import LOKI

RUN: Final = (
    "--name",
    "loki",
    "--network",
    NETWORK,
    "--publish",
    "3100:3100",
    "--volume",
    "loki_data:/loki",
    "--volume",
    "/srv/loki/config.yaml:/etc/loki/local-config.yaml:ro",
    "--restart",
    "unless-stopped",
    "--stop-timeout",
    "60",
    "--cap-drop",
    "ALL",
    "--label",
    "team=observability",
    LOKI,
    "-config.file=/etc/loki/local-config.yaml",
)
CONFIGURATION: Final = Path(__file__).parents[1] / "loki" / "config.yaml"
STREAMS: Final = ({"job": "shop", "level": "info"}, {"job": "shop", "level": "error"}, {"job": "till", "level": "info"})
STEP_S: Final = 600


def create(passwords: dict[str, str]) -> None:  # noqa: ARG001 it has no password
    """Start it, and push its past."""
    write_file("/srv/loki/config.yaml", CONFIGURATION.read_bytes())
    run_container(RUN, {})
    wait_for_http("loki", 3100, "/ready")
    for position, stream in enumerate(STREAMS):
        content = {"streams": [{"stream": stream, "values": lines(position)}]}
        requests.post(f"http://{address()}:3100/loki/api/v1/push", json=content, timeout=60).raise_for_status()


def lines(position: int) -> list[list[str]]:
    """Return the lines of a stream: one every ten minutes, for two weeks."""
    moments = range(seeds.HISTORY_START + position, seeds.HISTORY_START + seeds.HISTORY_DAYS * 86_400, STEP_S)
    return [
        [str(moment * 1_000_000_000), f"stream {position}: order {moment % 9973} took {moment % 701} ms"]
        for moment in moments
    ]
