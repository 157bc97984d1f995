"""The recreation is faithful: everything is kept, and what is left out is left out on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actions.container_spec.create_body import network_of, notes_of, specification_of
from checks.containers.allowed_differences import ALLOWED_DIFFERENCES
from checks.containers.recreated import compare_containers, judge_fidelity
from engine.verdict import Verdict
from tests.fakes.inspect_answer import SOURCE_ID, inspected, recreated


def test_every_field_of_config_is_kept() -> None:
    """Only image, host name and labels are treated."""
    source = inspected()
    body = specification_of(source)
    treated = {"Image", "Hostname"}
    assert {k: v for k, v in body.items() if k in source["Config"] and k not in treated} == {
        k: v for k, v in source["Config"].items() if k not in treated
    }


def test_every_field_of_host_config_is_kept_but_three() -> None:
    """What belongs to the source host stays there; all else is sent, also what this test does not know."""
    source = inspected()
    source["HostConfig"]["SomethingNew"] = {"from": "a newer engine"}
    sent = specification_of(source)["HostConfig"]
    left_out = set(source["HostConfig"]) - set(sent)
    assert left_out == {"ContainerIDFile", "Links", "VolumesFrom"}
    treated = {"Mounts"}
    assert all(sent[k] == v for k, v in source["HostConfig"].items() if k not in left_out | treated)


def test_image_goes_by_id() -> None:
    """A tag may name something else on the target."""
    assert specification_of(inspected())["Image"] == "sha256:" + "1" * 64


def test_generated_host_name_is_dropped_and_a_chosen_one_kept() -> None:
    """RabbitMQ's data belongs to its host name."""
    source = inspected()
    assert "Hostname" not in specification_of(source)
    source["Config"]["Hostname"] = "rabbit-1"
    assert specification_of(source)["Hostname"] == "rabbit-1"
    source["HostConfig"]["NetworkMode"] = "host"
    assert "Hostname" not in specification_of(source)


def test_no_entry_point_stays_no_entry_point() -> None:
    """The engine would take the image's."""
    source = inspected()
    source["Config"]["Entrypoint"] = None
    assert specification_of(source)["Entrypoint"] == [""]


def test_anonymous_volume_is_named_and_dropped_mount_is_left_out() -> None:
    """What was copied must be mounted again; what is dropped must not."""
    mounts = specification_of(inspected())["HostConfig"]["Mounts"]
    assert mounts == [{"Type": "volume", "Source": "e" * 64, "Target": "/extra"}]
    body = specification_of(inspected(), dropped={"/extra", "/etc/redis.conf"})
    assert "Mounts" not in body["HostConfig"]
    assert body["HostConfig"]["Binds"] == ["redis_data:/data"]


def test_read_only_inherited_mount_stays_read_only() -> None:
    """`--volumes-from other:ro` is only seen in Mounts."""
    source = inspected()
    source["Mounts"][2]["RW"] = False
    assert specification_of(source)["HostConfig"]["Mounts"][0]["ReadOnly"] is True


def test_networks_keep_aliases_without_the_generated_one() -> None:
    """The short id of the source would be a lie on the target; fixed addresses are noted."""
    endpoints = specification_of(inspected())["NetworkingConfig"]["EndpointsConfig"]
    assert endpoints == {"shop": {"Aliases": ["redis", "cache"]}, "metrics": {"Aliases": ["redis"]}}
    assert any("172.20.0.9" in note for note in notes_of(inspected()))
    assert any("/old:/redis/old" in note for note in notes_of(inspected()))


def test_network_given_by_id_is_sent_by_name() -> None:
    """An id of the source means nothing on the target."""
    source = inspected()
    source["HostConfig"]["NetworkMode"] = "n1"
    assert network_of(source) == "shop"
    assert specification_of(source)["HostConfig"]["NetworkMode"] == "shop"


def test_address_of_the_source_becomes_the_targets() -> None:
    """A port bound to 192.0.2.5 can't be bound on another host; loopback and everywhere stay."""
    moved = specification_of(inspected(), addresses={"192.0.2.5": "192.0.2.11"})
    assert moved["HostConfig"]["PortBindings"]["6379/tcp"][0]["HostIp"] == "192.0.2.11"
    source = inspected()
    source["HostConfig"]["PortBindings"]["6379/tcp"][0]["HostIp"] = "127.0.0.1"
    kept = specification_of(source, addresses={"127.0.0.1": "192.0.2.11"})
    assert kept["HostConfig"]["PortBindings"]["6379/tcp"][0]["HostIp"] == "127.0.0.1"


def test_label_is_added_and_source_is_not_touched() -> None:
    """The inspect answer is recorded evidence."""
    source = inspected()
    body = specification_of(source, move_label="lab/redis/1")
    assert body["Labels"] == {"team": "shop", "longshore.move": "lab/redis/1", "longshore.role": "service"}
    assert source == inspected()


