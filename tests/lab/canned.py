"""Many hosts out of two containers: sshd and a canned `docker`. ssh and our side are real, the engine is
not.

The hosts differ by name alone; one of them has a container of its own, which a test may pause: that host is dead then.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.fleets import DOCKER
from bench.fleets import SERVE as SERVE_SSH
from engine.constants import LAB_MARKER
from lab.settings import HOST_IMAGE, LABEL

ROOT: Final = Path(__file__).resolve().parents[2]
RECORDED: Final = ROOT / "tests" / "recorded" / "facts" / "wf005.txt"
ENVIRONMENT: Final = "fleet"
MACHINE: Final = "0" * 32
SECTIONS: Final = {
    "version": "docker",
    "info": "info",
    "images": "images",
    "volumes": "volumes",
    "networks": "networks",
}
READY_S: Final = 30
MORTAL: Final = 2
"""Which of the hosts may be paused: one that the first shard of three, which looks at all, does not own."""
SERVE: Final = f"rm -f {LAB_MARKER}\n{SERVE_SSH % MACHINE}"


@dataclass(frozen=True)
class Canned:
    """A working directory with inventory, plan, environment and ssh configuration of such hosts; `container` is the
    mortal one's.
    """

    folder: Path
    hosts: tuple[str, ...]
    container: str

    @property
    def mortal(self) -> str:
        """Return the host that may be paused."""
        return self.hosts[MORTAL]

    def pause(self) -> None:
        """Let the mortal host take connections and answer nothing."""
        _run("docker", "pause", self.container)

    def unpause(self) -> None:
        """Let it answer again."""
        _run("docker", "unpause", self.container)


@contextmanager
def canned_hosts(folder: Path, pairs: int) -> Iterator[Canned]:
    """Serve twice as many hosts as pairs: on each first one a redis that is to go to the second."""
    names = {kind: f"longshore-canned-{os.getpid()}-{pairs}-{kind}" for kind in ("mortal", "others")}
    canned = _canned(folder)
    try:
        served = {name: _serve(container, canned) for name, container in names.items()}
        hosts = tuple(f"{kind}{number:03}" for number in range(pairs) for kind in ("old", "new"))
        _describe(folder, hosts, served)
        yield Canned(folder, hosts, names["mortal"])
    finally:
        subprocess.run(["docker", "rm", "--force", *names.values()], capture_output=True, check=False)


def _canned(folder: Path) -> Path:
    canned = folder / "canned"
    canned.mkdir(parents=True)
    recorded = RECORDED.read_text(encoding="utf-8")
    for name, section in SECTIONS.items():
        found = re.search(rf"==recorded== begin {section}\n(.*?)\n==recorded== end {section}", recorded, re.DOTALL)
        assert found
        (canned / name).write_text(found[1], encoding="utf-8")
    (canned / "containers").write_text("[]\n", encoding="utf-8")
    (canned / "docker").write_text(DOCKER, encoding="utf-8")
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key"))
    (canned / "key.pub").write_bytes((folder / "key.pub").read_bytes())
    return canned


def _serve(container: str, canned: Path) -> tuple[str, str]:
    """Start one container and return its address and host key."""
    _run(
        "docker", "create", "--name", container, "--label", f"{LABEL}=1", "--entrypoint", "sh", HOST_IMAGE, "-c", SERVE
    )
    _run("docker", "cp", str(canned), f"{container}:/canned")
    _run("docker", "start", container)
    address = _run(
        "docker", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container
    ).strip()
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        key = subprocess.run(
            ["ssh-keyscan", "-t", "ed25519", address], capture_output=True, text=True, check=False
        ).stdout.split()
        if len(key) == len(("address", "kind", "key")):
            return address, " ".join(key[1:])
        time.sleep(0.2)
    raise TimeoutError(f"{container}: no sshd within {READY_S} s")


def _describe(folder: Path, hosts: tuple[str, ...], served: dict[str, tuple[str, str]]) -> None:
    engine = json.loads((folder / "canned" / "info").read_text(encoding="utf-8"))["ID"]
    identities, config = {}, []
    for position, host in enumerate(hosts):
        address, key = served["mortal" if position == MORTAL else "others"]
        identities[host] = {"address": address, "ssh_host_key": key, "machine_id": MACHINE, "engine_id": engine}
        config.append(f"Host {host}\n  HostName {address}\n")
    config.append(f"Host *\n  User root\n  IdentityFile {folder / 'key'}\n  IdentitiesOnly yes\n  BatchMode yes\n")
    (folder / "ssh_config").write_text("".join(config), encoding="utf-8")
    pairs = list(zip(hosts[::2], hosts[1::2], strict=True))
    services = {f"redis-{old}": _service(old, number) for number, (old, _) in enumerate(pairs)}
    moves = [{"service": f"redis-{old}", "source": old, "target": new, "wave": "auxiliary"} for old, new in pairs]
    window = {
        "starts_at": "2026-12-05T22:00:00-03:00",
        "ends_at": "2026-12-06T04:00:00-03:00",
        "time_zone": "America/Sao_Paulo",
    }
    plan = {
        "version": 1,
        "title": "Empty the old hosts",
        "window": window,
        "approvals": [{"role": "technical"}],
        "moves": moves,
    }
    inventory = {"version": 1, "hosts": {host: {"purpose": "one of many"} for host in hosts}, "services": services}
    (folder / "environments").mkdir()
    environment = {"environment": ENVIRONMENT, "hosts": identities, "ssh_config": str(folder / "ssh_config")}
    for name, content in (
        ("inventory.yaml", inventory),
        ("migration_plan.json", plan),
        (f"environments/{ENVIRONMENT}.yaml", environment),
    ):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


def _service(host: str, number: int) -> dict[str, Any]:
    ports = [{"host": 20_000 + number, "container": 6379}]
    return {"product": "generic", "host": host, "container": f"redis-{host}", "image": "redis:8", "ports": ports}


def _run(*argv: str) -> str:
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{' '.join(argv[:3])} …: {ended.stderr[-500:]}"
    return ended.stdout
