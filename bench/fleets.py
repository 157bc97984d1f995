"""Rows of many hosts: facts of 1 to 100 hosts gathered and judged, and what one dead host costs.

The hosts are sshd in one container with a canned `docker` next to it, which gives the answers that were recorded from
the lab's source host: ssh, the facts script and our side are real, the engine is not. Our side shares its processors
with all of them.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from bench.row import Row, median_and_spread, seconds
from checks.hosts.basics import judge_clock, judge_docker, judge_reached, judge_versions
from checks.hosts.system import judge_synchronised
from engine.config.environment import Environment
from engine.errors import ActionError, NotObservedError
from hosts.facts.model import HostFacts
from hosts.fleet import open_hosts
from hosts.ssh.client import CONNECT_DEADLINE_S
from lab.containers import SOURCE
from lab.settings import HOST_IMAGE, LABEL, PREFIX, STATE

COUNTS: Final = (1, 10, 50, 100)
MOST: Final = COUNTS[-1]
RUNS: Final = 3
LONGEST_S: Final = 15
MOST_MB: Final = 300
SPARE_S: Final = 2.0
"""For the rest of the trip: a dead host costs its deadline, in parallel with the hosts that answer."""
READY_S: Final = 30
MACHINE: Final = "0" * 32
CANNED: Final = {
    "version": ["version", "--format", "{{json .}}"],
    "info": ["info", "--format", "{{json .}}"],
    "containers": ["inspect", "--size=false", "$(docker ps -aq --no-trunc)"],
    "images": ["image", "inspect", "$(docker images -q --no-trunc | sort -u)"],
    "volumes": ["volume", "inspect", "$(docker volume ls -q)"],
    "networks": ["network", "inspect", "$(docker network ls -q --no-trunc)"],
}
DOCKER: Final = """#!/bin/sh
case "$1 $2" in
    "version "*) cat /canned/version ;;
    "info "*) cat /canned/info ;;
    "image inspect") cat /canned/images ;;
    "volume inspect") cat /canned/volumes ;;
    "network inspect") cat /canned/networks ;;
    "inspect "*) cat /canned/containers ;;
    *) echo one ;;
esac
"""
SERVE: Final = """
echo %s >/etc/machine-id
install -d -m 0700 /root/.ssh /run/sshd
install -m 0600 /canned/key.pub /root/.ssh/authorized_keys
install -m 0755 /canned/docker /usr/bin/docker
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
exec /usr/sbin/sshd -D -o MaxStartups=1000 -o UseDNS=no
"""


@dataclass(frozen=True)
class Looked:
    """One look at many hosts: seconds, the largest size of our own process in MB, hosts that answered and
    that did not.
    """

    seconds: float
    megabytes: float
    answered: int
    silent: int


def preflight_100_hosts() -> Row:
    """Measure gathering and judging the facts of 100 hosts; the smaller numbers are in the work."""
    figures = _figures()
    others = ", ".join(
        f"{count}: {median_and_spread([one.seconds for one in figures[count]])[0]:.1f} s" for count in COUNTS[:-1]
    )
    middle, spread = median_and_spread([one.seconds for one in figures[MOST]])
    return Row(
        "preflight-100-hosts",
        f"facts of {MOST} hosts gathered and judged ({others})",
        "",
        middle,
        None,
        "s",
        LONGEST_S,
        "less",
        RUNS,
        spread,
    )


def preflight_100_memory() -> Row:
    """Measure the largest size of the process that looks at 100 hosts."""
    middle, spread = median_and_spread([one.megabytes for one in _figures()[MOST]])
    return Row(
        "preflight-100-memory",
        f"largest size of the process that looks at {MOST} hosts",
        "",
        middle,
        None,
        "MB",
        MOST_MB,
        "less",
        RUNS,
        spread,
    )


def preflight_dead_host() -> Row:
    """Measure what one host that takes connections and never answers adds to the look at ten."""
    with _many_hosts() as folder:
        whole = [_look(folder, 10, dead=False).seconds for _ in range(RUNS)]
        with_dead = [_look(folder, 10, dead=True) for _ in range(RUNS)]
    if any(one.silent != 1 for one in with_dead):
        raise ActionError(f"dead host: {[one.silent for one in with_dead]} hosts were silent. Expected: 1 in each run")
    added = [one.seconds - median_and_spread(whole)[0] for one in with_dead]
    middle, spread = median_and_spread(added)
    goal = CONNECT_DEADLINE_S + SPARE_S
    work = f"added by one of 10 hosts that never answers (deadline {CONNECT_DEADLINE_S} s)"
    return Row("preflight-dead-host", work, "", middle, None, "s", goal, "less", RUNS, spread)


@cache
def _figures() -> dict[int, list[Looked]]:
    with _many_hosts() as folder:
        _look(folder, 1, dead=False)
        return {count: [_look(folder, count, dead=False) for _ in range(RUNS)] for count in COUNTS}


def _look(folder: Path, count: int, *, dead: bool) -> Looked:
    """Look at so many hosts in a process of its own, so that its memory is its own; raises ActionError."""
    argv = [sys.executable, "-m", "bench.fleets", str(folder), str(count), "dead" if dead else "alive"]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ActionError(f"{count} hosts: exit status {ended.returncode}\n{ended.stderr[-2000:]}")
    looked = Looked(**json.loads(ended.stdout))
    if looked.answered != count - dead:
        raise ActionError(f"{count} hosts: {looked.answered} answered. Expected: {count - dead}")
    return looked


@contextmanager
def _many_hosts() -> Iterator[Path]:
    """Start the containers that play the hosts; yield the folder with ssh configuration and environment."""
    names = {"alive": f"{PREFIX}-bench-fleet", "dead": f"{PREFIX}-bench-dead"}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        _record(folder)
        try:
            addresses = {name: _serve(container, folder) for name, container in names.items()}
            keys = {name: _host_key(container) for name, container in names.items()}
            _run("docker", "pause", names["dead"])
            _describe(folder, addresses, keys)
            yield folder
        finally:
            subprocess.run(["docker", "rm", "--force", *names.values()], capture_output=True, check=False)


def _record(folder: Path) -> None:
    """Record the answers of the lab's source host, which must be up, and make a key."""
    canned = folder / "canned"
    canned.mkdir()
    for name, words in CANNED.items():
        line = " ".join(word if word.startswith("$(") else f"'{word}'" for word in ("docker", *words))
        (canned / name).write_text(_run("ssh", "-F", str(STATE / "ssh_config"), SOURCE, line), encoding="utf-8")
    (canned / "docker").write_text(DOCKER, encoding="utf-8")
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key"))
    (canned / "key.pub").write_bytes((folder / "key.pub").read_bytes())


