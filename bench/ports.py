"""Row of the port scanner: how long thousands of compose files take, from the disk to the conflicts."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Final

from bench.row import Row, median_and_spread, seconds
from checks.ports.local_scan import scan_paths
from checks.ports.report import PortReport, report_of
from engine.errors import ActionError

FILES: Final = 5_000
LONGEST_S: Final = 20
RUNS: Final = 3
PER_PROJECT: Final = 3
SEED: Final = 5_000


def ports_5000() -> Row:
    """Measure reading 5,000 compose files as projects, with variables, overrides and extends, and joining
    their ports.
    """
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder), FILES)
        figures = [seconds(lambda: _scan(Path(folder))) for _ in range(RUNS)]
    middle, spread = median_and_spread(figures)
    return Row(
        "ports-5000",
        f"scan {FILES:,} compose files for ports and conflicts",
        "",
        middle,
        None,
        "s",
        LONGEST_S,
        "less",
        RUNS,
        spread,
    )


def _scan(folder: Path) -> PortReport:
    """Scan, and raise ActionError unless every file was read and understood: a scan that skips files is fast."""
    report = report_of([scan_paths([folder])])
    (scan,) = report.scans
    read = {file for project in scan.projects for file in project.read if file.endswith(".yml")}
    troubles = [trouble for project in scan.projects for trouble in project.troubles]
    if len(read) != FILES or troubles or not report.now:
        raise ActionError(
            f"bench ports-5000: {len(read)} of {FILES} files read, {len(troubles)} not understood, "
            f"{len(report.now)} conflicts"
        )
    return report


def make_files(folder: Path, count: int) -> None:
    """Write that many compose files: projects of three files (base, override, one that is extended), about 40 lines a
    file.
    """
    chance = random.Random(SEED)
    for number in range(0, count, PER_PROJECT):
        project = folder / f"team{number % 40}" / f"project{number}"
        project.mkdir(parents=True)
        (project / ".env").write_text(f"PORT={chance.randrange(1024, 30_000)}\nTAG=1.{number}\n", encoding="utf-8")
        override = _override(chance, alone=count - number < PER_PROJECT)
        texts = {"compose.yml": _base(chance), "compose.override.yml": override, "common.yml": _common(chance)}
        for name, text in list(texts.items())[: count - number]:
            (project / name).write_text(text, encoding="utf-8")


def _base(chance: random.Random) -> str:
    lines = ["x-logging: &logging", "  driver: json-file", "  options: {max-size: 10m, max-file: '3'}", "services:"]
    for number in range(chance.randrange(2, 5)):
        port = chance.randrange(1024, 30_000)
        lines += [
            f"  app{number}:",
            '    image: "registry.example/app:${TAG:-latest}"',
            "    restart: unless-stopped",
            "    logging: *logging",
            "    environment:",
            "      DATABASE_URL: postgres://app@db:5432/app",
            f"      NUMBER: '{number}'",
            "    ports:",
            f'      - "{port}:{port % 9000 + 1}"',
            f'      - "127.0.0.1:{port + 1}-{port + 3}:81-83/tcp"',
            "      - target: 9090",
            f'        published: "{port + 10}"',
            "        host_ip: 0.0.0.0",
            "        protocol: udp",
        ]
    return "\n".join([*lines, "  web:", "    image: caddy", '    ports: ["${PORT}:80"]', ""])


def _override(chance: random.Random, *, alone: bool) -> str:
    port = chance.randrange(1024, 30_000)
    lines = [
        "services:",
        "  web:",
        "    extends: app0" if alone else "    extends: {service: edge, file: common.yml}",
        "    ports:",
        f'      - "{port}:443"',
        "  app0:",
        "    ports: !override",
    ]
    return "\n".join([*lines, f"      - {port + 1}:80", "    labels: [a=1, b=2]", ""])


def _common(chance: random.Random) -> str:
    lines = [
        "services:",
        "  edge:",
        "    image: caddy",
        "    expose: [80]",
        "    volumes:",
        "      - data:/data",
        "    ports:",
    ]
    return "\n".join([*lines, f'      - "{chance.randrange(1024, 30_000)}:8443"', "volumes: {data: {}}", ""])
