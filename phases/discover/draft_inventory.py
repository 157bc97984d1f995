"""Draft an inventory from what runs on hosts: containers, mounts with rules, ports, links seen in
environments. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from checks.dependencies.environment_links import draft_links
from engine.constants import LABEL_ROLE
from engine.contracts.container import ContainerFacts, MountFacts
from hosts.facts.model import HostFacts
from services.registry import GENERIC, by_image_name

HOSTS_OWN: Final = (
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/machine-id",
    "/proc",
    "/sys",
    "/dev",
)
"""Paths that belong to each host: they are the same on the target, and never travel."""

DECIDE: Final = "decide"
"""What a person must decide is in the entry's notes after this word."""


def draft_inventory(hosts: Iterable[HostFacts]) -> dict[str, Any]:
    """Return a draft of inventory.yaml as data: what was seen, and in `notes` what a person must decide."""
    hosts = tuple(hosts)
    containers = [container for facts in hosts for container in facts.containers if LABEL_ROLE not in container.labels]
    services = {_service_name(container, containers): _entry(container) for container in containers}
    return {
        "version": 1,
        "hosts": {facts.host: {"purpose": f"{DECIDE}: what it is for"} for facts in hosts},
        "services": services,
        "links": list(draft_links(containers, services)),
    }


def draft_moves(draft: Mapping[str, Any], source: str, target: str) -> list[dict[str, str]]:
    """Return planned moves of all services of a host, providers before those that need them."""
    leaving = [name for name, entry in draft["services"].items() if entry["host"] == source]
    needs = {
        name: {link["to"] for link in draft["links"] if link["from"] == name and link["to"] in leaving}
        for name in leaving
    }
    ordered: list[str] = []
    while len(ordered) < len(leaving):
        free = [name for name in leaving if name not in ordered and needs[name] <= set(ordered)]
        ordered += free or [next(name for name in leaving if name not in ordered)]
    return [{"service": name, "source": source, "target": target, "wave": "critical"} for name in ordered]


def _service_name(container: ContainerFacts, containers: Iterable[ContainerFacts]) -> str:
    name = re.sub(r"[^a-z0-9-]+", "-", container.name.lower()).strip("-")
    twins = [other for other in containers if other.name == container.name]
    return name if len(twins) == 1 else f"{name}-{container.host}"


def _entry(container: ContainerFacts) -> dict[str, Any]:
    mounts, decide = [_mount(mount) for mount in container.mounts], list(_decisions(container))
    entry: dict[str, Any] = {
        "product": product_of(container.image_ref),
        "host": container.host,
        "container": container.name,
        "image": container.image_ref,
        "ports": [_port(*published) for published in container.published],
        "mounts": mounts,
        "networks": list(container.networks),
    }
    if container.published:
        entry["health"] = {"kind": "tcp", "port": container.published[0][2]}
    elif container.health != "none":
        entry["health"] = {"kind": "container"}
    if decide:
        entry["notes"] = f"{DECIDE}: {'; '.join(decide)}"
    return {key: value for key, value in entry.items() if value != []}


def product_of(image: str) -> str:
    """Return the product behind an image reference, `generic` for one that no folder in services/ knows."""
    known = by_image_name()
    name = image.partition("@")[0]
    path = name.rsplit(":", 1)[0] if ":" in name.rsplit("/", 1)[-1] else name
    ends = (path, "/".join(path.split("/")[-2:]), path.split("/")[-1])
    return next((known[end] for end in ends if end in known), GENERIC)


def _port(address: str, host: int, container: int, protocol: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"host": host, "container": container}
    if protocol != "tcp":
        entry["protocol"] = protocol
    if address not in {"", "0.0.0.0", "::"}:  # noqa: S104 Docker's word
        entry["address"] = address
    return entry


def _mount(mount: MountFacts) -> dict[str, Any]:
    entry: dict[str, Any] = (
        {"source": mount.source, "path": mount.destination} if mount.kind != "tmpfs" else {"path": mount.destination}
    )
    if mount.kind != "volume":
        entry = {"kind": mount.kind, **entry}
    if mount.kind == "tmpfs":
        entry["rule"] = "drop"
    elif mount.kind == "bind" and _is_hosts_own(mount.source):
        entry["rule"] = "same_on_target"
    return entry


def _is_hosts_own(source: str) -> bool:
    return any(PurePosixPath(source).is_relative_to(own) for own in HOSTS_OWN)


def _decisions(container: ContainerFacts) -> Iterator[str]:
    if not container.running:
        yield f"it is {container.state}: move it at all?"
    if not container.mounts:
        yield "no mount: is it really without state? (docker diff)"
    for mount in container.mounts:
        if mount.kind == "volume" and re.fullmatch("[0-9a-f]{64}", mount.source):
            yield f"{mount.destination} is an anonymous volume: does it hold anything?"
        if mount.kind == "bind" and mount.source == "/":
            yield "the whole host is mounted: such a container can't be moved as it is"
    if not container.published and container.health == "none":
        yield "nothing shows its health: add a health entry"