def _serve(container: str, folder: Path) -> str:
    """Start one container and return its address."""
    subprocess.run(["docker", "rm", "--force", container], capture_output=True, check=False)
    _run(
        "docker",
        "create",
        "--name",
        container,
        "--label",
        f"{LABEL}=1",
        "--entrypoint",
        "sh",
        HOST_IMAGE,
        "-c",
        SERVE % MACHINE,
    )
    _run("docker", "cp", f"{folder / 'canned'}", f"{container}:/canned")
    _run("docker", "start", container)
    return _run("docker", "inspect", "--format", "{{.NetworkSettings.Networks.bridge.IPAddress}}", container).strip()


def _host_key(container: str) -> str:
    wait = (
        f"for i in $(seq {READY_S}0); do [ -s /etc/ssh/ssh_host_ed25519_key.pub ] && pgrep -x sshd >/dev/null && "
        "break; sleep 0.1; done"
    )
    return " ".join(
        _run("docker", "exec", container, "sh", "-c", f"{wait}; cat /etc/ssh/ssh_host_ed25519_key.pub").split()[:2]
    )


def _describe(folder: Path, addresses: dict[str, str], keys: dict[str, str]) -> None:
    """Write the ssh configuration and the environment: the first host may be the dead one."""
    engine = json.loads((folder / "canned" / "info").read_text(encoding="utf-8"))["ID"]
    for kind, address in addresses.items():
        hosts, lines = {}, []
        for number in range(MOST):
            at = address if number == 0 else addresses["alive"]
            key = keys[kind if number == 0 else "alive"]
            hosts[f"many{number:03}"] = {
                "address": at,
                "ssh_host_key": key,
                "machine_id": MACHINE,
                "engine_id": engine,
                "lab": True,
            }
            lines.append(f"Host many{number:03}\n  HostName {at}\n")
        lines.append(f"Host *\n  User root\n  IdentityFile {folder / 'key'}\n  IdentitiesOnly yes\n  BatchMode yes\n")
        (folder / f"{kind}.ssh_config").write_text("".join(lines), encoding="utf-8")
        (folder / f"{kind}.json").write_text(json.dumps({"environment": "lab", "hosts": hosts}), encoding="utf-8")


def _run(*argv: str) -> str:
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ActionError(f"{' '.join(argv[:3])} …: exit status {ended.returncode}: {ended.stderr[-500:]}")
    return ended.stdout


def look(folder: Path, count: int, kind: str) -> Looked:
    """Gather and judge the facts of the first `count` hosts."""
    environment = Environment.model_validate_json((folder / f"{kind}.json").read_text(encoding="utf-8"))
    names = tuple(environment.hosts)[:count]
    found: list[HostFacts | NotObservedError] = []

    def work() -> None:
        with open_hosts(names, environment, folder / f"{kind}.ssh_config") as fleet:
            found.extend(fleet.gather(names).values())
            for facts in found:
                if isinstance(facts, HostFacts):
                    _judge(facts)

    taken = seconds(work)
    answered = sum(isinstance(one, HostFacts) for one in found)
    return Looked(taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, answered, len(found) - answered)


def _judge(facts: HostFacts) -> None:
    """Ask the questions about a host itself; raises ActionError when its engine was not seen."""
    judged = [
        judge_reached(facts),
        judge_docker(facts),
        judge_versions(facts, {facts.host: facts.architecture}),
        judge_clock(facts),
    ]
    judge_synchronised(facts)
    if not judged[1].passed:
        raise ActionError(f"{facts.host}: {judged[1].text}")


def main() -> None:
    """Look once and print what was measured."""
    print(json.dumps(look(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]).__dict__))


ROWS: Final = {
    "preflight-100-hosts": preflight_100_hosts,
    "preflight-100-memory": preflight_100_memory,
    "preflight-dead-host": preflight_dead_host,
}

if __name__ == "__main__":
    os.environ.pop("SSH_AUTH_SOCK", None)
    main()
