"""What a container is configured to be, as one digest that people sign, and what it may do on its host beyond an
ordinary one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import rfc8785

from engine.contracts.container import ContainerFacts
from engine.journal.record import exact

POLICY: Final = "RestartPolicy"
"""Of HostConfig: a move sets it to `no` itself, so it is no part of the digest."""

BY_VERSION: Final = frozenset({"KernelMemory", "KernelMemoryTCP", "MacAddress"})
"""Fields that one version of the API returns and another does not.
https://docs.docker.com/reference/api/engine/version-history/
"""

SHORT_ID: Final = 12
CERTAIN: Final = ("IPAMConfig", "Links", "DriverOpts", "GwPriority")
"""Of a network's endpoint: what was asked for. Addresses and ids are the engine's, and others after each start."""

MOUNT: Final = ("Type", "Name", "Source", "Destination", "Driver", "Mode", "RW", "Propagation")
LISTS: Final = {
    "CapAdd": "adds capability", "GroupAdd": "adds group", "DeviceCgroupRules": "device rule", "Links": "legacy link",
    "VolumesFrom": "mounts of",
}  # fmt: skip
MODES: Final = {
    "PidMode": "process namespace",
    "IpcMode": "IPC namespace",
    "UTSMode": "host name namespace",
    "UsernsMode": "user namespace",
    "CgroupnsMode": "cgroup namespace",
    "NetworkMode": "network namespace",
}
HARMLESS: Final = frozenset({"no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"})
EMPTIED: Final = {
    "MaskedPaths": "no path of /proc and /sys is masked",
    "ReadonlyPaths": "no path of /proc and /sys is read-only",
}


def configuration_digest(container: ContainerFacts) -> str:
    """Return the SHA-256 over all that a container is configured to be: Config, HostConfig, mounts, networks, image,
    name.

    Its environment may hold secrets: only this one digest over everything together leaves here. The restart policy is
    left out.
    """
    raw = container.raw
    content: dict[str, Any] = {
        "name": container.name,
        "image": container.image_id,
        "env": dict(container.env),
        "mounts": sorted([mount.kind, mount.source, mount.destination, mount.read_only] for mount in container.mounts),
        "config": {name: value for name, value in _set(raw.get("Config")).items() if name not in BY_VERSION},
        "host_config": {
            name: value for name, value in _set(raw.get("HostConfig")).items() if name not in {POLICY, *BY_VERSION}
        },
        "mounted": sorted(rfc8785.dumps(exact(_chosen(mount, MOUNT))).decode() for mount in raw.get("Mounts") or ()),
        "networks": {name: _chosen(endpoint, CERTAIN) for name, endpoint in _networks(raw).items()},
        "aliases": {
            name: sorted(set(aliases) - {container.id[:SHORT_ID]}) for name, aliases in container.networks.items()
        },
    }
    return hashlib.sha256(rfc8785.dumps(exact(content))).hexdigest()


def _set(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the fields that are set: a newer engine returns more of them, as null."""
    return {name: value for name, value in (given or {}).items() if value is not None}


def _chosen(given: Mapping[str, Any] | None, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: given[name] for name in names if given and given.get(name) is not None}


def _networks(raw: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return (raw.get("NetworkSettings") or {}).get("Networks") or {}


def privileges_of(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what an inspected container may do on its host beyond an ordinary one, each in words."""
    return tuple(dict.fromkeys(_privileges(raw, raw.get("HostConfig") or {})))


def _privileges(raw: Mapping[str, Any], host_config: Mapping[str, Any]) -> Iterator[str]:
    if host_config.get("Privileged"):
        yield "privileged: root on its host"
    for name, words in LISTS.items():
        yield from (f"{words} {value}" for value in host_config.get(name) or ())
    for device in host_config.get("Devices") or ():
        yield (
            f"device {device.get('PathOnHost')} as {device.get('PathInContainer')} ({device.get('CgroupPermissions')})"
        )
    for request in host_config.get("DeviceRequests") or ():
        yield f"asks for devices of driver {request.get('Driver') or 'any'}"
    for name, words in MODES.items():
        mode = str(host_config.get(name) or "")
        if mode == "host" or mode.startswith("container:"):
            yield f"{words}: {mode}"
    yield from (
        f"security option {option}" for option in host_config.get("SecurityOpt") or () if option not in HARMLESS
    )
    yield from (words for name, words in EMPTIED.items() if host_config.get(name) == [])
    yield from (f"kernel setting {name}={value}" for name, value in sorted((host_config.get("Sysctls") or {}).items()))
    if host_config.get("CgroupParent"):
        yield f"cgroup parent {host_config['CgroupParent']}"
    if (host_config.get("Runtime") or "runc") != "runc":
        yield f"runtime {host_config['Runtime']}"
    yield from _host_paths(raw, host_config)


def _host_paths(raw: Mapping[str, Any], host_config: Mapping[str, Any]) -> Iterator[str]:
    """Yield each directory or file of the host that it sees: as the engine mounted it, and as it was asked to."""
    for mount in raw.get("Mounts") or ():
        if mount.get("Type") == "bind":
            yield (
                f"host path {mount.get('Source')} at {mount.get('Destination')}, "
                f"{'writable' if mount.get('RW', True) else 'read-only'}"
            )
    for kind, source, destination, read_only in asked_mounts(host_config):
        if kind == "bind":
            yield f"host path {source} at {destination}, {'read-only' if read_only else 'writable'}"


def asked_mounts(host_config: Mapping[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    """Yield what HostConfig itself asks to be mounted: kind, source, destination, whether read-only. A copy is created
    from these.
    """
    for bind in host_config.get("Binds") or ():
        source, _, rest = str(bind).partition(":")
        destination, _, options = rest.partition(":")
        yield "bind" if source.startswith("/") else "volume", source, destination or source, "ro" in options.split(",")
    for mount in host_config.get("Mounts") or ():
        yield (
            str(mount.get("Type")),
            str(mount.get("Source") or ""),
            str(mount.get("Target")),
            bool(mount.get("ReadOnly")),
        )
