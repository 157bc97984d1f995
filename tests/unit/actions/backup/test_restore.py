"""What a scratch copy is made of, and whether an export was taken to its end by what brings it back."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from actions.backup.restore import judge_applied
from actions.backup.restore_drill import why_not
from actions.backup.scratch_copy import reaches_out, scratch_places, scratch_specification
from checks.backups.backups import BackupObject
from engine.contracts.container import CommandResult, MountFacts
from engine.contracts.product import RestoreCommand
from services.redis.product import PLACE_SNAPSHOT
from services.registry import product
from tests.fakes.facts import LABEL, make_container
from tests.fakes.inspect_answer import inspected

EXPORT: Final = BackupObject("export cluster.sql", "e" * 64, 100, datetime(2026, 1, 2, tzinfo=UTC))
SQL: Final = RestoreCommand(
    "cluster.sql", "/data", ("env", "A=b", "psql"), 60, trouble="ERROR:", tolerated=('role "postgres" already exists',)
)


def test_the_copy_has_no_way_to_be_taken_for_the_service() -> None:
    """Ports, aliases, labels, restarts, host entries and the central log stay behind; image, command and limits are its
    own.
    """
    inspect = inspected()
    inspect["HostConfig"] |= {
        "PidMode": "host",
        "LogConfig": {"Type": "gelf", "Config": {"gelf-address": "udp://192.0.2.9:1"}},
    }
    inspect["Mounts"].append({"Type": "bind", "Source": "/etc/localtime", "Destination": "/etc/localtime", "RW": True})

    body = scratch_specification(
        inspect,
        move_label=LABEL,
        network="drill-net",
        mounts={"/data": ("volume", "scratch-0")},
        same_on_target=["/etc/localtime"],
    )

    host = body["HostConfig"]
    assert body["Labels"] == {"longshore.move": LABEL, "longshore.role": "drill"}
    assert body["NetworkingConfig"] == {"EndpointsConfig": {"drill-net": {}}}
    assert (host["NetworkMode"], host["PortBindings"], host["ExtraHosts"], host["PidMode"]) == (
        "drill-net",
        {},
        None,
        "",
    )
    assert (host["RestartPolicy"]["Name"], host["LogConfig"]["Type"], host["Binds"]) == ("no", "json-file", None)
    assert [(m["Type"], m["Source"], m["Target"], m["ReadOnly"]) for m in host["Mounts"]] == [
        ("volume", "scratch-0", "/data", False),
        ("bind", "/etc/localtime", "/etc/localtime", True),
    ]
    assert (body["Image"], body["Cmd"], host["Memory"]) == (inspect["Image"], ["redis-server"], 536870912)


def test_what_an_export_makes_anew_starts_empty() -> None:
    """The mount over the path, whether or not the data lies deeper in it; two mounts of one volume share their scratch
    volume.
    """
    mounts = (
        MountFacts("volume", "pg", "/var/lib/postgresql", read_only=False),
        MountFacts("volume", "x", "/a", read_only=False),
    )
    twice = (*mounts, MountFacts("volume", "x", "/b", read_only=True))
    deeper = replace(SQL, replaces="/var/lib/postgresql/18/docker")

    places = scratch_places("s", twice, dict.fromkeys(("/var/lib/postgresql", "/a", "/b"), "copy"), (deeper,))

    assert {at: (place.volume, place.restored) for at, place in places.items()} == {
        "/var/lib/postgresql": ("s-0", False), "/a": ("s-1", True), "/b": ("s-1", True),
    }  # fmt: skip


def said(text: str, codes: str = "0 0") -> CommandResult:
    """Return what the pipe answers."""
    return CommandResult((), 0, text.encode(), f"\n{codes}\n".encode(), 0.0)


def test_an_error_in_the_middle_of_a_dump_is_found_though_psql_ends_well() -> None:
    """The one error that a restore always has is tolerated, every other is not."""
    judge_applied(EXPORT, SQL, said('psql:<stdin>:9: ERROR:  role "postgres" already exists\nNOTICE: skipping\n'))

    with pytest.raises(AssertionError, match=r"psql did not take it .*syntax error at or near .* and 1 more"):
        judge_applied(
            EXPORT,
            SQL,
            said('ERROR:  role "postgres" already exists\nERROR:  syntax error at or near "x"\nERROR:  again\n'),
        )


def test_an_answer_without_exit_codes_is_no_success() -> None:
    """A pipe that was killed says nothing: that is not two zeros."""
    with pytest.raises(AssertionError):
        judge_applied(EXPORT, SQL, CommandResult((), 137, b"", b"", 0.0))


@pytest.mark.parametrize("mark", [b"", b"5971f8386891782f139db9c7ac4c07280901a0bd"])
def test_the_mark_behind_a_redis_snapshot_is_taken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: bytes
) -> None:
    """An append-only file with 40 digits behind its snapshot would not be loaded; a snapshot without them stays as it
    is.
    """
    snapshot = b"REDIS0012" + bytes(range(200)) + b"\xff" + b"checksum"
    monkeypatch.setattr(sys, "argv", ["-c", str(tmp_path)])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(snapshot + mark)))

    exec(compile(PLACE_SNAPSHOT, "place", "exec"), {})  # noqa: S102 the program is our own

    assert [(tmp_path / name).read_bytes() for name in ("dump.rdb", "appendonly.aof")] == [snapshot, snapshot]


def test_who_can_be_drilled() -> None:
    """A product says how its data comes back, and its container can't act beyond a network of its own."""
    assert [why_not(product(name), inspected()) for name in ("postgres", "redis", "prometheus")] == ["", "", ""]
    assert (
        why_not(product("generic"), inspected()) == "services/generic/product.py does not say how its data comes back"
    )
    assert "privileged" in why_not(product("redis"), {"HostConfig": {"Privileged": True}})
    assert "/var/run/docker.sock" in why_not(product("redis"), {"Mounts": [{"Source": "/var/run/docker.sock"}]})


