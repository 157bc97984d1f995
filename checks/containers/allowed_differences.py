"""The written list of what may differ between a container and its recreation, each with its reason; shown in docs/.

Two differences are in the files that people sign instead, and the comparison demands them: mounts with the rule
`drop` (inventory), and published ports that a move remaps (plan).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.constants import NAME
from engine.finding import say


@dataclass(frozen=True)
class Pair:
    """Both containers' inspect answers and both values of one field, for the rules of the table below."""

    source: Mapping[str, Any]
    target: Mapping[str, Any]
    source_value: Any
    target_value: Any


@dataclass(frozen=True)
class AllowedDifference:
    """A field that may differ: its path (fnmatch), why, and, where only some values may, a rule that says which."""

    path: str
    reason: str
    only_if: Callable[[Pair], bool] | None = None


def _restart_held(pair: Pair) -> bool:
    return pair.target_value in {"no", "", 0, None}


def _same_network(pair: Pair) -> bool:
    default = {"default", "bridge", "", None}
    if pair.source_value in default and pair.target_value in default:
        return True
    networks: Mapping[str, Any] = (pair.source.get("NetworkSettings") or {}).get("Networks") or {}
    chosen = networks.get(pair.target_value) or {}
    return bool(chosen) and pair.source_value == chosen.get("NetworkID")


def _names_what_is_mounted(pair: Pair) -> bool:
    """Return True when the source named no such mount itself, but does mount the target's volume there."""
    if pair.source_value is not None or not isinstance(pair.target_value, Mapping):
        return False
    wanted = (pair.target_value.get("Type"), pair.target_value.get("Source"), pair.target_value.get("Target"))
    mounted = [
        (item.get("Type"), item.get("Name"), item.get("Destination")) for item in pair.source.get("Mounts") or []
    ]
    return wanted in mounted


def _in_volume(pair: Pair) -> bool:
    return all(str(value).endswith("/_data") for value in (pair.source_value, pair.target_value))


def _address_of_host(pair: Pair) -> bool:
    fixed = {"", "0.0.0.0", "::", "127.0.0.1", "::1", None}  # noqa: S104 compared, never bound
    return pair.source_value not in fixed and pair.target_value not in fixed


def _kept_name(pair: Pair) -> bool:
    return bool(pair.source_value == f"{pair.target_value}-moved")


def _mark_of_volume(pair: Pair) -> bool:
    return {pair.source_value, pair.target_value} == {"", "z"}


HOST_OWN: Final = say("belongs to the engine it runs on, not to the container's configuration")

ALLOWED_DIFFERENCES: Final[tuple[AllowedDifference, ...]] = (
    AllowedDifference("Id", HOST_OWN),
    AllowedDifference("Created", HOST_OWN),
    AllowedDifference("State.*", say("running or stopped is judged by its own steps")),
    AllowedDifference("RestartCount", HOST_OWN),
    AllowedDifference("ExecIDs*", HOST_OWN),
    AllowedDifference("Driver", say("storage driver of the host; the files on it are the image's")),
    AllowedDifference("GraphDriver.*", say("where the host keeps the writable layer")),
    AllowedDifference("Storage.*", say("where the host keeps the writable layer (newer engines)")),
    AllowedDifference(
        "ImageManifestDescriptor*", say("present only with the containerd image store; the image id is compared")
    ),
    AllowedDifference("Size*", say("size of the writable layer")),
    AllowedDifference("ResolvConfPath", say("a path inside the host's docker root")),
    AllowedDifference("HostnamePath", say("a path inside the host's docker root")),
    AllowedDifference("HostsPath", say("a path inside the host's docker root")),
    AllowedDifference("LogPath", say("a path inside the host's docker root")),
    AllowedDifference("Name", say("the stopped source is kept as <name>-moved"), _kept_name),
    AllowedDifference("AppArmorProfile", say("chosen by the host's kernel; HostConfig.SecurityOpt is compared")),
    AllowedDifference("ProcessLabel", say("SELinux label given by the host; HostConfig.SecurityOpt is compared")),
    AllowedDifference("MountLabel", say("SELinux label given by the host; HostConfig.SecurityOpt is compared")),
    AllowedDifference(
        "Mounts.*.Source", say("a volume's path inside the docker root; its name is compared"), _in_volume
    ),
    AllowedDifference(
        "Mounts.*.Mode", say("a mark that the engine adds when a volume is named explicitly"), _mark_of_volume
    ),
    AllowedDifference(
        "NetworkSettings.Ports*", say("ports that are bound while it runs; HostConfig.PortBindings is compared")
    ),
    AllowedDifference(
        "NetworkSettings.Networks.*.IPAMConfig*",
        say("a fixed address belongs to the source's subnet; dropped, names are used"),
    ),
    AllowedDifference(
        "NetworkSettings.Networks.*.Links*",
        say("legacy links name containers of the source host; aliases are compared"),
    ),
    *(
        AllowedDifference(f"NetworkSettings.Networks.*.{name}", say("given by the host's network"))
        for name in (
            "NetworkID",
            "EndpointID",
            "Gateway",
            "IPAddress",
            "IPPrefixLen",
            "IPv6Gateway",
            "GlobalIPv6Address",
            "GlobalIPv6PrefixLen",
            "MacAddress",
            "DNSNames*",
        )
    ),
    *(
        AllowedDifference(f"NetworkSettings.{name}", say("given by the host's default network"))
        for name in (
            "Bridge",
            "SandboxID",
            "SandboxKey",
            "HairpinMode",
            "LinkLocalIPv6*",
            "Secondary*",
            "EndpointID",
            "Gateway",
            "IPAddress",
            "IPPrefixLen",
            "IPv6Gateway",
            "GlobalIPv6*",
            "MacAddress",
        )
    ),
    AllowedDifference(
        "Config.Image", say("created by image id, so that no tag can change it; the id is compared as Image")
    ),
    AllowedDifference(f"Config.Labels.{NAME}.*", say("the label that says which move created it")),
    AllowedDifference(
        "HostConfig.RestartPolicy.Name", say("stays `no` until commit sets the recorded one"), _restart_held
    ),
    AllowedDifference(
        "HostConfig.RestartPolicy.MaximumRetryCount", say("part of the restart policy, set at commit"), _restart_held
    ),
    AllowedDifference("HostConfig.ContainerIDFile", say("a file that `docker run` wrote once on the source")),
    AllowedDifference("HostConfig.NetworkMode", say("the same network, by name instead of its id"), _same_network),
    AllowedDifference(
        "HostConfig.Links*", say("legacy links name containers of the source host; forwarders replace them")
    ),
    AllowedDifference("HostConfig.VolumesFrom*", say("the volumes themselves are named instead; see Mounts")),
    AllowedDifference(
        "HostConfig.Mounts.*",
        say("an anonymous or inherited volume is named explicitly; see Mounts"),
        _names_what_is_mounted,
    ),
    AllowedDifference(
        "HostConfig.PortBindings.*.HostIp",
        say("an address of the source becomes the target's; checked by the port steps"),
        _address_of_host,
    ),
)
"""Nothing else may differ between a container and its recreation (shown in docs/)."""
