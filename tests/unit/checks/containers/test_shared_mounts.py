"""What a service shares with its target is looked at there: an empty place, another export or other files never pass
for it.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from actions.container.target import CreateTarget, StartTarget
from checks.containers.shared_mounts import Place, judge_filled, judge_shared, judge_there, read_places
from engine.contracts.container import CommandResult, MountFacts
from engine.errors import ActionError, NotObservedError
from engine.verdict import failed
from tests.fakes.engine import Engine
from tests.fakes.host import FakeHost
from tests.fakes.inspect_answer import inspected
from tests.unit.actions.container.test_source import stopped_route

HOSTS: Final = ("wf005", "wf001")
NAS: Final = MountFacts("bind", "/mnt/nas/shop", "/data", read_only=False)
EXPORT: Final = Place("directory", "nfs4", "nas:/shop", "", frozenset({"a", "b"}))
DISK: Final = Place("directory", "ext4", "/dev/sda1", "/mnt/nas/shop", frozenset({"a", "b"}))


def judged(here: Place, there: Place, mount: MountFacts = NAS, listings: Any = None) -> Any:
    """Return the answer for one mount."""
    return judge_shared(HOSTS, (mount,), ((here,), (there,)), listings)


@pytest.mark.parametrize(
    ("here", "there", "reason"),
    [
        (EXPORT, Place("missing", "ext4", "/dev/sda1", "/mnt/nas/shop", frozenset()), "is not there on wf001"),
        (EXPORT, replace(DISK, names=frozenset()), "is ext4 /dev/sda1/mnt/nas/shop on wf001, nfs4 nas:/shop on wf005"),
        (EXPORT, DISK, "is ext4 /dev/sda1/mnt/nas/shop on wf001"),
        (EXPORT, replace(EXPORT, export="nas:/other"), "is nfs4 nas:/other on wf001"),
        (EXPORT, replace(EXPORT, below="/old"), "is nfs4 nas:/shop/old on wf001"),
        (DISK, EXPORT, "is nfs4 nas:/shop on wf001"),
        (DISK, replace(DISK, names=frozenset()), "is empty on wf001, holds 2 entries on wf005"),
        (DISK, replace(DISK, names=frozenset({"a"})), r"lacks b on wf001 \(1 of 2 names\)"),
        (DISK, replace(DISK, kind="file"), "is a file on wf001, a directory on wf005"),
        (replace(DISK, kind="missing"), DISK, "is not there on wf005"),
        (
            replace(EXPORT, file_system="local-volume"),
            replace(DISK, names=frozenset()),
            "local-volume nas:/shop on wf005",
        ),
    ],
)
def test_a_place_that_is_not_the_same_on_the_target_fails(here: Place, there: Place, reason: str) -> None:
    """A share that is not mounted there, another one, an empty folder: the service would start without its data."""
    answer = judged(here, there)

    assert not answer.passed
    assert answer.measured["mounts_wrong"] == 1
    assert re.search(reason, answer.text)
    assert "or state rule copy" in answer.text


def test_the_same_export_passes_and_the_row_says_that_no_content_was_compared() -> None:
    """It was looked at on both hosts; that is all that the row says."""
    answer = judged(EXPORT, EXPORT)

    assert answer.passed
    assert "looked at on both hosts, their content was not compared" in answer.text
    assert answer.details == ("bind /mnt/nas/shop: the same export, nfs4 nas:/shop",)


@pytest.mark.parametrize(
    ("mount", "here", "there"),
    [
        (
            MountFacts("bind", "/etc/localtime", "/etc/localtime", read_only=True),
            replace(DISK, kind="file"),
            replace(DISK, kind="file"),
        ),
        (
            MountFacts("bind", "/var/run/docker.sock", "/sock", read_only=False),
            replace(DISK, kind="socket"),
            replace(DISK, kind="socket"),
        ),
        (
            MountFacts("bind", "/proc", "/host/proc", read_only=False),
            *[Place("directory", "proc", "proc", "", frozenset({str(n)})) for n in (1, 2)],
        ),
        (replace(NAS, read_only=True), DISK, replace(DISK, names=frozenset({"other"}))),
    ],
)
def test_what_belongs_to_each_host_has_to_be_there_only(mount: MountFacts, here: Place, there: Place) -> None:
    """The clock, the engine's socket, the kernel's own files, and what the service only reads."""
    assert judged(here, there, mount).passed
    assert not judged(here, replace(there, kind="missing"), mount).passed


@pytest.mark.parametrize("same", [True, False])
def test_what_it_writes_on_its_own_disk_must_be_listed_alike_once_it_is_stopped(same: bool) -> None:
    """A copy made by hand before is older than the last write: names and sizes show it."""

    def listings(_mount: MountFacts) -> Mapping[str, str]:
        return {"wf005": "x", "wf001": "x" if same else "y"}

    answer = judged(DISK, DISK, listings=listings)

    assert answer.passed is same
    assert same or "holds other names or sizes on wf001 than on wf005" in answer.text


def test_a_container_is_not_made_over_a_mount_that_is_missing() -> None:
    """Whatever its rule: the engine would make it, empty, and say nothing."""
    volume = MountFacts("volume", "shop_files", "/files", read_only=False)
    answer = judge_there("wf001", (NAS, volume), (DISK, replace(DISK, kind="missing")))

    assert not answer.passed
    assert "volume shop_files is not there (1 of 2 mounts)" in answer.text


def test_create_target_makes_nothing_when_a_mount_is_not_there() -> None:
    """It looks first; what it saw is the reason."""
    target = Engine()
    route, _ = stopped_route(Engine(inspected()), target)

    with pytest.raises(ActionError, match="shop_files is not there"):
        CreateTarget(route, mounts_there=lambda: failed("wf001: volume shop_files is not there")).do({})

    assert target.containers == []
    assert target.made_networks == []


@pytest.mark.parametrize(
    ("there", "shared", "reason"),
    [
        (replace(EXPORT, kind="missing"), ("/data",), "is not there"),
        (replace(DISK, names=frozenset()), ("/data",), "is ext4 /dev/sda1/mnt/nas/shop, nfs4 nas:/shop on wf005"),
        (replace(DISK, names=frozenset()), (), "is empty, holds 2 entries on wf005"),
        (replace(DISK, names=frozenset({"new"})), (), ""),
        (replace(EXPORT, names=frozenset()), ("/data",), "is empty"),
        (EXPORT, ("/data",), ""),
    ],
)
def test_a_mount_that_is_gone_when_the_target_is_started_is_found(there: Place, shared: Any, reason: str) -> None:
    """The host was started again without its share, or without the disk to which the data was copied."""
    answer = judge_filled(HOSTS, (NAS,), ((EXPORT,), (there,)), shared)

    assert answer.passed is not bool(reason)
    assert reason in answer.text


def test_start_target_starts_nothing_on_a_mount_that_is_gone() -> None:
    """The engine would make an empty folder, and a service without a fingerprint would pass on it."""
    target = Engine()
    route, _ = stopped_route(Engine(inspected()), target)
    CreateTarget(route).do({})

    with pytest.raises(ActionError, match="is empty"):
        StartTarget(route, 10, mounts_filled=lambda: failed("wf001: bind /mnt/nas/shop is empty")).do({})

    assert "start" not in target.calls


class ThisMachine(FakeHost):
    """A host on which the script really runs."""

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Run it here."""
        ended = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout_s, check=False)
        return CommandResult(tuple(argv), ended.returncode, ended.stdout, ended.stderr, 0.0)


