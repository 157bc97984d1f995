"""Checks of how a host is set up: each fails for its own reason, with what was seen and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from checks.hosts.system import (
    judge_engine,
    judge_inodes,
    judge_kernel,
    judge_owners,
    judge_synchronised,
    judge_writable,
)
from engine.contracts.container import MountFacts
from engine.contracts.product import KernelNeed
from engine.errors import NotObservedError
from engine.verdict import Verdict
from hosts.facts.model import HostFacts
from hosts.facts.system import EngineSettings, SystemFacts
from services.redis.product import Product
from tests.fakes.facts import make_container, make_disk, make_host

SETTINGS = {
    "vm.overcommit_memory": "1",
    "vm.max_map_count": "262144",
    "net.core.somaxconn": "4096",
    "transparent_hugepage": "madvise",
}
BIND = MountFacts("bind", "/srv/redis", "/conf", read_only=False)
RULES = {"/conf": "copy", "/data": "copy"}


def host(name: str = "wf001", **around: Any) -> HostFacts:
    """Return a host with some surroundings."""
    return make_host(host=name, around=SystemFacts(host=name, **around))


def test_a_clock_that_nobody_keeps_fails() -> None:
    """It is right today and five minutes off in a month."""
    answer = judge_synchronised(host(is_synchronised=False, time_source="timedatectl"))

    assert answer.verdict is Verdict.FAILED
    assert "wf001: timedatectl says that its clock is not synchronised" in answer.text
    assert "sudo timedatectl set-ntp true" in answer.text
    assert judge_synchronised(host(is_synchronised=True, time_source="chronyc")).passed


def test_whether_a_clock_is_kept_may_not_be_known() -> None:
    """A missing tool is not a tool that says no."""
    answer = judge_synchronised(host(errors={"synchronised": "no tool there"}))

    assert answer.verdict is Verdict.UNKNOWN
    assert "no tool there" in answer.text


@pytest.mark.parametrize(("option", "expected"), [("name=rootless", "rootless"), ("name=userns", "userns-remap")])
def test_an_engine_of_another_kind_fails(option: str, expected: str) -> None:
    """Owners of files would not be what they are in the containers."""
    answer = judge_engine(host(engine=EngineSettings(security=(option,))), [])

    assert answer.verdict is Verdict.FAILED
    assert expected in answer.text
    assert judge_engine(host(engine=EngineSettings("systemd", "2", ("name=seccomp",))), [host("wf002")]).passed


def test_a_read_only_mount_under_the_data_fails() -> None:
    """The mount that holds the path decides, not one above it."""
    disks = (make_disk(), make_disk(mount="/srv/old"))
    target = make_host(file_systems=disks, around=SystemFacts(host="wf001", read_only_mounts=frozenset({"/srv/old"})))
    answer = judge_writable(target, ["/var/lib/docker/volumes", "/srv/old/redis"])

    assert answer.verdict is Verdict.FAILED
    assert "1 of 2 places lie on a read-only mount: /srv/old/redis (on /srv/old)" in answer.text
    assert judge_writable(target, ["/srv/new"]).passed


def test_mounts_that_were_not_read_are_not_known() -> None:
    """No list of mounts is no promise that all can be written."""
    with pytest.raises(NotObservedError, match="its mounts could not be read"):
        judge_writable(host(errors={"mounts": "no answer in time"}), ["/srv"])


def test_a_disk_with_free_bytes_but_no_inodes_fails() -> None:
    """Half of its bytes are free, and not one more file can be made."""
    full = make_host(file_systems=(make_disk(inodes_free=0),))
    answer = judge_inodes(full, ["/var/lib/docker/volumes"])

    assert answer.verdict is Verdict.FAILED
    assert "100 % of the inodes of / are used, 0 free" in answer.text
    assert judge_inodes(make_host(), ["/srv"]).passed
    assert judge_inodes(make_host(file_systems=(make_disk(inodes=0, inodes_free=0),)), ["/srv"]).passed, (
        "btrfs makes them as needed"
    )


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("vm.overcommit_memory", "0", "vm.overcommit_memory is 0, expected 1 (Redis' administration page"),
        ("transparent_hugepage", "always", "transparent_hugepage is always, expected madvise or never"),
        ("vm.max_map_count", "65530", "vm.max_map_count is 65530, 262144 on wf005"),
        ("net.core.somaxconn", "128", "net.core.somaxconn is 128, 4096 on wf005"),
    ],
)
def test_a_kernel_that_gives_less_fails(setting: str, value: str, expected: str) -> None:
    """What the product asks for, and what the source gave."""
    answer = judge_kernel(
        host("wf005", settings=SETTINGS),
        host(settings={**SETTINGS, setting: value}),
        make_container(),
        Product.kernel_needs,
    )

    assert answer.verdict is Verdict.FAILED
    assert expected in answer.text
    assert "sudo sysctl -w" in answer.text


def test_what_the_source_did_without_is_only_mentioned() -> None:
    """It ran so for years: no reason to stop the night."""
    poor = {**SETTINGS, "vm.overcommit_memory": "0"}
    answer = judge_kernel(host("wf005", settings=poor), host(settings=poor), make_container(), Product.kernel_needs)

    assert answer.passed
    assert "on neither host" in answer.details[0]


def test_a_lower_limit_of_open_files_fails_unless_the_container_brings_its_own() -> None:
    """It inherits the Docker Engine's, which a unit file may have lowered."""
    source, target = (
        host("wf005", settings=SETTINGS, open_files={7: 1_048_576}),
        host(settings=SETTINGS, engine_open_files=1024),
    )
    inherited = make_container(raw={"State": {"Pid": 7}, "HostConfig": {"Ulimits": None}})
    own = make_container(
        raw={"State": {"Pid": 7}, "HostConfig": {"Ulimits": [{"Name": "nofile", "Soft": 65536, "Hard": 65536}]}}
    )
    answer = judge_kernel(source, target, inherited, ())

    assert answer.verdict is Verdict.FAILED
    assert "its limit of open files will be 1,024, 1,048,576 on wf005" in answer.text
    assert judge_kernel(source, target, own, ()).passed


