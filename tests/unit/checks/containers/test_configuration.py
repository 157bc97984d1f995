"""What people approved of a container is all that it is configured to be, and it is compared before anything is made
from it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from actions.container.target import CreateTarget
from actions.container_spec.saved_spec import SaveSourceSpec
from checks.containers.configuration import configuration_digest, privileges_of
from checks.containers.declared import judge_container_as_declared
from engine.config.inventory import ServiceEntry
from engine.errors import ActionError
from engine.verdict import Verdict
from hosts.facts.parse import parse_container
from tests.fakes.engine import Engine
from tests.fakes.inspect_answer import inspected
from tests.fakes.project_files import spoiled
from tests.unit.actions.container.test_source import audit, make_route

__all__ = ["audit"]


def digest(*changes: tuple[str, Any]) -> str:
    """Return the digest of the inspected container with changes."""
    return configuration_digest(parse_container("wf005", spoiled(inspected(), *changes)))


@pytest.mark.parametrize(
    "change",
    [
        ("HostConfig/Privileged", True),
        ("HostConfig/CapAdd", ["ALL"]),
        ("HostConfig/Devices", []),
        ("HostConfig/PidMode", "host"),
        ("HostConfig/SecurityOpt", ["seccomp=unconfined"]),
        ("HostConfig/Binds", ["redis_data:/data", "/srv/redis.conf:/etc/redis.conf:ro", "/:/host:rw"]),
        ("HostConfig/MaskedPaths", []),
        ("HostConfig/Sysctls", {}),
        ("HostConfig/ReadonlyRootfs", False),
        ("Config/Env", ["REDIS_PASSWORD=another-123", "PATH=/bin"]),
        ("Config/Cmd", ["redis-server", "--appendonly", "no"]),
        ("Config/User", "0"),
        ("Config/Labels", {"team": "x"}),
        ("Config/Healthcheck", {"Test": ["CMD", "sh", "-c", "id"]}),
        ("Image", "sha256:" + "2" * 64),
        ("Mounts/1/Source", "/etc"),
        ("NetworkSettings/Networks/shop/IPAMConfig", None),
    ],
)
def test_each_part_of_the_configuration_changes_the_digest(change: tuple[str, Any]) -> None:
    """Privileges, devices, capabilities, binds and all other fields of Config and HostConfig are what people sign."""
    assert digest(change) != digest()


@pytest.mark.parametrize(
    "change",
    [
        ("State/ExitCode", 1),
        ("HostConfig/RestartPolicy", {"Name": "no"}),
        ("HostConfig/NewField", None),
        ("HostConfig/KernelMemory", 0),
        ("NetworkSettings/Networks/shop/IPAddress", "172.20.0.77"),
        ("NetworkSettings/Networks/shop/Aliases", ["redis", "cache"]),
    ],
)
def test_what_is_no_configuration_does_not(change: tuple[str, Any]) -> None:
    """Its state, addresses that the engine gives, the restart policy that a move sets itself, fields of another API
    version.
    """
    assert digest(change) == digest()


def test_privileges_are_named_in_words() -> None:
    """An approver reads what the container may do on its host, by what was asked and by what the engine mounted."""
    hostile = spoiled(
        inspected(),
        ("HostConfig/Privileged", True),
        ("HostConfig/PidMode", "host"),
        ("HostConfig/Binds", ["/:/host:rw"]),
    )

    assert privileges_of(hostile) == (
        "privileged: root on its host",
        "adds capability SYS_NICE",
        "adds group 44",
        "legacy link /old:/redis/old",
        "device /dev/null as /dev/x (rwm)",
        "process namespace: host",
        "kernel setting net.core.somaxconn=1024",
        "host path /srv/redis.conf at /etc/redis.conf, read-only",
        "host path / at /host, writable",
    )
    assert privileges_of({"Config": {}, "HostConfig": {}}) == ()


@pytest.mark.parametrize(
    "asked",
    [
        {"Binds": ["redis_data:/data", "/:/host:rw"]},
        {"Binds": [], "Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}]},
        {"Binds": ["/etc:/data"]},
    ],
)
def test_a_mount_that_is_asked_for_and_not_declared_is_a_difference(asked: dict[str, Any]) -> None:
    """The copy is created from HostConfig: a host that lists other mounts than it asks for hides nothing."""
    entry = ServiceEntry.model_validate(
        {
            "product": "redis", "host": "wf005", "container": "redis", "image": "redis:8", "networks": ["shop"],
            "ports": [{"host": 6379, "container": 6379}], "mounts": [{"source": "redis_data", "path": "/data"}],
        }
    )  # fmt: skip
    raw: dict[str, Any] = {"Config": {}, "HostConfig": {}}
    from tests.fakes.facts import make_container  # noqa: PLC0415

    assert judge_container_as_declared(entry, make_container(raw=raw)).passed
    seen = judge_container_as_declared(entry, make_container(raw={**raw, "HostConfig": asked}))

    assert seen.verdict is Verdict.FAILED
    assert "is asked for, and not declared" in " ".join(seen.details)


def test_another_container_than_the_approved_one_is_not_recorded(audit: list[str]) -> None:
    """Between the question and the record: what is recreated on the target is what was signed, or nothing is."""
    source = Engine(inspected())
    route, _ = make_route(source, Engine())
    approved = digest()
    source.containers[0]["HostConfig"]["Privileged"] = True

    with pytest.raises(ActionError, match=r"redis is configured as [0-9a-f]{12}. Expected: " + approved[:12]):
        SaveSourceSpec(route, (), approved).do({})
    assert audit == []

    source.containers[0]["HostConfig"]["Privileged"] = False
    source.containers[0]["HostConfig"]["RestartPolicy"] = {"Name": "no"}
    SaveSourceSpec(route, (), digest(("HostConfig/Privileged", False))).do({})


def test_a_record_that_was_changed_on_its_host_creates_nothing() -> None:
    """The file lies on the source: root there may write into it what it likes."""
    source, target = Engine(inspected()), Engine()
    route, fleet = make_route(source, target)
    SaveSourceSpec(route, (), digest()).do({})
    (path,) = fleet["wf005"].files
    content = json.loads(fleet["wf005"].files[path])
    content["inspect"]["HostConfig"]["Binds"].append("/:/host:rw")
    fleet["wf005"].files[path] = json.dumps(content).encode()

    with pytest.raises(ActionError, match="redis is configured as"):
        CreateTarget(route, approved=digest()).do({})
    assert target.containers == []
