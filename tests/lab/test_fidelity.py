"""The recreated containers are faithful: by the written list, by options named one by one, and as seen from inside."""

from __future__ import annotations

import copy
from functools import cache, reduce
from typing import Any, Final

import pytest

from checks.containers.recreated import compare_containers, judge_fidelity
from engine.verdict import Verdict
from tests.lab import at_hand
from tests.lab.at_hand import SOURCE, TARGETS
from tests.lab.conftest import Rehearsal

MB: Final = 2**20
SECOND: Final = 10**9
OPTIONS: Final[tuple[tuple[str, str, Any], ...]] = (
    ("postgres", "Config.Hostname", "pg-shop"),
    ("postgres", "HostConfig.ShmSize", 256 * MB),
    ("postgres", "HostConfig.Memory", 1024 * MB),
    ("postgres", "HostConfig.MemoryReservation", 256 * MB),
    ("postgres", "HostConfig.Ulimits", [{"Name": "nofile", "Soft": 4096, "Hard": 8192}]),
    ("postgres", "HostConfig.LogConfig", {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}),
    ("postgres", "HostConfig.ExtraHosts", ["ldap.internal:192.0.2.7"]),
    ("postgres", "HostConfig.RestartPolicy.Name", "unless-stopped"),
    ("postgres", "HostConfig.PortBindings", {"5432/tcp": [{"HostIp": "", "HostPort": "5432"}]}),
    ("postgres", "Config.StopTimeout", 60),
    ("postgres", "Config.Labels.team", "platform"),
    ("postgres", "Config.Labels.backup", "nightly"),
    (
        "postgres",
        "Config.Cmd",
        ["postgres", "-c", "max_connections=120", "-c", "shared_buffers=128MB", "-c", "log_min_duration_statement=500"],
    ),
    (
        "postgres",
        "Config.Healthcheck",
        {
            "Test": ["CMD-SHELL", "pg_isready -h 127.0.0.1 -U postgres"],
            "Interval": 5 * SECOND,
            "Timeout": 3 * SECOND,
            "StartPeriod": 10 * SECOND,
            "Retries": 5,
        },
    ),
    ("redis", "HostConfig.Init", True),
    ("redis", "HostConfig.Sysctls", {"net.core.somaxconn": "1024"}),
    ("redis", "HostConfig.NanoCpus", 1_500_000_000),
    ("redis", "HostConfig.PidsLimit", 200),
    ("redis", "HostConfig.SecurityOpt", ["no-new-privileges:true"]),
    ("redis", "HostConfig.Tmpfs", {"/scratch": "rw,size=16m,mode=1777"}),
    ("redis", "HostConfig.RestartPolicy.Name", "always"),
    ("redis", "Config.StopSignal", "SIGTERM"),
    ("prometheus", "Config.User", "65534:65534"),
    ("prometheus", "HostConfig.CapDrop", ["ALL"]),
    ("prometheus", "HostConfig.ReadonlyRootfs", True),
    ("prometheus", "HostConfig.Tmpfs", {"/tmp": "rw,size=32m"}),
    ("prometheus", "Config.StopTimeout", 60),
)
INSIDE: Final = (
    ("postgres", "ulimit -Sn; ulimit -Hn", "4096 8192"),
    ("postgres", "df -k /dev/shm | awk 'NR==2 {print $2}'", "262144"),
    ("postgres", "getent hosts ldap.internal | awk '{print $1}'", "192.0.2.7"),
    ("postgres", "hostname", "pg-shop"),
    ("redis", "cat /proc/sys/net/core/somaxconn", "1024"),
    ("redis", "cat /proc/1/comm", "docker-init"),
    ("redis", "awk '/NoNewPrivs/ {print $2}' /proc/self/status", "1"),
    ("redis", "stat -f -c %T /scratch; stat -c %a /scratch", "tmpfs 1777"),
    ("redis", "touch /usr/local/etc/redis/redis.conf 2>/dev/null || echo read-only", "read-only"),
    ("prometheus", "awk '/CapBnd/ {print $2}' /proc/1/status", "0000000000000000"),
    ("prometheus", "touch /x 2>/dev/null || echo read-only", "read-only"),
    ("prometheus", "id -u; id -g", "65534 65534"),
)

