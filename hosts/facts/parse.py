"""Pure parsers of what the facts script printed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any, Final

from engine.contracts.container import ContainerFacts, MountFacts
from engine.errors import NotObservedError
from engine.finding import say
from hosts.facts.model import FileSystem, HostFacts, ImageFacts, ListeningSocket, NetworkFacts, VolumeFacts
from hosts.facts.system_parse import Answer, parse_surroundings

PROCESS: Final = re.compile(r'users:\(\("(?P<name>[^"]*)"')
DF_ROW: Final = re.compile(
    r"(?P<device>.+?)\s+(?P<size>\d+|-)\s+(?P<used>-?\d+|-)\s+(?P<free>-?\d+|-)\s+(?:\d+%|-)\s+(?P<mount>/.*)"
)
"""A device (`//nas/old things`) and a mount point may hold spaces: the figures between them show where each ends."""
VANISHED: Final = re.compile(
    (
        r"(?:\s*error(?: response from daemon)?:? (?:get \S+: )?(?:no such "
        r"(?:object|container|image|volume|network): \S+|network \S+ not found))+\s*"
    ),
    re.IGNORECASE,
)
"""All that `docker inspect` of API 1.41 to 1.51 complains of when something was removed since it was listed."""
CLOCK: Final = re.compile(r"(?P<seconds>\d+)(?P<fraction>\.\d+)?")
TIMED_OUT: Final = 124
ESTABLISHED, LISTENING = "01", "0A"
DOCKER_LISTS: Final = ("containers", "images", "volumes", "networks")


@dataclass(frozen=True)
class Section:
    """What one command of the script printed, how it ended, and the begin of what it said wrong."""

    text: str
    status: int
    error: str


MISSING: Final = Section("", 127, "not asked")


def parse_sections(output: str, mark: str) -> dict[str, Section]:
    """Cut the output of the script into its sections."""
    sections = {}
    pattern = re.compile(
        (
            rf"^{re.escape(mark)} begin (?P<name>\w+)\n(?P<text>.*?)\n?^{re.escape(mark)} end (?P=name) "
            r"(?P<status>\d+) ?(?P<error>[^\n]*)$"
        ),
        re.MULTILINE | re.DOTALL,
    )
    for found in pattern.finditer(output):
        sections[found["name"]] = Section(found["text"], int(found["status"]), found["error"].strip())
    return sections


def parse_facts(
    host: str, output: str, mark: str, *, gathered_at: datetime, our_clock: tuple[float, float]
) -> HostFacts:
    """Return typed facts; `our_clock` are our times before and after the trip, in seconds since the epoch."""
    found = parse_sections(output, mark)
    kernel = found.get("kernel", MISSING).text.split()
    version, info = (_json(host, found.get(name, MISSING)) or {} for name in ("docker", "info"))
    lists = {name: _list(host, found.get(name, MISSING)) for name in DOCKER_LISTS}
    memory = parse_memory(found.get("memory", MISSING).text)
    sizes = parse_sizes(found.get("sizes", MISSING).text)
    docker_error, sockets = _docker_error(found), found.get("sockets", MISSING)
    first, last = (found.get(name, MISSING).text for name in ("clock_first", "clock_last"))
    offset_s, uncertainty_s = parse_clock(first, last, our_clock)
    containers = tuple(parse_container(host, raw) for raw in lists["containers"])
    return HostFacts(
        host=host,
        gathered_at=gathered_at,
        machine_id=found.get("machine", MISSING).text.strip(),
        lab=found.get("lab", MISSING).text.strip() == "lab",
        kernel=" ".join(kernel[:2]),
        architecture=kernel[2] if len(kernel) > 2 else "",  # noqa: PLR2004 uname -srm
        os_name=parse_os(found.get("os", MISSING).text),
        docker_version=str((version.get("Server") or {}).get("Version", "")) if not docker_error else "",
        docker_error=docker_error,
        engine_id=str(info.get("ID", "")),
        storage_driver=str(info.get("Driver", "")),
        docker_root=str(info.get("DockerRootDir", "")),
        containers=containers,
        images=tuple(parse_image(raw) for raw in lists["images"]),
        volumes=tuple(parse_volume(raw, sizes) for raw in lists["volumes"]),
        networks=tuple(parse_network(raw) for raw in lists["networks"]),
        listening=parse_sockets(sockets.text),
        file_systems=parse_file_systems(found.get("disks", MISSING).text, found.get("inodes", MISSING).text),
        memory_total_bytes=memory.get("MemTotal", 0),
        memory_available_bytes=memory.get("MemAvailable", 0),
        load_1m=float((found.get("load", MISSING).text.split() or ["0"])[0]),
        cpus=int(found.get("cpus", MISSING).text.strip() or 0),
        clock_offset_s=offset_s,
        clock_uncertainty_s=uncertainty_s,
        compose_projects=tuple(
            sorted(
                {c.labels["com.docker.compose.project"] for c in containers if "com.docker.compose.project" in c.labels}
            )
        ),
        path_sizes=sizes,
        listening_error=_reason(sockets) if sockets.status else "",
        around=parse_surroundings(
            host, {name: Answer(one.text, one.status, _reason(one)) for name, one in found.items()}, info
        ),
    )


def _end(text: str) -> tuple[str, int]:
    """Return address and port of `0100007F:1F90`: words of four bytes, each in the order of this machine's
    (little-endian) kernel.
    """
    raw, _, port = text.partition(":")
    packed = b"".join(bytes.fromhex(raw[at : at + 8])[::-1] for at in range(0, len(raw), 8))
    address = ip_address(packed)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address), int(port, 16)


def _docker_error(found: Mapping[str, Section]) -> str:
    """Return why the engine's answers don't count, "" when all are there: one list that is missing may hide
    anything.
    """
    for name in ("docker", "info"):
        section = found.get(name, MISSING)
        if section.status or not section.text.strip():
            return _reason(section)
    missing = {name: found.get(name, MISSING) for name in DOCKER_LISTS if not _is_listed(found.get(name, MISSING))}
    return "; ".join(f"its {name}: {_reason(section)}" for name, section in missing.items())


def _reason(section: Section) -> str:
    if section.status == TIMED_OUT:
        return say("no answer in time")
    return section.error[:300] or (
        say("exit status {status}", status=section.status) if section.status else say("no answer")
    )


def _is_listed(section: Section) -> bool:
    """Return whether a list is whole: what was removed between `ls` and `inspect` is no longer there, the others are
    listed.
    """
    return section.status == 0 or (section.status == 1 and bool(VANISHED.fullmatch(section.error)))


def _list(host: str, section: Section) -> list[Any]:
    return list(_json(host, Section(section.text, 0, "")) or []) if _is_listed(section) else []


def _json(host: str, section: Section) -> Any:
    if section.status or not section.text.strip():
        return None
    try:
        return json.loads(section.text)
    except ValueError as error:
        raise NotObservedError(
            say("{host}: Docker's answer is not JSON ({error}). Try: ssh {host} docker info", host=host, error=error)
        ) from error


def parse_clock(first: str, last: str, our_clock: tuple[float, float]) -> tuple[float | None, float]:
    """Return host clock minus ours and its uncertainty, in seconds; (None, 0) when it could not be read.

    The host prints its time at both ends of the trip. Its first time was read after we started, its last one before we
    ended: the offset lies between last minus ended and first minus started (Cristian's method, from both sides).
    """
    earliest, latest = _instant(first) or _instant(last), _instant(last) or _instant(first)
    if earliest is None or latest is None:
        return None, 0.0
    started, ended = our_clock
    lower, upper = latest[0] - ended, earliest[1] - started
    return round((lower + upper) / 2, 6), round(abs(upper - lower) / 2, 6)


def _instant(text: str) -> tuple[float, float] | None:
    """Return between which seconds a time of `date +%s.%N` lies; busybox knows no %N, so its time is good
    to a second.
    """
    found = CLOCK.match(text.strip())
    if not found:
        return None
    seconds = float(found["seconds"])
    return (float(found[0]), float(found[0])) if found["fraction"] else (seconds, seconds + 1)


def parse_os(text: str) -> str:
    """Return PRETTY_NAME of /etc/os-release."""
    names = [line.partition("=")[2].strip('"') for line in text.splitlines() if line.startswith("PRETTY_NAME=")]
    return names[0] if names else ""


def parse_memory(text: str) -> dict[str, int]:
    """Return /proc/meminfo in bytes."""
    rows = (line.replace(":", "").split() for line in text.splitlines())
    return {row[0]: int(row[1]) * (1024 if len(row) > 2 else 1) for row in rows if len(row) > 1}  # noqa: PLR2004 "kB"


def parse_sizes(text: str) -> dict[str, int]:
    """Return `du -sk` lines as bytes by path."""
    rows = (line.split("\t", 1) for line in text.splitlines() if "\t" in line)
    return {path: int(size) * 1024 for size, path in rows}


def parse_file_systems(disks: str, inodes: str) -> tuple[FileSystem, ...]:
    """Join `df -P -k -a` and `df -P -i -a`, without what holds nothing (/proc); of two on one mount point the upper one
    counts.
    """
    free_inodes = {row["mount"]: (_number(row["size"]), _number(row["free"])) for row in _df_rows(inodes)}
    rows = {row["mount"]: row for row in _df_rows(disks) if _number(row["size"]) and row["free"] != "-"}
    return tuple(_file_system(mount, row, *free_inodes.get(mount, (0, 0))) for mount, row in rows.items())


def _file_system(mount: str, row: re.Match[str], inodes: int, inodes_free: int) -> FileSystem:
    size, used, free = (_number(row[name]) for name in ("size", "used", "free"))
    return FileSystem(
        mount, row["device"], size * 1024, free * 1024, inodes, inodes_free, max(0, size - used - free) * 1024
    )


def _df_rows(text: str) -> list[re.Match[str]]:
    rows = (DF_ROW.fullmatch(line.strip()) for line in text.splitlines()[1:])
    return [row for row in rows if row]


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def parse_sockets(text: str) -> tuple[ListeningSocket, ...]:
    """Parse `ss -Hltnup`: protocol, state, queues, local address:port, peer, users."""
    sockets = []
    for line in text.splitlines():
        fields = line.split(None, 6)
        if len(fields) < 6 or not fields[4].rpartition(":")[2].isdigit():  # noqa: PLR2004 ss's columns
            continue
        address, _, port = fields[4].rpartition(":")
        process = PROCESS.search(line)
        sockets.append(
            ListeningSocket(
                fields[0], address.partition("%")[0].strip("[]"), int(port), process["name"] if process else ""
            )
        )
    return tuple(sockets)


def parse_container(host: str, raw: Mapping[str, Any]) -> ContainerFacts:
    """Return one container of `docker inspect`."""
    state, config, host_config = raw["State"], raw["Config"], raw["HostConfig"]
    networks = (raw.get("NetworkSettings") or {}).get("Networks") or {}
    return ContainerFacts(
        host=host,
        id=raw["Id"],
        name=raw["Name"].lstrip("/"),
        image_ref=config["Image"],
        image_id=raw["Image"],
        state=state["Status"],
        exit_code=int(state.get("ExitCode") or 0),
        health=(state.get("Health") or {}).get("Status") or "none",
        restart_policy=(host_config.get("RestartPolicy") or {}).get("Name") or "no",
        mounts=tuple(parse_mount(mount) for mount in raw.get("Mounts") or []),
        networks={name: tuple(network.get("Aliases") or ()) for name, network in networks.items()},
        published=parse_published(host_config.get("PortBindings") or {}),
        labels=dict(config.get("Labels") or {}),
        env=dict(item.partition("=")[::2] for item in config.get("Env") or []),
        raw=raw,
    )


def parse_mount(mount: Mapping[str, Any]) -> MountFacts:
    """Return one mount of a container."""
    kind = str(mount["Type"])
    source = str(mount.get("Name") or "") if kind == "volume" else str(mount.get("Source") or "")
    return MountFacts(
        kind, source, str(mount["Destination"]), not mount.get("RW", True), str(mount.get("Driver") or "local")
    )


def parse_published(bindings: Mapping[str, Any]) -> tuple[tuple[str, int, int, str], ...]:
    """Return published ports as (host address, host port, container port, protocol)."""
    published = []
    for container_port, places in bindings.items():
        port, _, protocol = container_port.partition("/")
        published += [
            (str(place.get("HostIp") or ""), int(place["HostPort"]), int(port), protocol or "tcp")
            for place in places or []
            if str(place.get("HostPort") or "").isdigit()
        ]
    return tuple(published)


def parse_image(raw: Mapping[str, Any]) -> ImageFacts:
    """Return one image of `docker image inspect`."""
    layers = (raw.get("RootFS") or {}).get("Layers") or ()
    return ImageFacts(
        raw["Id"],
        tuple(raw.get("RepoTags") or ()),
        raw.get("Architecture", ""),
        tuple(layers),
        int(raw["Size"]),
    )


def parse_volume(raw: Mapping[str, Any], sizes: Mapping[str, int]) -> VolumeFacts:
    """Return one volume of `docker volume inspect`."""
    mountpoint = str(raw.get("Mountpoint") or "")
    return VolumeFacts(
        raw["Name"], raw["Driver"], raw.get("Labels") or {}, raw.get("Options") or {}, mountpoint, sizes.get(mountpoint)
    )


def parse_network(raw: Mapping[str, Any]) -> NetworkFacts:
    """Return one network of `docker network inspect`."""
    pools = (raw.get("IPAM") or {}).get("Config") or []
    return NetworkFacts(
        raw["Id"],
        raw["Name"],
        raw["Driver"],
        tuple(pool["Subnet"] for pool in pools if "Subnet" in pool),
        raw.get("Labels") or {},
        bool(raw.get("Internal")),
    )
