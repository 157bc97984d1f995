"""The recorded answers are those of a real `docker compose config`, which a throwaway host of the lab's image gives
again.
"""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import tarfile
from collections.abc import Iterator
from typing import Any, Final

import pytest

from lab.settings import HOST_IMAGE, PREFIX
from tests.unit.checks.compose.test_reference import CASES, ports_of, project_of

NAME: Final = f"{PREFIX}-compose-{os.getpid()}"
INSTALL: Final = (
    "docker compose version || { apt-get -qq update && apt-get -qqy install --no-install-recommends docker-compose; }"
)
UNPACK: Final = "rm -rf /srv/p && mkdir -p /srv/p && tar -xf - -C /srv/p"

pytestmark = [pytest.mark.lab, pytest.mark.full]


@pytest.fixture(scope="module")
def reference(raised_lab: None) -> Iterator[None]:
    """Start a host of the lab's image with Debian's own docker-compose; it needs no engine to read files."""
    subprocess.run(
        [
            "docker",
            "run",
            "--detach",
            "--rm",
            "--network",
            "host",
            "--name",
            NAME,
            "--entrypoint",
            "sleep",
            HOST_IMAGE,
            "1200",
        ],
        check=True,
        capture_output=True,
    )
    try:
        subprocess.run(["docker", "exec", NAME, "sh", "-c", INSTALL], check=True, capture_output=True, timeout=300)
        yield
    finally:
        subprocess.run(["docker", "rm", "--force", NAME], check=True, capture_output=True)


def answer_of(files: dict[str, str]) -> dict[str, Any]:
    """Return what `docker compose config` says of a project with these files, in the form of the recorded answers."""
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, text in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(text.encode())
                archive.addfile(entry, io.BytesIO(text.encode()))
        subprocess.run(["docker", "exec", "-i", NAME, "sh", "-c", UNPACK], input=buffer.getvalue(), check=True)
    said = subprocess.run(
        ["docker", "exec", "--workdir", "/srv/p", NAME, "docker", "compose", "config", "--format", "json"],
        capture_output=True,
        check=False,
    )
    if said.returncode:
        return {"refused": said.stderr.decode()[-300:]}
    services = json.loads(said.stdout)["services"]
    return {
        "services": {name: [_single(port) for port in service.get("ports", [])] for name, service in services.items()}
    }


def random_ports(seed: int, count: int) -> list[str]:
    """Return right ports of every form; IPv6 in brackets, which older versions of Compose need."""
    chance = random.Random(seed)
    ports = []
    for _ in range(count):
        first, inside, length = (
            chance.randrange(1, 60_000),
            chance.randrange(1, 60_000),
            chance.choice((0, 0, 0, 1, 7, 300)),
        )
        host = f"{first}-{first + length}" if length else str(first)
        container = f"{inside}-{inside + length}" if length and chance.random() < 0.6 else str(inside)
        address = chance.choice(("", "", "127.0.0.1:", "[::1]:", "0.0.0.0:", "[::]:", "192.0.2.7:"))
        published = chance.choice(
            (
                f"{address}{host}:{container}",
                f"{address}:{inside}" if address else str(inside),
                f"{address}{host}:{container}",
            )
        )
        ports.append(published + chance.choice(("", "", "/tcp", "/udp", "/UDP", "/sctp", "/")))
    return ports


def _single(port: dict[str, Any]) -> list[Any]:
    return [port.get("host_ip", ""), port.get("published", ""), port["target"], port["protocol"]]


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_compose_says_the_same_today(case: dict[str, Any]) -> None:
    """Compose gives the recorded answer, and ours is equal to it."""
    answer, project = answer_of(case["files"]), project_of(case["files"])

    if "refused" in answer:
        assert "refused" in case["answer"]
        assert project.troubles
        return
    services = {name: sorted(ports) for name, ports in answer["services"].items()}
    assert services == {name: sorted(ports) for name, ports in case["answer"]["services"].items()}
    assert {name: [list(port) for port in ports] for name, ports in ports_of(project).items()} == services
    assert not project.troubles


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize("seed", range(5))
def test_compose_says_the_same_of_ports_at_random(seed: int) -> None:
    """200 ports of every form, in one file."""
    files = {"compose.yml": json.dumps({"services": {"a": {"image": "x", "ports": random_ports(seed, 200)}}})}
    answer, project = answer_of(files), project_of(files)

    assert not project.troubles
    assert sorted(answer["services"]["a"]) == [list(port) for port in ports_of(project)["a"]]
