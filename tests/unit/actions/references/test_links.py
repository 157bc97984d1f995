"""What a container puts in place of a file that is rewritten leads to no other file of its host."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from actions.references.file import READ, WRITE

OLD, NEW = b"upstream: db:5432\n", b"upstream: 192.0.2.12:5432\n"
NO_FILE = 5


def ran(script: str, *arguments: object, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run one of the scripts as a host does."""
    return subprocess.run(
        ["sh", "-c", script, "write", *map(str, arguments)], input=given, capture_output=True, check=False
    )


def written(path: Path, folder: Path, root: Path | str = "") -> subprocess.CompletedProcess[bytes]:
    """Rewrite a file from the old to the new text."""
    digests = [hashlib.sha256(text).hexdigest() for text in (OLD, NEW)]
    return ran(WRITE, path, digests[0], folder / "kept" / "one", digests[1], *([root] if root else []), given=NEW)


@pytest.fixture
def volume(tmp_path: Path, local_program: None) -> Path:
    """Return a mount of a container, whose own path leads through a link of the host's administrator."""
    (tmp_path / "disk" / "volume").mkdir(parents=True)
    (tmp_path / "srv").symlink_to(tmp_path / "disk")
    (tmp_path / "root-only").write_bytes(OLD)
    (tmp_path / "srv" / "volume" / "app.yml").write_bytes(OLD)
    return tmp_path / "srv" / "volume"


def test_a_file_on_the_mount_is_rewritten_in_place(volume: Path, tmp_path: Path) -> None:
    """Links above the mount are the host's own; inode and mode of the file stay."""
    file = volume / "app.yml"
    file.chmod(0o604)
    before = file.stat()
    assert written(file, tmp_path, volume).returncode == 0
    assert file.read_bytes() == NEW
    assert (file.stat().st_ino, file.stat().st_mode) == (before.st_ino, before.st_mode)
    assert (tmp_path / "kept" / "one").read_bytes() == OLD
    assert ran(READ, file, 1000, volume).stdout == NEW


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_link_below_the_mount_is_neither_read_nor_written(volume: Path, tmp_path: Path, what: str) -> None:
    """Whether it is the file or a directory above it: it would lead to what only the host's root may read."""
    if what == "file":
        path = volume / "linked.yml"
        path.symlink_to(tmp_path / "root-only")
    else:
        (volume / "conf").symlink_to(tmp_path)
        path = volume / "conf" / "root-only"
    assert written(path, tmp_path, volume).returncode == NO_FILE
    assert (tmp_path / "root-only").read_bytes() == OLD
    read = ran(READ, path, 1000, volume)
    assert (read.returncode, read.stdout) == (NO_FILE, b"")


def test_a_container_that_swaps_the_file_for_a_link_reaches_nothing(volume: Path, tmp_path: Path) -> None:
    """It flips all the time between the two: what was opened is what is looked at, and what is written."""
    file, victim = volume / "app.yml", tmp_path / "root-only"
    (tmp_path / "old").write_bytes(OLD)
    flip = 'p=$1; while :; do cp -- "$3" "$p.a"; mv -f -- "$p.a" "$p"; ln -s -- "$2" "$p.b"; mv -f -- "$p.b" "$p"; done'
    flipping = subprocess.Popen(["sh", "-c", flip, "flip", file, victim, tmp_path / "old"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(40):
            written(file, tmp_path, volume)
            assert victim.read_bytes() == OLD
    finally:
        flipping.kill()
        flipping.wait()


def test_a_file_of_the_host_is_named_by_its_own_path(volume: Path, tmp_path: Path) -> None:
    """Without a mount no link is followed at all; the message names the file that it is."""
    answer = written(volume / "app.yml", tmp_path)
    assert answer.returncode == NO_FILE
    assert os.fsencode(tmp_path / "disk" / "volume" / "app.yml") in answer.stderr
    assert written(tmp_path / "disk" / "volume" / "app.yml", tmp_path).returncode == 0
