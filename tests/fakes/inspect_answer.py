"""An inspect answer in the form of Docker 26.1, with every kind of field that a recreation must keep."""

from __future__ import annotations

import json
from typing import Any, Final

SOURCE_ID: Final = "a1b2c3d4e5f6" + "0" * 52
TARGET_ID: Final = "f6e5d4c3b2a1" + "0" * 52


def json_copy(value: Any) -> Any:
    """Return a value as it comes back from an engine's API: a copy without a part in common."""
    return json.loads(json.dumps(value))


_INSPECTED: Final[dict[str, Any]] = {
    "Id": SOURCE_ID,
    "Created": "2026-01-01T00:00:00Z",
    "Path": "docker-entrypoint.sh",
    "Args": ["redis-server"],
    "State": {"Status": "running", "Running": True, "OOMKilled": False, "ExitCode": 0},
    "Image": "sha256:" + "1" * 64,
    "Name": "/redis",
    "RestartCount": 0,
    "Driver": "overlay2",
    "Platform": "linux",
    "Mounts": [
        {
            "Type": "volume",
            "Name": "redis_data",
            "Source": "/var/lib/docker/volumes/redis_data/_data",
            "Destination": "/data",
            "Driver": "local",
            "Mode": "z",
            "RW": True,
            "Propagation": "",
        },
        {
            "Type": "bind",
            "Source": "/srv/redis.conf",
            "Destination": "/etc/redis.conf",
            "Mode": "ro",
            "RW": False,
            "Propagation": "rprivate",
        },
        {
            "Type": "volume",
            "Name": "e" * 64,
            "Source": "/var/lib/docker/volumes/e/_data",
            "Destination": "/extra",
            "Driver": "local",
            "Mode": "",
            "RW": True,
            "Propagation": "",
        },
    ],
    "Config": {
        "Hostname": SOURCE_ID[:12],
        "Domainname": "",
        "User": "999",
        "Tty": False,
        "OpenStdin": False,
        "ExposedPorts": {"6379/tcp": {}},
        "Env": ["REDIS_PASSWORD=geheim-123", "PATH=/bin"],
        "Cmd": ["redis-server"],
        "Healthcheck": {"Test": ["CMD", "redis-cli", "ping"], "Interval": 1000000000},
        "Image": "redis:8",
        "Volumes": {"/extra": {}},
        "WorkingDir": "/data",
        "Entrypoint": ["docker-entrypoint.sh"],
        "Labels": {"team": "shop"},
        "StopSignal": "SIGTERM",
        "StopTimeout": 120,
    },
    "HostConfig": {
        "Binds": ["redis_data:/data", "/srv/redis.conf:/etc/redis.conf:ro"],
        "ContainerIDFile": "/tmp/cid",
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}},
        "NetworkMode": "shop",
        "PortBindings": {"6379/tcp": [{"HostIp": "192.0.2.5", "HostPort": "6379"}]},
        "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
        "AutoRemove": False,
        "VolumesFrom": None,
        "CapAdd": ["SYS_NICE"],
        "CapDrop": None,
        "CgroupnsMode": "private",
        "Dns": ["192.0.2.53"],
        "ExtraHosts": ["db:192.0.2.9"],
        "GroupAdd": ["44"],
        "IpcMode": "private",
        "Links": ["/old:/redis/old"],
        "OomScoreAdj": -500,
        "PidMode": "",
        "ReadonlyRootfs": True,
        "SecurityOpt": ["no-new-privileges"],
        "Tmpfs": {"/tmp": "size=64m"},
        "ShmSize": 134217728,
        "Sysctls": {"net.core.somaxconn": "1024"},
        "Runtime": "runc",
        "Memory": 536870912,
        "NanoCpus": 1500000000,
        "CgroupParent": "",
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}],
        "PidsLimit": 200,
        "Ulimits": [{"Name": "nofile", "Hard": 65536, "Soft": 65536}],
        "Init": True,
        "MemorySwappiness": None,
        "Annotations": {"a": "b"},
    },
    "NetworkSettings": {
        "Bridge": "",
        "SandboxID": "s",
        "Ports": {"6379/tcp": [{"HostIp": "192.0.2.5", "HostPort": "6379"}]},
        "Networks": {
            "shop": {
                "IPAMConfig": {"IPv4Address": "172.20.0.9"},
                "Links": None,
                "Aliases": [SOURCE_ID[:12], "redis", "cache"],
                "NetworkID": "n1",
                "EndpointID": "x",
                "Gateway": "172.20.0.1",
                "IPAddress": "172.20.0.9",
                "DriverOpts": None,
            },
            "metrics": {
                "IPAMConfig": None,
                "Aliases": ["redis"],
                "NetworkID": "n2",
                "IPAddress": "172.21.0.2",
                "DriverOpts": None,
            },
        },
    },
}


def inspected() -> dict[str, Any]:
    """Return a fresh copy of the source's answer."""
    return json_copy(_INSPECTED)


def recreated() -> dict[str, Any]:
    """Return what the target's engine answers after a faithful recreation, before commit."""
    target = inspected()
    target["Id"] = TARGET_ID
    target["Created"] = "2026-01-02T00:00:00Z"
    target["Config"]["Hostname"] = TARGET_ID[:12]
    target["Config"]["Image"] = target["Image"]
    target["Config"]["Labels"] = {"team": "shop", "longshore.move": "lab/redis/1", "longshore.role": "service"}
    host_config = target["HostConfig"]
    host_config["ContainerIDFile"], host_config["Links"] = "", None
    host_config["RestartPolicy"] = {"Name": "no", "MaximumRetryCount": 0}
    host_config["PortBindings"]["6379/tcp"][0]["HostIp"] = "192.0.2.11"
    host_config["Mounts"] = [{"Type": "volume", "Source": "e" * 64, "Target": "/extra"}]
    target["Mounts"][2]["Mode"] = "z"
    networks = target["NetworkSettings"]["Networks"]
    networks["shop"] = {
        **networks["shop"],
        "IPAMConfig": None,
        "Aliases": [TARGET_ID[:12], "redis", "cache"],
        "NetworkID": "m1",
        "IPAddress": "172.22.0.4",
        "Gateway": "172.22.0.1",
    }
    target["NetworkSettings"]["Ports"] = {}
    target["State"] = {"Status": "created", "Running": False}
    return target
