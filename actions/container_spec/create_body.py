"""The body for Docker's create API that recreates an inspected container faithfully on another host. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from checks.containers.recreated import remapped_bindings
from engine.constants import LABEL_MOVE, LABEL_ROLE

SHORT_ID: Final = 12
EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::", "127.0.0.1", "::1"})  # noqa: S104 compared, never bound
DEFAULT_NETWORKS: Final = frozenset({"default", "bridge", "host", "none", ""})
NOT_CREATED: Final = ("ContainerIDFile", "Links", "VolumesFrom")
"""Fields of HostConfig that belong to the source host: see ALLOWED_DIFFERENCES in checks/containers/recreated.py."""

Specification = dict[str, Any]


def specification_of(
    inspect: Mapping[str, Any],
    *,
    move_label: str = "",
    dropped: Collection[str] = (),
    addresses: Mapping[str, str] | None = None,
    ports: Mapping[str, int] | None = None,
) -> Specification:
    """Return the create body for a container as `docker inspect` shows it, restart policy included.

    `dropped` are destinations of mounts with rule `drop`; `addresses` maps an address of the source that ports are
    bound to onto the target's, `ports` a published port ("5432/tcp") onto the one on the target. The endpoints of all
    its networks are in NetworkingConfig: engines before API 1.44 take only one at creation
    (https://docs.docker.com/reference/api/engine/version-history/#v144-api-changes).
    """
    config = dict(inspect.get("Config") or {})
    host_config = {key: value for key, value in (inspect.get("HostConfig") or {}).items() if key not in NOT_CREATED}
    config["Image"] = inspect["Image"]
    _keep_entrypoint(config)
    _drop_generated_hostname(config, inspect, str(host_config.get("NetworkMode") or ""))
    if move_label:
        config["Labels"] = {**(config.get("Labels") or {}), LABEL_MOVE: move_label, LABEL_ROLE: "service"}
    host_config["NetworkMode"] = network_of(inspect)
    host_config["PortBindings"] = _bindings(
        remapped_bindings(host_config.get("PortBindings"), ports or {}), addresses or {}
    )
    _name_every_mount(host_config, inspect, frozenset(dropped))
    return {**config, "HostConfig": host_config, "NetworkingConfig": {"EndpointsConfig": _endpoints(inspect)}}


def network_of(inspect: Mapping[str, Any]) -> str:
    """Return the container's main network by name, also where it was given by id."""
    mode = str((inspect.get("HostConfig") or {}).get("NetworkMode") or "default")
    for name, endpoint in _networks(inspect).items():
        if endpoint.get("NetworkID") == mode:
            return name
    return mode


def notes_of(inspect: Mapping[str, Any]) -> list[str]:
    """Return what is left behind on purpose, one sentence each, for the evidence."""
    notes = [
        f"network {name}: fixed address {fixed} dropped, it belongs to the source's subnet"
        for name, endpoint in _networks(inspect).items()
        if (fixed := (endpoint.get("IPAMConfig") or {}).get("IPv4Address"))
    ]
    links = (inspect.get("HostConfig") or {}).get("Links") or []
    return notes + [f"legacy link {link} dropped, forwarders keep the name" for link in links]


def _keep_entrypoint(config: dict[str, Any]) -> None:
    """Send `[""]` for no entry point: the engine takes a missing one from the image, and `[""]` as none (moby,
    commit.go).
    """
    if not config.get("Entrypoint"):
        config["Entrypoint"] = [""]


def _drop_generated_hostname(config: dict[str, Any], inspect: Mapping[str, Any], network_mode: str) -> None:
    generated = config.get("Hostname") == str(inspect.get("Id") or "")[:SHORT_ID]
    of_the_host = network_mode == "host" or (inspect.get("HostConfig") or {}).get("UTSMode") == "host"
    if generated or of_the_host:
        config.pop("Hostname", None)


def _bindings(bindings: Mapping[str, Any] | None, addresses: Mapping[str, str]) -> dict[str, Any]:
    return {
        port: [{**item, "HostIp": _on_target(item.get("HostIp", ""), addresses)} for item in items or []]
        for port, items in (bindings or {}).items()
    }


def _on_target(address: str, addresses: Mapping[str, str]) -> str:
    return address if address in EVERYWHERE else addresses.get(address, address)


def _name_every_mount(host_config: dict[str, Any], inspect: Mapping[str, Any], dropped: frozenset[str]) -> None:
    """Name anonymous and inherited volumes explicitly and leave out what is dropped."""
    binds = [bind for bind in host_config.get("Binds") or [] if _destination(bind) not in dropped]
    mounts = [mount for mount in host_config.get("Mounts") or [] if mount.get("Target") not in dropped]
    named = {_destination(bind) for bind in binds} | {mount.get("Target") for mount in mounts} | dropped
    for mount in inspect.get("Mounts") or []:
        if mount.get("Destination") in named or mount.get("Type") not in {"volume", "bind"}:
            continue
        source = mount.get("Name") if mount["Type"] == "volume" else mount.get("Source")
        added = {"Type": mount["Type"], "Source": source, "Target": mount["Destination"]}
        mounts.append(added if mount.get("RW", True) else {**added, "ReadOnly": True})
    host_config["Binds"] = binds or None
    if mounts:
        host_config["Mounts"] = mounts
    else:
        host_config.pop("Mounts", None)


def _destination(bind: str) -> str:
    """Return where a bind `source:destination[:options]` is mounted."""
    parts = bind.split(":")
    return parts[1] if len(parts) > 1 else parts[0]


def _networks(inspect: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    networks = (inspect.get("NetworkSettings") or {}).get("Networks") or {}
    return {name: dict(endpoint or {}) for name, endpoint in networks.items()}


def _endpoints(inspect: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    short_id = str(inspect.get("Id") or "")[:SHORT_ID]
    endpoints = {}
    for name, endpoint in _networks(inspect).items():
        if name in DEFAULT_NETWORKS:
            continue
        kept: dict[str, Any] = {"Aliases": [a for a in endpoint.get("Aliases") or [] if a != short_id]}
        if endpoint.get("DriverOpts"):
            kept["DriverOpts"] = endpoint["DriverOpts"]
        if endpoint.get("GwPriority"):
            kept["GwPriority"] = endpoint["GwPriority"]
        endpoints[name] = kept
    return endpoints