def test_the_script_lists_what_lies_where(tmp_path: Path, local_program: None) -> None:
    """Kinds, names, emptiness and file systems as a shell sees them; blanks and links in the path are no matter."""
    full, empty = tmp_path / "a full one", tmp_path / "empty"
    full.mkdir()
    empty.mkdir()
    (full / "one").write_text("x", encoding="utf-8")
    (tmp_path / "link").symlink_to(full)
    paths = [str(path) for path in (full, empty, full / "one", tmp_path / "nothing", tmp_path / "link")]

    seen = read_places(
        ThisMachine("wf005"),
        [MountFacts("bind", path, "/data", read_only=False) for path in [*paths, "/proc", "/dev/null"]],
    )

    assert [place.kind for place in seen] == [
        "directory",
        "directory",
        "file",
        "missing",
        "directory",
        "directory",
        "other",
    ]
    assert [place.names for place in seen[:2]] == [{"one"}, frozenset()]
    assert seen[0].identity == seen[4].identity
    assert seen[5].file_system == "proc"


def test_an_engine_that_does_not_answer_is_no_missing_volume(
    tmp_path: Path, local_program: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Could not look is not: it is not there."""
    docker = tmp_path / "docker"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    mounts = [MountFacts("volume", "data", "/data", read_only=False)]
    for said, missing in (("Error: No such volume: data", True), ("Cannot connect to the Docker daemon", False)):
        docker.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n", encoding="utf-8")
        docker.chmod(0o755)
        if missing:
            assert read_places(ThisMachine("wf001"), mounts)[0].kind == "missing"
        else:
            with pytest.raises(NotObservedError, match="Cannot connect"):
                read_places(ThisMachine("wf001"), mounts)