pytestmark = pytest.mark.lab
services = pytest.mark.parametrize(("service", "target"), TARGETS.items())


def _at(raw: dict[str, Any], path: str) -> Any:
    return reduce(lambda value, name: value[name], path.split("."), raw)


@cache
def _inspect(host: str, container: str) -> dict[str, Any]:
    """Look once: no test of this file changes a container."""
    return at_hand.inspect(host, container)


@services
def test_only_the_written_list_differs(rehearsal: Rehearsal, service: str, target: str) -> None:
    """`docker inspect` before the move and now differ only by the written list, the restart policy included."""
    before, now = rehearsal.specifications[service], _inspect(target, service)
    assert compare_containers(before, now, committed=True) == []
    judgement = judge_fidelity(service, before, now, committed=True)
    assert judgement.verdict is Verdict.PASSED
    assert judgement.measured["fields_compared"] > 100


@services
def test_kept_source_differs_only_by_name_and_restart(rehearsal: Rehearsal, service: str, target: str) -> None:
    """The kept container on the old host was changed in nothing but its name and its restart policy."""
    found = compare_containers(rehearsal.specifications[service], _inspect(SOURCE, f"{service}-moved"), committed=True)
    assert {difference.path for difference in found} == {"Name", "HostConfig.RestartPolicy.Name"}


@services
def test_networks_and_aliases_are_kept(rehearsal: Rehearsal, service: str, target: str) -> None:
    """The container is on the networks it was on, under the names it had there, its old container name included."""
    networks = _inspect(target, service)["NetworkSettings"]["Networks"]
    assert set(networks) == {"apps"}
    assert {service} | ({"db"} if service == "postgres" else set()) <= set(networks["apps"]["DNSNames"])


@services
def test_environment_is_kept(rehearsal: Rehearsal, service: str, target: str) -> None:
    """Every variable has its value; compared as digests, so that a failure prints none."""
    before, now = (
        set(map(hash, raw["Config"]["Env"])) for raw in (rehearsal.specifications[service], _inspect(target, service))
    )
    assert now == before


@pytest.mark.parametrize(
    ("service", "path", "expected"), OPTIONS, ids=[f"{service}-{path}" for service, path, _ in OPTIONS]
)
def test_option_is_kept(rehearsal: Rehearsal, service: str, path: str, expected: Any) -> None:
    """The option has on the new host the value with which the lab started it on the old."""
    assert _at(rehearsal.specifications[service], path) == expected, "the lab itself changed"
    assert _at(_inspect(TARGETS[service], service), path) == expected


@pytest.mark.parametrize(
    ("service", "path", "expected"), OPTIONS, ids=[f"{service}-{path}" for service, path, _ in OPTIONS]
)
def test_a_lost_option_would_be_found(rehearsal: Rehearsal, service: str, path: str, expected: Any) -> None:
    """The comparison is no formality: with this option lost, it names it."""
    before, now = rehearsal.specifications[service], copy.deepcopy(_inspect(TARGETS[service], service))
    parent, _, name = path.rpartition(".")
    _at(now, parent)[name] = None
    found = compare_containers(before, now, committed=True)
    assert found
    assert all(difference.path.startswith(path) for difference in found)


@pytest.mark.parametrize(
    ("service", "script", "expected"), INSIDE, ids=[f"{service}-{script[:24]}" for service, script, _ in INSIDE]
)
def test_option_works_inside(rehearsal: Rehearsal, service: str, script: str, expected: str) -> None:
    """The kernel, not only `docker inspect`, says that the option is in force on the new host."""
    seen = at_hand.on_host(TARGETS[service], "docker", "exec", service, "sh", "-c", script)
    assert " ".join(seen.split()) == expected
