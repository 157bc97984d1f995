"""Checks of where state lies: what a move would leave behind is FAILED by name."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from checks.state import (
    Change,
    judge_anonymous_volumes,
    judge_mount_rules,
    judge_shared_volumes,
    judge_state_paths,
    judge_volume_drivers,
    judge_writable_layer,
    parse_changes,
    read_changes,
)
from engine.errors import CouldNotLookError
from engine.model import CommandResult, MountFacts
from engine.verdict import Verdict
from tests.unit.making_facts import FakeHost, make_container, make_host, make_volume

COPY = {"/data": "copy"}


def test_diff_is_parsed() -> None:
    """Kinds and paths, spaces included."""
    assert parse_changes("C /var\nA /var/a b\n\nD /x\n") == (
        Change("C", "/var"),
        Change("A", "/var/a b"),
        Change("D", "/x"),
    )


def test_diff_that_fails_is_no_answer() -> None:
    """A host whose shell fails tells of no container."""
    with pytest.raises(CouldNotLookError, match="ssh wf005 docker diff redis"):
        read_changes(FakeHost("wf005", {"sh -s": (1, "", "no shell")}), ["redis"])  # type: ignore[arg-type]


def test_all_containers_are_asked_in_one_command(tmp_path: Path, local_program: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own answer; one that is gone has its reason, and spoils nobody else's."""
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\n[ "$2" != gone ] || { echo "No such container: gone" >&2; exit 1; }\necho "A /$2"\n', encoding="utf-8")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    class Here:
        name = "wf005"
        asked = 0

        def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
            self.asked += 1
            answer = subprocess.run(argv, input=stdin, capture_output=True, check=False, timeout=timeout_s)
            return CommandResult(tuple(argv), answer.returncode, answer.stdout, answer.stderr, 0.0)

    here = Here()
    changes = read_changes(here, ["redis", "gone", "n8n", "redis"])  # type: ignore[arg-type]

    assert here.asked == 1
    assert (changes["redis"], changes["n8n"]) == ((Change("A", "/redis"),), (Change("A", "/n8n"),))
    assert "docker diff gone failed: No such container: gone" in str(changes["gone"])
    assert read_changes(here, []) == {}  # type: ignore[arg-type]


def test_state_outside_mounts_fails_naming_it() -> None:
    """A database in the writable layer dies with the move."""
    changes = parse_changes("C /var\nC /var/lib\nA /var/lib/app.db\nC /run\nA /run/app.pid\n")
    answer = judge_writable_layer(make_container(), changes, ("/run/*",))
    assert answer.verdict is Verdict.FAILED
    assert answer.details == ("A /var/lib/app.db",)


def test_noise_and_directories_above_mounts_pass() -> None:
    """The mount point's own directory is not state."""
    changes = parse_changes("A /data\nC /run\nA /run/app.pid\n")
    assert judge_writable_layer(make_container(), changes, ("/run/*",)).passed


def test_changed_leaf_directory_counts() -> None:
    """A changed directory without a changed child may have lost a file."""
    assert judge_writable_layer(make_container(), parse_changes("C /etc\n"), ()).verdict is Verdict.FAILED


def test_written_reason_lets_it_pass_visibly() -> None:
    """What is left behind is listed with its reason."""
    answer = judge_writable_layer(make_container(), parse_changes("A /tmp/x\n"), (), "ignore: scratch files")
    assert answer.passed
    assert "scratch files" in answer.text
    assert answer.details == ("A /tmp/x",)


def test_mount_without_rule_fails_and_so_does_a_rule_without_mount() -> None:
    """The inventory and the container must agree both ways."""
    assert judge_mount_rules(make_container(), COPY).passed
    assert "volume at /data" in judge_mount_rules(make_container(), {}).text
    assert "/gone" in judge_mount_rules(make_container(), {**COPY, "/gone": "copy"}).text
    assert '"keep"' in judge_mount_rules(make_container(), {"/data": "keep"}).text


def test_state_path_off_the_mounts_fails() -> None:
    """A path like the mount's, but beside it, is not on it."""
    assert judge_state_paths(make_container(), ("/data",)).passed
    assert judge_state_paths(make_container(), ("/data2",)).verdict is Verdict.FAILED


def test_anonymous_volume_needs_a_rule() -> None:
    """64 hexadecimal digits are no name."""
    anonymous = make_container(mounts=(MountFacts("volume", "a" * 64, "/data", read_only=False),))
    assert judge_anonymous_volumes(anonymous, {}).verdict is Verdict.FAILED
    assert judge_anonymous_volumes(anonymous, COPY).passed


def test_driver_options_and_plugins_are_refused() -> None:
    """NFS behind the local driver is not plain local."""
    nfs = make_host(volumes=(make_volume("redis_data", options={"type": "nfs"}),))
    plugin = make_host(volumes=(make_volume("redis_data", driver="rexray"),))
    plain = make_host(volumes=(make_volume("redis_data"),))
    assert "type" in judge_volume_drivers(nfs, make_container(), COPY).text
    assert "rexray" in judge_volume_drivers(plugin, make_container(), COPY).text
    assert judge_volume_drivers(plain, make_container(), COPY).passed


def test_volume_written_by_a_container_that_stays_fails() -> None:
    """The other would go on writing to the old one; a reader is no writer."""
    sharer = make_container(name="backup")
    reader = make_container(name="reader", mounts=(MountFacts("volume", "redis_data", "/d", read_only=True),))
    answer = judge_shared_volumes(make_host(containers=(make_container(), sharer)), make_container(), COPY)
    assert answer.verdict is Verdict.FAILED
    assert "backup" in answer.text
    assert judge_shared_volumes(make_host(containers=(make_container(), reader)), make_container(), COPY).passed
