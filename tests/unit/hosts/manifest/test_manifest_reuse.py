"""A digest of an earlier reading is taken again only for a file that is provably the same."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from hosts.manifest import program
from hosts.manifest.manifest import compare_manifests
from tests.fakes.file_trees import calm, compared, entries, fill, manifest


@pytest.fixture
def at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every file for old enough, on a file system that shows changes."""
    monkeypatch.setattr(program, "REST_NS", 0)
    monkeypatch.setattr(program, "tells_changes", lambda _root: True)


def read_twice(root: Path, memory: Path, between: Callable[[], object] = lambda: None) -> dict[str, int]:
    """Read a tree, change it, read it again with what was remembered, and return what the second reading says of
    itself.
    """
    manifest(root, remember=str(memory))
    between()
    again = manifest(root, known=str(memory))
    assert not compare_manifests(again, manifest(root))
    return again.said


def test_what_is_the_same_is_not_read_again(tmp_path: Path, at_rest: None) -> None:
    """All three files and the second name of one: nothing is read."""
    said = read_twice(fill(tmp_path / "tree"), tmp_path / "memory")

    assert (said["files"], said["reused"], said["read"]) == (4, 4, 0)


CHANGES: Final[dict[str, Callable[[Path], object]]] = {
    "other content, same size, old time": lambda file: (
        file.write_bytes(b"CONTENT"),
        os.utime(file, ns=(10**18, 10**18)),
    ),
    "another file under its name": lambda file: (
        (file.parent / "new").write_bytes(b"CONTENT"),
        (file.parent / "new").rename(file),
    ),
    "longer": lambda file: file.write_bytes(b"longer content"),
    "other mode": lambda file: file.chmod(0o600),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_what_may_have_changed_is_read_again(tmp_path: Path, at_rest: None, change: str) -> None:
    """Size and time can be put back by anybody; the change time and the inode can't."""
    root = fill(tmp_path / "tree")

    said = read_twice(root, tmp_path / "memory", lambda: CHANGES[change](root / "file"))

    assert said["files"] - said["reused"] == 1


def test_what_was_young_at_the_flush_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writes within one tick of the clock have one time: only 2 s of rest before the flush exclude that."""
    monkeypatch.setattr(program, "tells_changes", lambda _root: True)

    assert read_twice(fill(tmp_path / "tree"), tmp_path / "memory")["reused"] == 0


def test_a_file_system_that_does_not_show_changes_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On tmpfs a store through a memory map moves no time, ever."""
    monkeypatch.setattr(program, "REST_NS", 0)
    monkeypatch.setattr(program, "tells_changes", lambda _root: False)

    assert read_twice(fill(tmp_path / "tree"), tmp_path / "memory")["reused"] == 0


def test_the_kind_of_file_system_is_read_from_the_mounts(tmp_path: Path) -> None:
    """By the device that holds the place; one that is not listed does not show changes."""
    device = tmp_path.lstat().st_dev
    table = tmp_path / "mountinfo"
    for kind, expected in (("ext4", True), ("xfs", True), ("tmpfs", False), ("nfs4", False)):
        table.write_text(f"36 35 {os.major(device)}:{os.minor(device)} / /data rw shared:1 - {kind} /dev/vda rw\n")
        assert program.tells_changes(os.fsencode(tmp_path), table) is expected
    table.write_text("36 35 255:255 / /data rw - ext4 /dev/vda rw\n")
    assert program.tells_changes(os.fsencode(tmp_path), table) is False


def test_a_store_through_a_memory_map_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page was dirty before the reading, the store comes after it: without the flush no time would move."""
    if not program.tells_changes(os.fsencode(tmp_path)):
        pytest.skip("this folder's file system does not show changes: nothing is ever reused there")
    monkeypatch.setattr(program, "REST_NS", 0)
    root = tmp_path / "tree"
    root.mkdir()
    (root / "mapped").write_bytes(bytes(8192))
    with (root / "mapped").open("r+b") as file, mmap.mmap(file.fileno(), 8192) as page:
        page[0] = 1

        def store() -> None:
            page[0] = 2

        said = read_twice(root, tmp_path / "memory", store)

    assert said["reused"] == 0


def test_a_forgotten_memory_is_none(tmp_path: Path, at_rest: None) -> None:
    """A container that was started anew has no memory: everything is read."""
    again = manifest(fill(tmp_path / "tree"), known=str(tmp_path / "nothing"))

    assert list(again.files())
    assert again.said["reused"] == 0


def test_large_files_are_hashed_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_rest: None) -> None:
    """Several processes share one file; a flipped byte in any block is found, and the digest is remembered."""
    monkeypatch.setattr(program, "BLOCK", 1000)
    one, other = tmp_path / "one", tmp_path / "other"
    content = bytes(range(250)) * 13
    for root in (one, other):
        root.mkdir()
        (root / "large").write_bytes(content)
        os.link(root / "large", root / "second-name")
    assert entries(one)["large"]["content"].startswith("sha256-64m:")
    assert read_twice(one, tmp_path / "memory")["read"] == 0
    calm(one)
    for position in (0, 999, 1000, 3249):
        (other / "large").write_bytes(content[:position] + b"\xff" + content[position + 1 :])
        assert compared(one, calm(other)).differences == ("large: content differs",)


LEVELS: Final = {
    "metadata": [],
    "sampled": ["file: content differs"],
    "full": ["file: content differs", "large: content differs"],
}


@pytest.mark.parametrize("level", list(LEVELS))
def test_each_level_finds_what_it_reads(tmp_path: Path, level: str) -> None:
    """Metadata reads no content; samples are the whole of small files and three parts of large ones; full is all."""
    one, other = tmp_path / "one", tmp_path / "other"
    for root, small, large in ((one, b"content", b"\0"), (other, b"CONTENT", b"\1")):
        root.mkdir()
        (root / "file").write_bytes(small)
        (root / "large").write_bytes(bytes(100_000) + large + bytes(500_000))
        for path in (root / "file", root / "large", root):
            os.utime(path, ns=(10**18, 10**18))

    drift = compare_manifests(manifest(one, level=level), manifest(other, level=level))

    assert list(drift.differences) == LEVELS[level]
    assert drift.read_bytes == {"metadata": 0, "sampled": 7 + 3 * program.SAMPLE, "full": 600_008}[level]