def test_a_dump_of_a_renamed_superuser_is_restored_by_it() -> None:
    """Its name is the container's, and its own errors are the tolerated ones."""
    (command,) = product("postgres").restore_commands(make_container(env={"POSTGRES_USER": "shop.admin"}))  # type: ignore[attr-defined]

    assert command.argv[-3:] == ("shop.admin", "-d", "postgres")
    judge_applied(
        EXPORT, command, said('ERROR:  role "shop.admin" already exists\nERROR:  current user cannot be dropped\n')
    )
    with pytest.raises(AssertionError, match="shopXadmin"):
        judge_applied(EXPORT, command, said('ERROR:  role "shopXadmin" already exists'))


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"Privileged": True}, "is privileged"),
        ({"CapAdd": ["SYS_ADMIN"]}, "adds capability SYS_ADMIN"),
        ({"CapAdd": ["CAP_NET_ADMIN", "all"]}, "adds capability all"),
        ({"Devices": [{"PathOnHost": "/dev/sda"}]}, "uses device /dev/sda"),
        ({"DeviceCgroupRules": ["a *:* rwm"]}, "device rule a"),
        ({"SecurityOpt": ["seccomp=unconfined"]}, "security option seccomp=unconfined"),
        ({"MaskedPaths": []}, "all of /proc"),
    ],
)
def test_what_could_change_its_host_is_not_started_as_a_copy(asked: dict[str, Any], reason: str) -> None:
    """The copy is made on the target before anybody approved what the source asks for."""
    inspect = inspected()
    inspect["HostConfig"] |= asked
    assert reason in reaches_out(inspect)


@pytest.mark.parametrize("source", ["/", "/run", "/var/run/", "/var/run/docker.sock"])
def test_a_folder_with_the_engines_socket_is_the_socket(source: str) -> None:
    """Who sees the folder can connect, read-only or not."""
    inspect = inspected()
    inspect["Mounts"].append({"Type": "bind", "Source": source, "Destination": "/host", "RW": False})
    assert "the host's containers" in reaches_out(inspect)


def test_ordinary_rights_are_drilled() -> None:
    """Locking memory and being nice change nobody else."""
    inspect = inspected()
    inspect["HostConfig"] |= {"CapAdd": ["IPC_LOCK", "CAP_SYS_NICE"], "DeviceRequests": [{"Driver": "nvidia"}]}
    assert not reaches_out(inspect)
    body = scratch_specification(inspect, move_label=LABEL, network="drill-net", mounts={})
    assert body["HostConfig"]["DeviceRequests"] is None