def test_a_kernel_that_answers_nothing_is_unknown() -> None:
    """Nothing compared is no pass."""
    assert judge_kernel(host("wf005"), host(), make_container(), ()).verdict is Verdict.UNKNOWN


def test_a_need_is_a_number_or_a_word() -> None:
    """Both say what they expect."""
    number, word = (
        KernelNeed("vm.max_map_count", "x", at_least=262144),
        KernelNeed("transparent_hugepage", "x", words=("never",)),
    )

    assert [number.is_met(seen) for seen in ("262144", "65530", "lots")] == [True, False, False]
    assert (number.text, word.text, word.is_met("never")) == ("at least 262144", "never", True)


def test_files_that_would_belong_to_somebody_else_fail() -> None:
    """999 is redis' own number on the source, and a person's on the target."""
    container = make_container(mounts=(BIND,))
    source = host("wf005", owners={"/srv/redis": (999, 999)}, users={0: "root", 999: "redis"})
    answer = judge_owners(source, host(users={0: "root", 999: "backup-agent"}), container, RULES)

    assert answer.verdict is Verdict.FAILED
    assert "/srv/redis: 999 is redis on wf005 and backup-agent on wf001" in answer.text
    assert judge_owners(source, host(users={999: "redis"}), container, RULES).passed
    assert judge_owners(source, host(users={}), container, RULES).passed


def test_a_containers_own_user_counts_too() -> None:
    """It will write as that number."""
    container = make_container(mounts=(BIND,), raw={"Config": {"User": "1000:1000"}})
    source = host("wf005", owners={"/srv/redis": (0, 0)}, users={0: "root"})

    assert (
        "1000 is nobody on wf005 and anna on wf001"
        in judge_owners(source, host(users={1000: "anna"}), container, RULES).text
    )


def test_an_owner_that_was_not_seen_is_unknown() -> None:
    """No answer is no match."""
    assert judge_owners(host("wf005"), host(), make_container(mounts=(BIND,)), RULES).verdict is Verdict.UNKNOWN
