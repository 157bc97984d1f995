"""A scratch copy of a service: its container's specification, cut off from everything, and the volumes that it starts
from.

Pure, but for the removal at the end: by label, so that it also removes what a crashed run left.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from actions.common.labels import labels
from actions.common.route import Route, run_checked
from actions.common.toolbox import remove_helpers
from actions.container_spec.create_body import Specification, specification_of
from checks.backups.backups import BackupObject
from checks.containers.configuration import EMPTIED, HARMLESS
from engine.constants import LABEL_MOVE, LABEL_ROLE
from engine.contracts.container import MountFacts
from engine.contracts.product import RestoreCommand
from engine.finding import say

ROLE: Final = "drill"
DOCKER_SOCKETS: Final = ("docker.sock", "containerd.sock", "podman.sock")
SOCKET_FOLDERS: Final = frozenset({"/", "/run", "/var", "/var/run", "/run/docker", "/run/containerd", "/run/podman"})
"""A socket can be used from a folder that is mounted read-only, too."""
OWN_RIGHTS: Final = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
        "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID",
        "SYS_CHROOT", "SYS_NICE", "SYS_RESOURCE",
    }
)  # fmt: skip
"""Capabilities that act within a container's own name spaces; with another one its root could become its host's.
capabilities(7)"""
OWN_DEVICES: Final = frozenset(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty"))
"""Every container has them."""
CONFINED: Final = HARMLESS | {"apparmor=docker-default", "apparmor:docker-default", "seccomp=builtin"}
"""Security options that take nothing off what confines every container."""
FIRST_TO_GO: Final = 900
"""When the host runs out of memory the kernel takes a scratch copy before anything that serves (proc(5),
oom_score_adj).
"""
LOG: Final = {"Type": "json-file", "Config": {"max-size": "5m"}}
"""Never the service's own: Docker itself would send a scratch copy's lines to the central log."""
REACHES_OUT: Final = ("PidMode", "IpcMode", "UTSMode", "UsernsMode", "CgroupnsMode")
OF_OTHERS: Final = ("DeviceRequests", "CgroupParent")
"""What names something of the host that serves others: a scratch copy has none of it."""


@dataclass(frozen=True)
class ScratchPlace:
    """What stands in for one mount of the service: a volume restored from its archive, or an empty one that an export
    fills.
    """

    name: str  # of the backup's object: "volume shop_data"
    volume: str
    restored: bool

    def source(self, mountpoint: str) -> tuple[str, str]:
        """Return Docker's type and source of the mount; an archive holds its place as `data`, a directory or a file."""
        return ("bind", f"{mountpoint}/data") if self.restored else ("volume", self.volume)


def scratch_places(
    slug: str, mounts: Sequence[MountFacts], rules: Mapping[str, str], commands: Sequence[RestoreCommand]
) -> dict[str, ScratchPlace]:
    """Return what stands in for each mount that was archived, by its path in the container; one volume for
    each place.
    """
    replaced = {mount.destination for command in commands if (mount := _mount_over(mounts, command.replaces))}
    volumes: dict[str, str] = {}
    places = {}
    for mount in mounts:
        if rules.get(mount.destination) == "copy" and mount.kind != "tmpfs":
            name = f"{mount.kind} {mount.source}"
            volume = volumes.setdefault(name, f"{slug}-{len(volumes)}")
            places[mount.destination] = ScratchPlace(name, volume, restored=mount.destination not in replaced)
    return places


def place_over(places: Mapping[str, ScratchPlace], path: str) -> tuple[str, ScratchPlace] | None:
    """Return the mount's path and what stands in for it, for a path in the container; None when it lies on no mount."""
    covering = [at for at in places if PurePosixPath(path).is_relative_to(at)]
    at = max(covering, key=len, default=None)
    return (at, places[at]) if at else None


def _mount_over(mounts: Sequence[MountFacts], path: str) -> MountFacts | None:
    covering = [mount for mount in mounts if PurePosixPath(path).is_relative_to(mount.destination)]
    return max(covering, key=lambda mount: len(mount.destination), default=None)