def test_faithful_recreation_has_no_difference() -> None:
    """All that differs is on the written list."""
    assert compare_containers(inspected(), recreated()) == []
    answer = judge_fidelity("redis on wf001", inspected(), recreated())
    assert answer.passed
    assert int(answer.measured["fields_compared"]) > 60


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(target: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        item: Any = target
        for parent in parents:
            item = item[int(parent) if isinstance(item, list) else parent]
        item[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("Image", "sha256:" + "2" * 64),
        ("Name", "/redis2"),
        ("Config/User", "0"),
        ("Config/Cmd", ["redis-server", "--port", "1"]),
        ("Config/Entrypoint", None),
        ("Config/WorkingDir", "/"),
        ("Config/Hostname", "other"),
        ("Config/Labels", {"team": "other"}),
        ("Config/StopSignal", "SIGKILL"),
        ("Config/StopTimeout", 10),
        ("Config/Healthcheck", None),
        ("Config/ExposedPorts", {}),
        ("HostConfig/Binds", ["redis_data:/data"]),
        ("HostConfig/Memory", 0),
        ("HostConfig/NanoCpus", 0),
        ("HostConfig/PidsLimit", None),
        ("HostConfig/CapAdd", None),
        ("HostConfig/CapDrop", ["CHOWN"]),
        ("HostConfig/Devices", []),
        ("HostConfig/Ulimits", []),
        ("HostConfig/Sysctls", None),
        ("HostConfig/LogConfig", {"Type": "local", "Config": {}}),
        ("HostConfig/ExtraHosts", None),
        ("HostConfig/Init", None),
        ("HostConfig/ShmSize", 67108864),
        ("HostConfig/Tmpfs", None),
        ("HostConfig/IpcMode", "host"),
        ("HostConfig/Dns", []),
        ("HostConfig/GroupAdd", None),
        ("HostConfig/SecurityOpt", None),
        ("HostConfig/ReadonlyRootfs", False),
        ("HostConfig/OomScoreAdj", 0),
        ("HostConfig/CgroupParent", "/x"),
        ("HostConfig/Annotations", {}),
        ("HostConfig/MemorySwappiness", 0),
        ("HostConfig/NetworkMode", "host"),
        ("HostConfig/PortBindings", {"6379/tcp": [{"HostIp": "192.0.2.11", "HostPort": "6380"}]}),
        ("HostConfig/RestartPolicy/Name", "always"),
        ("Mounts/1/RW", True),
        ("Mounts/0/Name", "other_data"),
        ("Mounts/1/Source", "/srv/other.conf"),
        ("NetworkSettings/Networks/shop/Aliases", ["redis"]),
        ("Config/SomethingNew", "x"),
        ("SomethingNew", "x"),
    ],
)
def test_each_unfaithful_field_is_found(path: str, value: Any) -> None:
    """A comparison that never failed is none: every field is broken once."""
    target = recreated()
    _set(path, value)(target)
    found = compare_containers(inspected(), target)
    assert found, path
    assert judge_fidelity("redis on wf001", inspected(), target).verdict is Verdict.FAILED


def test_missing_network_and_wider_binding_are_found() -> None:
    """A container not connected, or a loopback port opened to everybody."""
    lonely = recreated()
    del lonely["NetworkSettings"]["Networks"]["metrics"]
    assert any("metrics" in difference.path for difference in compare_containers(inspected(), lonely))
    source, target = inspected(), recreated()
    source["HostConfig"]["PortBindings"]["6379/tcp"][0]["HostIp"] = "127.0.0.1"
    target["HostConfig"]["PortBindings"]["6379/tcp"][0]["HostIp"] = ""
    assert [d.path for d in compare_containers(source, target)] == ["HostConfig.PortBindings.6379/tcp.0.HostIp"]


def test_secret_values_are_never_shown() -> None:
    """A difference in the environment names the variable only."""
    target = recreated()
    target["Config"]["Env"][0] = "REDIS_PASSWORD=other-456"
    answer = judge_fidelity("redis on wf001", inspected(), target)
    assert "Config.Env.REDIS_PASSWORD" in answer.text
    assert "geheim" not in answer.text + str(answer.details)
    assert "other-456" not in answer.text + str(answer.details)


def test_after_commit_the_restart_policy_must_be_back() -> None:
    """`no` is allowed before commit only."""
    assert compare_containers(inspected(), recreated(), committed=True)
    target = recreated()
    target["HostConfig"]["RestartPolicy"] = {"Name": "unless-stopped", "MaximumRetryCount": 0}
    assert compare_containers(inspected(), target, committed=True) == []


def test_field_that_only_one_engine_shows_at_its_default_is_no_difference() -> None:
    """20.10 shows KernelMemory 0, newer engines do not."""
    source = inspected()
    source["HostConfig"]["KernelMemory"] = 0
    assert compare_containers(source, recreated()) == []


def test_nothing_to_compare_is_unknown() -> None:
    """An empty side is never equal."""
    assert judge_fidelity("redis on wf001", {}, recreated()).verdict is Verdict.UNKNOWN


def test_every_allowed_difference_has_a_reason() -> None:
    """The written list is shown in the docs."""
    assert all(len(allowed.reason) > 15 for allowed in ALLOWED_DIFFERENCES)
    assert inspected()["Id"] == SOURCE_ID
