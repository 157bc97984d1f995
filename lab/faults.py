"""Ways to break the lab, each with its way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from lab import hosts
from lab.docker_engine import run, wait_until
from lab.settings import HOSTS, HostPlan, LabError

BUSY_PORT: Final = 5432
PORT_TAKER: Final = "port-taker"
LISTENS: Final = f"ss -Hltn 'sport = :{BUSY_PORT}' | grep -q ."
SMALL_DISK: Final = "16m"
ENGINE_DOWN: Final = "/run/lab-engine-down"
ENGINE_S: Final = 70.0


@dataclass(frozen=True)
class Fault:
    """A fault: how it is made and how it is undone (undoing what was not made does nothing)."""

    make: Callable[[Any], None]
    heal: Callable[[Any], None]


def _plan(name: str) -> HostPlan:
    return next(plan for plan in HOSTS if plan.name == name)


def _inside(host: str, script: str) -> None:
    """Run a script inside the host's container: works while its sshd or Docker does not."""
    run(["docker", "exec", _plan(host).container, "sh", "-c", script], deadline_s=60)


def _take_port(_client: Any) -> None:
    """Listen where postgres wants to: under a name of its own, so that healing finds this program and no other."""
    perl = (
        f'use IO::Socket::INET; $0="{PORT_TAKER}"; my '
        f"$s=IO::Socket::INET->new(LocalPort=>{BUSY_PORT},Listen=>5,ReuseAddr=>1) or die; sleep 86400"
    )
    _inside("wf002", f"{LISTENS} || perl -e '{perl}' >/dev/null 2>&1 &")
    wait_until(f"wf002: a listener on {BUSY_PORT}", lambda: _not_listening("wf002"), 10)


def _not_listening(host: str) -> str:
    try:
        _inside(host, LISTENS)
    except LabError:
        return "nothing listens"
    return ""


def _free_port(_client: Any) -> None:
    _inside("wf002", f"pkill -x {PORT_TAKER} || true")  # by its exact name: -f would match this shell too


def _fill_disk(_client: Any) -> None:
    """Put a tiny file system under wf002's volumes: what is created there from now on does not fit."""
    _inside(
        "wf002",
        f"mountpoint -q /var/lib/docker/volumes || mount -t tmpfs -o size={SMALL_DISK} full /var/lib/docker/volumes",
    )


def _empty_disk(_client: Any) -> None:
    _inside("wf002", "! mountpoint -q /var/lib/docker/volumes || umount -l /var/lib/docker/volumes")


def _freeze_docker(_client: Any) -> None:
    """Freeze the engine of wf002: ssh answers, and the engine takes calls and never answers."""
    _inside("wf002", "pkill -STOP -x dockerd")


def _thaw_docker(_client: Any) -> None:
    _inside("wf002", "pkill -CONT -x dockerd || true")


def _end_docker(_client: Any) -> None:
    """End the engine of wf002 as `systemctl stop docker` would; the host's entry point lets it rest while the file is
    there.
    """
    _inside("wf002", f"touch {ENGINE_DOWN}; pkill -TERM -x dockerd || true")
    wait_until("wf002: no engine", lambda: "" if _engine_trouble("wf002") else "it still answers", ENGINE_S)


def _start_docker(_client: Any) -> None:
    _inside("wf002", f"rm -f {ENGINE_DOWN}")
    wait_until("wf002: the engine", lambda: _engine_trouble("wf002"), ENGINE_S)


def _engine_trouble(host: str) -> str:
    try:
        _inside(host, "timeout 5 docker version")
    except LabError as error:
        return str(error).splitlines()[-1]
    return ""


def _stop_host(client: Any) -> None:
    hosts.stop(client, _plan("wf001"))


def _start_hosts(client: Any) -> None:
    for plan in HOSTS:
        container = hosts.find(client, plan)
        if container is not None and container.status != "running":
            container.start()
            hosts.wait_for_host(plan)


def _reboot_source(client: Any) -> None:
    """Cut wf005's power and let it boot: its engine starts what its restart policies say."""
    container = hosts.find(client, _plan("wf005"))
    if container is not None:
        container.kill()
        container.start()
        hosts.wait_for_host(_plan("wf005"))


def _nothing(_client: Any) -> None:
    """Undo nothing: a host that booted is up."""


def _cut_network(client: Any) -> None:
    _join_network(client)
    address = run(
        [
            "docker",
            "inspect",
            "-f",
            "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
            _plan("wf002").container,
        ]
    )
    peer = address.decode().strip()
    for chain, side in (("INPUT", "-s"), ("OUTPUT", "-d"), ("FORWARD", "-d"), ("FORWARD", "-s")):
        _inside("wf005", f"iptables -I {chain} {side} {peer} -m comment --comment lab-fault -j DROP")


def _join_network(_client: Any) -> None:
    _inside("wf005", "! iptables-save | grep -q lab-fault || iptables-save | grep -v lab-fault | iptables-restore")


FAULTS: Final = {
    "port-taken": Fault(_take_port, _free_port),
    "disk-full": Fault(_fill_disk, _empty_disk),
    "docker-stopped": Fault(_freeze_docker, _thaw_docker),
    "docker-down": Fault(_end_docker, _start_docker),
    "host-stopped": Fault(_stop_host, _start_hosts),
    "source-rebooted": Fault(_reboot_source, _nothing),
    "partition": Fault(_cut_network, _join_network),
}


def heal(client: Any) -> None:
    """Undo every fault, also after one that could not be undone; hosts that are stopped are started first.

    Raises LabError with all that could not be undone.
    """
    refused = []
    for name in ("host-stopped", *(name for name in FAULTS if name != "host-stopped")):
        try:
            FAULTS[name].heal(client)
        except LabError as error:
            refused.append(f"{name}: {error}")
    if refused:
        raise LabError("not undone: " + "; ".join(refused) + ". Try: python -m commands lab reset")