def reaches_out(inspect: Mapping[str, Any]) -> str:
    """Return why a copy of this container could act beyond any network of its own; "" when it could not."""
    host = inspect.get("HostConfig") or {}
    if host.get("Privileged"):
        return say("its container is privileged: a copy could change the host")
    for found in (
        *(
            say("adds capability {right}", right=right)
            for right in host.get("CapAdd") or ()
            if _bare(right) not in OWN_RIGHTS
        ),
        *(say("uses device {path}", path=path) for path in _devices(host) if path not in OWN_DEVICES),
        *(say("has device rule {rule}", rule=rule) for rule in host.get("DeviceCgroupRules") or ()),
        *(
            say("has security option {option}", option=option)
            for option in host.get("SecurityOpt") or ()
            if option not in CONFINED
        ),
        *(say("sees all of /proc and /sys") for name in EMPTIED if host.get(name) == []),
    ):
        return say("its container {found}: a copy could change the host", found=found)
    sources = [str(mount.get("Source") or "") for mount in inspect.get("Mounts") or []]
    for source in sources:
        if source.endswith(DOCKER_SOCKETS):
            return say("it uses {source}: a copy could change the host's containers", source=source)
        if (source.rstrip("/") or "/") in SOCKET_FOLDERS:
            return say(
                "it uses {source}, where the engine's socket is: a copy could change the host's containers",
                source=source,
            )
    return ""


def _devices(host_config: Mapping[str, Any]) -> list[str]:
    return [str(device.get("PathOnHost")) for device in host_config.get("Devices") or ()]


def _bare(capability: object) -> str:
    return str(capability).upper().removeprefix("CAP_")


def scratch_specification(
    inspect: Mapping[str, Any],
    *,
    move_label: str,
    network: str,
    mounts: Mapping[str, tuple[str, str]],
    same_on_target: Collection[str] = (),
) -> Specification:
    """Return the create body of the scratch copy: the service's own, without ports, names, labels, restarts and a way
    out.

    `mounts` maps a path in the container to Docker's type and source of what stands in for it; paths of the host that
    are `same_on_target` are mounted from there, read-only; all other mounts are left out.
    """
    body = specification_of(inspect)
    host = body["HostConfig"]
    body.pop("MacAddress", None)
    body["Labels"] = labels(move_label, ROLE)
    given = inspect.get("Mounts") or []
    theirs = [mount for mount in given if mount["Type"] == "bind" and mount["Destination"] in same_on_target]
    host["Binds"] = None
    host["Mounts"] = [
        *(mount for mount in host.get("Mounts") or [] if mount.get("Type") == "tmpfs"),
        *(
            _mount(*mounts[mount["Destination"]], mount, read_only=not mount.get("RW", True))
            for mount in given
            if mount["Destination"] in mounts
        ),
        *(_mount("bind", mount["Source"], mount, read_only=True) for mount in theirs),
    ]
    host |= {"NetworkMode": network, "PortBindings": {}, "PublishAllPorts": False, "ExtraHosts": None, "LogConfig": LOG}
    host |= {"RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "OomScoreAdj": FIRST_TO_GO, "AutoRemove": False}
    host |= {key: "" for key in REACHES_OUT if str(host.get(key) or "").startswith(("host", "container:"))}
    host |= {key: None for key in OF_OTHERS if host.get(key)}
    body["NetworkingConfig"] = {"EndpointsConfig": {network: {}}}
    return body


def _mount(kind: str, source: str, mount: Mapping[str, Any], *, read_only: bool) -> dict[str, Any]:
    return {"Type": kind, "Source": source, "Target": mount["Destination"], "ReadOnly": read_only}


def snapshots_of(taken: Sequence[BackupObject]) -> dict[str, str]:
    """Return the snapshot of each object."""
    return {item.name: item.snapshot for item in taken}


def list_scratch(route: Route) -> list[str]:
    """Return what this move's drills have on the target now: containers, volumes, networks."""
    kinds = {
        "container": ["ps", "--all", "--format", "{{.Names}}"],
        "volume": ["volume", "ls", "--quiet"],
        "network": ["network", "ls", "--quiet"],
    }
    return [f"{kind} {name}" for kind, words in kinds.items() for name in _listed(route, words)]


def remove_scratch(route: Route, backup_host: str) -> None:
    """Remove this move's scratch copies and helpers, also those of a crashed run; nothing without its label."""
    for host in dict.fromkeys((route.target, backup_host)):
        remove_helpers(route.fleet, host, route.move_label, ROLE)
    for kind in ("volume", "network"):
        found = _listed(route, [kind, "ls", "--quiet"])
        if found:
            run_checked(
                route.fleet,
                route.target,
                ["docker", kind, "rm", *found],
                doing=say("remove the drill's {kind}s", kind=kind),
                timeout_s=600.0,
            )


def _listed(route: Route, words: Sequence[str]) -> list[str]:
    wanted = [f"label={LABEL_MOVE}={route.move_label}", f"label={LABEL_ROLE}={ROLE}"]
    argv = ["docker", *words, *(flag for value in wanted for flag in ("--filter", value))]
    return run_checked(route.fleet, route.target, argv, doing=say("list what the drill made")).text.split()
