"""Is the recreated container faithful: every field of `docker inspect` is compared, and only a written list may differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from engine.product import NAME
from engine.verdict import Judgement, failed, passed, unknown

SHOWN_LENGTH: Final = 120
SHORT_ID: Final = 12


@dataclass(frozen=True)
class Difference:
    """One field that differs, by its path in `docker inspect`; values of the environment are never shown."""

    path: str
    source: str
    target: str

    def text(self) -> str:
        """Return the difference as one line."""
        return f"{self.path}: {self.source} on the source, {self.target} on the target"


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
    mounted = [(item.get("Type"), item.get("Name"), item.get("Destination")) for item in pair.source.get("Mounts") or []]
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


HOST_OWN: Final = "belongs to the engine it runs on, not to the container's configuration"

ALLOWED_DIFFERENCES: Final[tuple[AllowedDifference, ...]] = (
    AllowedDifference("Id", HOST_OWN),
    AllowedDifference("Created", HOST_OWN),
    AllowedDifference("State.*", "running or stopped is judged by its own steps"),
    AllowedDifference("RestartCount", HOST_OWN),
    AllowedDifference("ExecIDs*", HOST_OWN),
    AllowedDifference("Driver", "storage driver of the host; the files on it are the image's"),
    AllowedDifference("GraphDriver.*", "where the host keeps the writable layer"),
    AllowedDifference("Storage.*", "where the host keeps the writable layer (newer engines)"),
    AllowedDifference("ImageManifestDescriptor*", "present only with the containerd image store; the image id is compared"),
    AllowedDifference("Size*", "size of the writable layer"),
    AllowedDifference("ResolvConfPath", "a path inside the host's docker root"),
    AllowedDifference("HostnamePath", "a path inside the host's docker root"),
    AllowedDifference("HostsPath", "a path inside the host's docker root"),
    AllowedDifference("LogPath", "a path inside the host's docker root"),
    AllowedDifference("Name", "the stopped source is kept as <name>-moved", _kept_name),
    AllowedDifference("AppArmorProfile", "chosen by the host's kernel; HostConfig.SecurityOpt is compared"),
    AllowedDifference("ProcessLabel", "SELinux label given by the host; HostConfig.SecurityOpt is compared"),
    AllowedDifference("MountLabel", "SELinux label given by the host; HostConfig.SecurityOpt is compared"),
    AllowedDifference("Mounts.*.Source", "a volume's path inside the docker root; its name is compared", _in_volume),
    AllowedDifference("Mounts.*.Mode", "a mark that the engine adds when a volume is named explicitly", _mark_of_volume),
    AllowedDifference("NetworkSettings.Ports*", "ports that are bound while it runs; HostConfig.PortBindings is compared"),
    AllowedDifference("NetworkSettings.Networks.*.IPAMConfig*", "a fixed address belongs to the source's subnet; dropped, names are used"),
    AllowedDifference("NetworkSettings.Networks.*.Links*", "legacy links name containers of the source host; aliases are compared"),
    *(
        AllowedDifference(f"NetworkSettings.Networks.*.{name}", "given by the host's network")
        for name in (
            "NetworkID", "EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "IPv6Gateway", "GlobalIPv6Address",
            "GlobalIPv6PrefixLen", "MacAddress", "DNSNames*",
        )
    ),
    *(
        AllowedDifference(f"NetworkSettings.{name}", "given by the host's default network")
        for name in (
            "Bridge", "SandboxID", "SandboxKey", "HairpinMode", "LinkLocalIPv6*", "Secondary*", "EndpointID", "Gateway",
            "IPAddress", "IPPrefixLen", "IPv6Gateway", "GlobalIPv6*", "MacAddress",
        )
    ),
    AllowedDifference("Config.Image", "created by image id, so that no tag can change it; the id is compared as Image"),
    AllowedDifference(f"Config.Labels.{NAME}.*", "the label that says which move created it"),
    AllowedDifference("HostConfig.RestartPolicy.Name", "stays `no` until commit sets the recorded one", _restart_held),
    AllowedDifference("HostConfig.RestartPolicy.MaximumRetryCount", "part of the restart policy, set at commit", _restart_held),
    AllowedDifference("HostConfig.ContainerIDFile", "a file that `docker run` wrote once on the source"),
    AllowedDifference("HostConfig.NetworkMode", "the same network, by name instead of its id", _same_network),
    AllowedDifference("HostConfig.Links*", "legacy links name containers of the source host; forwarders replace them"),
    AllowedDifference("HostConfig.VolumesFrom*", "the volumes themselves are named instead; see Mounts"),
    AllowedDifference("HostConfig.Mounts.*", "an anonymous or inherited volume is named explicitly; see Mounts", _names_what_is_mounted),
    AllowedDifference("HostConfig.PortBindings.*.HostIp", "an address of the source becomes the target's; checked by the port steps", _address_of_host),
)
"""Nothing else may differ between a container and its recreation (shown in docs/)."""


def compare_containers(
    source: Mapping[str, Any], target: Mapping[str, Any], *, committed: bool = False, dropped: Iterable[str] = ()
) -> list[Difference]:
    """Return every field that differs and may not; `source` is the inspect answer recorded before its stop.

    After commit the restart policy must be equal too. `dropped` are the destinations of mounts with rule `drop`.
    """
    gone = frozenset(dropped)
    here, there = dict(_flatten(_normal(source, gone))), dict(_flatten(_normal(target, gone)))
    found = []
    for path in sorted(here.keys() | there.keys()):
        one, other = here.get(path), there.get(path)
        if _equal(one, other, both=path in here and path in there):
            continue
        if not _allowed(path, Pair(source, target, one, other), committed=committed):
            found.append(Difference(path, _shown(path, one), _shown(path, other)))
    return found


def judge_fidelity(
    where: str,
    source: Mapping[str, Any],
    target: Mapping[str, Any],
    *,
    committed: bool = False,
    dropped: Iterable[str] = (),
) -> Judgement:
    """Judge whether the container `where` ("redis on wf001") equals its source but for the written list."""
    if not source.get("Config") or not target.get("Config"):
        return unknown(f"{where}: no configuration to compare. Expected: docker inspect of both. Record the source again")
    differences = compare_containers(source, target, committed=committed, dropped=dropped)
    compared = len(dict(_flatten(_normal(source, frozenset(dropped)))))
    if differences:
        return failed(
            f"{where}: {len(differences)} of {compared} fields differ from its source: {differences[0].text()}. Expected: only "
            f"the {len(ALLOWED_DIFFERENCES)} written differences. Remove the container there and run the move again",
            tuple(difference.text() for difference in differences[:20]),
            fields_different=len(differences),
            fields_compared=compared,
        )
    return passed(f"{where}: {compared} fields equal to its source's", fields_compared=compared)


def _normal(raw: Mapping[str, Any], dropped: frozenset[str]) -> dict[str, Any]:
    """Return an inspect answer with lists that have no order keyed by what names their items, and without its own id."""
    identity = str(raw.get("Id") or "")[:SHORT_ID]
    normal = dict(raw)
    config = dict(raw.get("Config") or {})
    config["Env"] = dict(item.partition("=")[::2] for item in config.get("Env") or [])
    for name in ("ExposedPorts", "Volumes"):
        config[name] = dict.fromkeys(config.get(name) or {}, True)
    if config.get("Hostname") == identity:
        config["Hostname"] = "(its own id)"
    host_config = dict(raw.get("HostConfig") or {})
    host_config["Mounts"] = {m["Target"]: m for m in host_config.get("Mounts") or [] if m.get("Target") not in dropped}
    host_config["Binds"] = {bind: True for bind in host_config.get("Binds") or [] if not dropped & set(bind.split(":"))}
    host_config["ExtraHosts"] = dict.fromkeys(host_config.get("ExtraHosts") or [], True)
    normal["Mounts"] = {m["Destination"]: m for m in raw.get("Mounts") or [] if m.get("Destination") not in dropped}
    settings = dict(raw.get("NetworkSettings") or {})
    settings["Networks"] = {name: _endpoint(value, identity) for name, value in (settings.get("Networks") or {}).items()}
    return {**normal, "Config": config, "HostConfig": host_config, "NetworkSettings": settings}


def _endpoint(endpoint: Mapping[str, Any] | None, identity: str) -> dict[str, Any]:
    """Return a network endpoint with its aliases as names, without the alias that Docker makes of the short id."""
    plain = dict(endpoint or {})
    aliases = {alias: True for alias in plain.get("Aliases") or [] if alias != identity}
    return {**plain, "Aliases": aliases, "DNSNames": None, "Connected": True}


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 JSON values have no narrower type
    whole = path.startswith("HostConfig.Mounts.") and path.count(".") >= 2  # noqa: PLR2004 one mount is one value
    if isinstance(value, Mapping) and value and not whole:
        for key, item in value.items():
            yield from _flatten(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for position, item in enumerate(value):
            yield from _flatten(item, f"{path}.{position}")
    else:
        yield path, value


def _equal(one: Any, other: Any, *, both: bool) -> bool:  # noqa: ANN401
    """Compare two values; not set, empty and absent are one thing, and a zero that only one engine shows is its default."""
    unset: tuple[Any, ...] = (None, "", [], {})
    if one == other and type(one) is type(other):
        return True
    if any(one is value or one == value for value in unset) and any(other is value or other == value for value in unset):
        return True
    return not both and not one and not other


def _allowed(path: str, pair: Pair, *, committed: bool) -> bool:
    for allowed in ALLOWED_DIFFERENCES:
        if not fnmatchcase(path, allowed.path):
            continue
        if committed and path.startswith("HostConfig.RestartPolicy"):
            return False
        return allowed.only_if is None or allowed.only_if(pair)
    return False


def _shown(path: str, value: Any) -> str:  # noqa: ANN401
    if path.startswith("Config.Env"):
        return "not set" if value is None else "(a value that is not shown)"
    text = "not set" if value is None else repr(value)
    return text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 1] + "…"
