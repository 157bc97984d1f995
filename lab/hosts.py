"""Lab hosts as containers: network, disks, start, wait, remove."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from docker.errors import APIError, NotFound
from docker.types import IPAMConfig, IPAMPool

from lab.docker_engine import run, wait_until
from lab.identity import identity_folder
from lab.settings import HOST_IMAGE, HOSTS, LABEL, NAMES, NETWORK, STATE, HostPlan, LabError

NAME_LABEL: Final = f"{LABEL}.name"
READY_S: Final = 60
STOP_S: Final = 70
LOOK_S: Final = 10
PRIVILEGES: Final = (
    "--cap-add",
    "ALL",
    "--cap-drop",
    "SYS_RESOURCE",
    "--security-opt",
    "seccomp=unconfined",
    "--security-opt",
    "apparmor=unconfined",
    "--security-opt",
    "systempaths=unconfined",
    "--device-cgroup-rule",
    "a *:* rwm",
)
"""What a nested engine needs; `--privileged` fails where the machine itself lacks a capability."""


def ensure_network(client: Any) -> dict[str, str]:
    """Make the lab's network in a subnet that is free here; return each host's address."""
    try:
        network = client.networks.get(NETWORK)
    except NotFound:
        network = _create_network(client)
    first = network.attrs["IPAM"]["Config"][0]["Subnet"].rsplit(".", 1)[0]
    return {plan.name: f"{first}.{plan.last_octet}" for plan in HOSTS}


def _create_network(client: Any) -> Any:
    refusals = []
    for subnet in NAMES.subnets:
        try:
            pool = IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)])
            created = client.networks.create(NETWORK, driver="bridge", ipam=pool, labels={LABEL: "1"})
            return client.networks.get(created.id)
        except APIError as error:
            refusals.append(f"{subnet}: {error.explanation}")
    raise LabError("lab network: no subnet is free. Expected one of them to be: " + "; ".join(refusals))


def find(client: Any, plan: HostPlan) -> Any | None:
    """Return the container that plays a host, None when there is none."""
    try:
        return client.containers.get(plan.container)
    except NotFound:
        return None


def other_checkout(client: Any) -> str | None:
    """Return the folder whose lab of this name is up on this machine, when that is not this one."""
    for plan in HOSTS:
        container = find(client, plan)
        for mount in container.attrs["Mounts"] if container is not None else ():
            if mount["Destination"] == "/identity" and mount["Source"] != str(identity_folder(plan.name)):
                return str(Path(mount["Source"]).parents[3])
    return None


def other_labs(client: Any) -> list[str]:
    """Return the containers of this machine's other labs, which may use the same images."""
    found = client.containers.list(all=True, filters={"label": LABEL})
    return sorted(str(container.name) for container in found if container.labels.get(NAME_LABEL, "") != NAMES.name)


def start(client: Any, plan: HostPlan, address: str) -> None:
    """Start a host; one that runs is left alone."""
    container = find(client, plan)
    if container is not None:
        container.start()
        return
    run(
        [
            "docker",
            "create",
            "--name",
            plan.container,
            "--hostname",
            plan.name,
            *_network(plan, address),
            *PRIVILEGES,
            "--label",
            f"{LABEL}=1",
            "--label",
            f"{NAME_LABEL}={NAMES.name}",
            "--volume",
            f"{plan.volume}:/disk",
            "--volume",
            f"{identity_folder(plan.name)}:/identity:ro",
            HOST_IMAGE,
        ]
    )
    client.containers.get(plan.container).start()


def _network(plan: HostPlan, address: str) -> tuple[str, ...]:
    return "--network", NETWORK, "--ip", address, "--network-alias", plan.name


def need_all(client: Any) -> None:
    """Raise LabError unless all hosts are there, and are this folder's."""
    missing = [plan.name for plan in HOSTS if find(client, plan) is None]
    if missing:
        raise LabError(
            f"{', '.join(missing)}: not there. Expected: all {len(HOSTS)} hosts. Try: python -m commands lab up"
        )


def describe(client: Any, plan: HostPlan, *, reachable: bool) -> str:
    """Return a host's state in words, with its engine's answer where one can be had."""
    container = find(client, plan)
    if container is None:
        return "not there"
    if container.status != "running" or not reachable:
        return str(container.status)
    try:
        version = (
            ssh(plan.name, "timeout", "5", "docker", "version", "--format", "{{.Server.Version}}", deadline_s=LOOK_S)
            .decode()
            .strip()
        )
    except LabError:
        return "running, but its Docker does not answer through ssh"
    return f"running, Docker {version}"


def wait_for_host(plan: HostPlan) -> None:
    """Wait until a host's engine and sshd answer."""
    asked = ssh_argv(plan.name, "docker", "version", "--format", "{{.Server.Version}}")

    def missing() -> str:
        try:
            run(asked, deadline_s=15)
        except LabError as error:
            return str(error).splitlines()[-1]
        return ""

    wait_until(
        f"{plan.name}: sshd and Docker",
        missing,
        READY_S,
        hint=f"docker logs {plan.container}, or try: python -m commands lab heal",
    )


def ssh(host: str, *argv: str, stdin: bytes | None = None, deadline_s: float = 120) -> bytes:
    """Run a command on a lab host."""
    return run(ssh_argv(host, *argv), stdin=stdin, deadline_s=deadline_s)


def ssh_argv(host: str, *argv: str) -> list[str]:
    """Return the words that run a command on a lab host."""
    return ["ssh", "-F", str(STATE / "ssh_config"), "-o", "BatchMode=yes", "-o", "ConnectTimeout=3", host, *argv]


def stop(client: Any, plan: HostPlan) -> None:
    """Stop a host as a shutdown would: its containers get their grace."""
    container = find(client, plan)
    if container is not None:
        container.stop(timeout=STOP_S)


def remove(client: Any, plan: HostPlan) -> None:
    """Remove a host and its disk."""
    container = find(client, plan)
    if container is not None:
        container.remove(force=True, v=True)
    try:
        client.volumes.get(plan.volume).remove(force=True)
    except NotFound:
        return


def remove_network(client: Any) -> None:
    """Remove the lab's network."""
    try:
        client.networks.get(NETWORK).remove()
    except NotFound:
        return
