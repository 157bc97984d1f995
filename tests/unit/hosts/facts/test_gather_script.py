"""The script of the one trip, run here by a real shell: the engine is a program of this test."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from hosts.facts.gather import SCRIPT
from hosts.facts.model import HostFacts
from hosts.facts.parse import parse_facts, parse_sections

MARK: Final = "==here=="
DOCKER: Final = """#!/bin/sh
echo "$*" >>"$ASKED"
case "$1 $2" in
"version --format") [ -z "$SILENT" ] || { echo "Cannot connect" >&2; exit 1; };
  echo '{"Server":{"Version":"28.1.0"}}' ;;
"info --format")
  printf %s '{"ID":"engine","DockerRootDir":"/var/lib/docker","CgroupVersion":"2",'
  echo '"SecurityOptions":["name=seccomp,profile=builtin"]}' ;;
"ps -aq") echo 1 ;;
"images -q"|"network ls") ;;
"volume ls") printf 'one\\ntwo\\n' ;;
"inspect --size=false") cat "$ANSWERS/containers" ;;
"volume inspect") cat "$ANSWERS/volumes" ;;
esac
"""


def inspected(tmp_path: Path) -> list[dict[str, Any]]:
    """Return a container of this very process, with a volume and a bind mount."""
    mounts = [
        {"Type": "volume", "Name": "one", "Source": str(tmp_path / "one"), "Destination": "/data", "RW": True},
        {"Type": "bind", "Source": str(tmp_path / 'odd "& name'), "Destination": "/etc/odd", "RW": False},
    ]
    state = {"Status": "running", "Pid": os.getpid(), "ExitCode": 0}
    config = {"Image": "redis:8", "Labels": None, "Env": []}
    return [
        {
            "Id": "a" * 64,
            "State": state,
            "Image": "sha256:1",
            "Name": "/redis",
            "Mounts": mounts,
            "Config": config,
            "HostConfig": {},
        }
    ]


@dataclass(frozen=True)
class Trip:
    """One trip on this machine: what was printed, the facts, and how often the engine was asked."""

    folder: Path
    text: str
    facts: HostFacts
    asked: int


def go(folder: Path, **given: str) -> Trip:
    """Make the trip with an engine of our own."""
    for name in ("bin", "one", 'odd "& name', "temporary"):
        (folder / name).mkdir()
    (folder / "bin" / "docker").write_text(DOCKER, encoding="utf-8")
    (folder / "bin" / "docker").chmod(0o755)
    (folder / "one" / "file").write_bytes(b"x" * 5000)
    volumes = [
        {"Name": name, "Driver": "local", "Mountpoint": str(folder / name), "Labels": None, "Options": None}
        for name in ("one", "two")
    ]
    (folder / "volumes").write_text(json.dumps(volumes, indent=4), encoding="utf-8")
    (folder / "containers").write_text(json.dumps(inspected(folder), indent=4), encoding="utf-8")
    own = {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "ANSWERS": str(folder),
        "ASKED": str(folder / "asked"),
        "TMPDIR": str(folder / "temporary"),
    }
    answer = subprocess.run(
        ["sh", "-s", "--", MARK, "10"],
        input=SCRIPT,
        capture_output=True,
        check=True,
        env={**os.environ, **own, **given},
    )
    text = answer.stdout.decode()
    facts = parse_facts("here", text, MARK, gathered_at=datetime.now(UTC), our_clock=(0.0, 0.0))
    return Trip(folder, text, facts, (folder / "asked").read_text(encoding="utf-8").count("\n"))


@pytest.fixture(scope="module")
def trip() -> Iterator[Trip]:
    """Make one trip for all that only look; below /tmp, because what lies below /dev is never measured."""
    with TemporaryDirectory(dir="/tmp") as folder:
        yield go(Path(folder))


def test_the_engine_is_asked_once_for_each_kind(trip: Trip) -> None:
    """However many volumes and containers there are: version, info, and at most two questions for each of
    four lists.
    """
    assert trip.asked == 8  # no image and no network to inspect
    assert [container.name for container in trip.facts.containers] == ["redis"]


def test_sizes_and_owners_are_those_of_the_paths(trip: Trip) -> None:
    """A volume, a bind mount whose name JSON has to quote; what is not there has no size."""
    one, two = trip.facts.volumes

    assert one.size_bytes is not None
    assert one.size_bytes > 5000
    assert two.size_bytes is None
    assert trip.facts.bind_size(str(trip.folder / 'odd "& name')) is not None
    assert trip.facts.around.owners[one.mountpoint] == (os.getuid(), os.getgid())


def test_this_process_stands_for_a_containers(trip: Trip) -> None:
    """Its limit of open files is read by its process number."""
    assert os.getpid() in trip.facts.around.open_files


def test_every_section_is_printed_once(trip: Trip) -> None:
    """All of them, in order, whatever ran at the same time; none has another's words."""
    sections = parse_sections(trip.text, MARK)

    assert (next(iter(sections)), list(sections)[-1]) == ("clock_first", "clock_last")
    assert len(sections) == trip.text.count(f"{MARK} begin ") == 32
    assert "not asked" not in trip.facts.around.errors.values()


def test_nothing_is_left_behind(trip: Trip) -> None:
    """The folder in which answers wait for their turn is removed."""
    assert not list((trip.folder / "temporary").iterdir())


def test_a_silent_engine_leaves_the_rest_known(tmp_path: Path, local_program: None) -> None:
    """Disks and sockets are reported; what belongs to containers is not known, with the reason."""
    trip = go(tmp_path, SILENT="yes")

    assert (trip.asked, trip.facts.docker_error, bool(trip.facts.file_systems)) == (1, "Cannot connect", True)
    assert {name for name, reason in trip.facts.around.errors.items() if reason == "not asked"} == {
        "owners",
        "namespaces",
        "limits",
        "usage",
        "mentions",
        "prunes",
        "units",
    }
