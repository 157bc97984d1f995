"""A manifest names everything that a place holds, and the comparison finds every single difference."""

from __future__ import annotations

import gzip
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from actions.copy.verification import fastest_for_both
from engine.errors import NotObservedError
from hosts.manifest import program
from hosts.manifest.manifest import Manifest, compare_manifests, raw_path
from tests.fakes.file_trees import END, calm, compared, entries, fill, manifest

WEIRD: Final = (
    b"a b",
    b"new\nline",
    b"back\\slash",
    b"\\x41",
    b"\xff\xfe",
    b"\xc3\xa4",
    b'quo"te',
    b"\xe2\x80\xae",
    b"-n",
    b"x.",
    b"x!",
    b"x",
    b"x\xff",
    b"\x7f",
)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Return two equal trees."""
    return fill(tmp_path / "one"), fill(tmp_path / "other")


def test_every_kind_of_entry_is_listed(tmp_path: Path) -> None:
    """Files, folders, links, pipes and sockets each have a line; what has content has a digest."""
    root = fill(tmp_path / "tree")
    os.mkfifo(root / "pipe")
    os.mknod(root / "sock", stat.S_IFSOCK | 0o600)

    found = entries(root)

    assert {path: entry["type"] for path, entry in found.items()} == {
        ".": "directory", "file": "file", "folder": "directory", "folder/inner": "file", "link": "symlink",
        "pair-a": "file", "pair-b": "file", "pipe": "fifo", "sock": "socket",
    }  # fmt: skip
    assert found["link"]["target"] == "folder/inner"
    assert found["file"]["content"] == "sha256:ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    assert (found["pair-a"]["linked_to"], found["pair-b"]["linked_to"]) == ("pair-a", "pair-a")
    assert "content" not in found["pair-b"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_listed_with_its_number(tmp_path: Path) -> None:
    """/dev/null is 1:3 on both sides or it differs."""
    os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))

    assert entries(tmp_path)["null"]["type"] == "character device"
    assert entries(tmp_path)["null"]["device"] == os.makedev(1, 3)


def test_a_hard_link_has_the_digest_of_its_file(tmp_path: Path) -> None:
    """Each name of a file is a file to whoever asks for digests."""
    files = dict(manifest(fill(tmp_path / "tree")).files())

    assert set(files) == {"file", "folder/inner", "pair-a", "pair-b"}
    assert files["pair-a"] == files["pair-b"]


def test_any_name_survives_the_way_through_text(tmp_path: Path) -> None:
    """Names are bytes: spaces, line breaks, backslashes and what is no UTF-8 come back as they were."""
    for name in WEIRD:
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))).touch()  # noqa: PTH118 bytes

    names = [raw_path(path) for path in entries(tmp_path)]

    assert sorted(names) == sorted([b".", *WEIRD])
    assert all(line.isascii() for line in manifest(tmp_path).lines.splitlines())


def test_a_single_file_has_a_manifest(tmp_path: Path) -> None:
    """A bind mount may be one file."""
    file = tmp_path / "redis.conf"
    file.write_bytes(b"save 60 1\n")

    assert list(entries(file)) == ["."]
    assert entries(file)["."]["type"] == "file"
    assert not compared(file, file)


def test_a_sparse_file_is_hashed_with_its_holes(tmp_path: Path) -> None:
    """A hole and written zeros are the same content."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    with (tmp_path / "one" / "sparse").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
    (tmp_path / "other" / "sparse").write_bytes(bytes(1 << 20) + b"end")

    assert not compared(calm(tmp_path / "one"), calm(tmp_path / "other"))


def _xattr(path: Path) -> None:
    try:
        os.setxattr(path, "user.longshore", b"1")
    except OSError as error:  # pragma: no cover
        pytest.skip(f"this file system has no extended attributes: {error}")


DIFFERENCES: Final[dict[str, tuple[Callable[[Path], object], str]]] = {
    "content": (lambda root: (root / "file").write_bytes(b"CONTENT"), "file: content differs"),
    "size": (lambda root: (root / "file").write_bytes(b"longer content"), "file: size 7 → 14"),
    "mode": (lambda root: (root / "file").chmod(0o4711), "file: mode 0644 → 4711"),
    "mode of the place": (lambda root: root.chmod(0o700), ".: mode 0755 → 0700"),
    "attribute": (lambda root: _xattr(root / "file"), "file: extended attributes differ"),
    "missing": (lambda root: (root / "folder" / "inner").unlink(), "folder/inner: missing on target"),
    "extra": (lambda root: (root / "folder" / "zzz").touch(), "folder/zzz: extra on target"),
    "target of a link": (
        lambda root: ((root / "link").unlink(), (root / "link").symlink_to("file")),
        "link: target folder/inner → file",
    ),
    "type": (lambda root: ((root / "link").unlink(), (root / "link").write_bytes(b"inner")), "link: symlink → file"),
    "file into folder": (lambda root: ((root / "file").unlink(), (root / "file").mkdir()), "file: file → directory"),
    "last of the walk": (lambda root: (root / "zzz").touch(), "zzz: extra on target"),
    "first of the walk": (lambda root: (root / "!").touch(), "!: extra on target"),
}


@pytest.mark.parametrize("kind", list(DIFFERENCES))
def test_each_difference_is_named(two: tuple[Path, Path], kind: str) -> None:
    """One difference: one line, with the path and what differs, and the denominator."""
    change, line = DIFFERENCES[kind]
    one, other = two
    change(other)
    calm(other)

    drift = compared(one, other)

    assert drift.differences == (line,)
    assert drift.count == 1
    assert drift.compared in {7, 8}


def test_a_time_is_compared_to_the_nanosecond(two: tuple[Path, Path]) -> None:
    """Programs that judge by times (make, caches, Maildir) see no difference."""
    one, other = two
    os.utime(other / "file", ns=(10**18, 10**18 + 1))

    assert compared(one, other).differences == (f"file: mtime {10**18} → {10**18 + 1} ns",)


def test_owners_are_compared(two: tuple[Path, Path]) -> None:
    """A wrong owner is what keeps a service from starting on its new host."""
    one, other = two
    uid, gid = (other / "file").stat().st_uid, (other / "file").stat().st_gid

    drift = compare_manifests(
        manifest(one), Manifest("wf001", "other", manifest(other).lines.replace(f'"uid":{uid}'.encode(), b'"uid":999'))
    )

    assert drift.count == 7
    assert f"file: owner {uid}:{gid} → 999:{gid}" in drift.differences


def test_a_hard_link_turned_into_two_files_is_found(two: tuple[Path, Path]) -> None:
    """Rsync without -H copies twice: the size on disk doubles and the next write reaches only one of them."""
    one, other = two
    (other / "pair-b").unlink()
    (other / "pair-b").write_bytes(b"shared")
    calm(other)

    drift = compared(one, other)

    assert drift.differences == ("pair-a: hard link to pair-a → nothing", "pair-b: hard link to pair-a → nothing")


def test_changed_content_behind_a_hard_link_is_found(two: tuple[Path, Path]) -> None:
    """The content is hashed once per group and counts for it."""
    one, other = two
    (other / "pair-b").write_bytes(b"SHARED")
    calm(other)

    assert compared(one, other).differences == ("pair-a: content differs",)


def test_what_is_allowed_to_differ_is_left_out(two: tuple[Path, Path]) -> None:
    """Only the named paths, and they are not counted as compared."""
    one, other = two
    (other / "file").write_bytes(b"other")
    (other / "folder" / "inner").write_bytes(b"other")

    drift = compared(one, calm(other), ignore=("file",))

    assert (drift.differences, drift.compared) == (("folder/inner: content differs",), 6)


def test_the_count_continues_when_lines_do_not(tmp_path: Path) -> None:
    """Twenty lines are enough for a person; the number is exact."""
    one, other = tmp_path / "one", tmp_path / "other"
    for root in (one, other):
        root.mkdir()
    for number in range(30):
        (one / f"{number:02}").touch()

    drift = compared(calm(one), calm(other))

    assert (len(drift.differences), drift.count, drift.compared) == (20, 30, 31)


@pytest.mark.parametrize("lines", [END.replace(b"7", b"0"), b""])
@pytest.mark.parametrize("side", ["source", "target"])
def test_an_empty_side_is_refused(two: tuple[Path, Path], lines: bytes, side: str) -> None:
    """Nothing compared is not a pass, whichever side said nothing."""
    whole, nothing = manifest(two[0]), Manifest("wf001", "volume x", lines)

    with pytest.raises(NotObservedError, match="wf001: the manifest of volume x"):
        compare_manifests(*((nothing, whole) if side == "source" else (whole, nothing)))


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_side_that_was_cut_off_is_refused(two: tuple[Path, Path], side: str) -> None:
    """A connection that broke leaves equal lines on both sides: only the last line shows that it was all."""
    whole = manifest(two[0])
    cut = Manifest("wf001", "volume x", b"".join(whole.lines.splitlines(keepends=True)[:-1]))

    with pytest.raises(NotObservedError, match="wf001: the manifest of volume x ends in the middle"):
        compare_manifests(*((cut, whole) if side == "source" else (whole, cut)))


def test_both_sides_cut_at_the_same_place_are_refused(two: tuple[Path, Path]) -> None:
    """Two halves that are equal prove nothing about the rest."""
    lines = b"".join(manifest(two[0]).lines.splitlines(keepends=True)[:3])

    with pytest.raises(NotObservedError, match="ends in the middle"):
        compare_manifests(Manifest("wf005", "x", lines), Manifest("wf001", "x", lines))


def test_a_line_cut_in_its_middle_could_not_be_read(two: tuple[Path, Path]) -> None:
    """Half a line is no answer, and no crash either."""
    whole = manifest(two[0])

    with pytest.raises(NotObservedError):
        compare_manifests(whole, Manifest("wf001", "x", whole.lines[:-30]))


@pytest.mark.parametrize("noise", [b"WARNING: no swap\n", b'{"path":"x"}\n', b'{"path":"x","type":\n'])
def test_a_line_that_is_no_entry_could_not_be_read(two: tuple[Path, Path], noise: bytes) -> None:
    """What a shell or Docker prints between the entries is on neither side a file."""
    whole = manifest(two[0])
    first, _, rest = whole.lines.partition(b"\n")
    noisy = Manifest("wf001", "volume x", first + b"\n" + noise + rest)

    with pytest.raises(NotObservedError, match="wf001: the manifest of volume x has "):
        compare_manifests(whole, noisy)


def test_a_packed_manifest_is_the_same(two: tuple[Path, Path]) -> None:
    """Packed or not, a side says the same; one that was cut or damaged on its way says nothing."""
    whole = manifest(two[0])
    packed = gzip.compress(whole.lines)

    assert compare_manifests(whole, Manifest("wf001", "x", packed)).compared == 7
    for broken in (packed[:-20], packed[:60] + b"\0\0\0\0" + packed[64:]):
        with pytest.raises(NotObservedError, match="wf001: the manifest of x"):
            compare_manifests(whole, Manifest("wf001", "x", broken))


def test_what_vanishes_while_it_is_read_is_named(two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, a folder's entry: each has a line; nothing is taken for equal because it vanished on both sides."""
    one, other = two
    whole = manifest(other, "wf001")
    stat_of, digest = os.lstat, program.digest
    monkeypatch.setattr(
        program, "digest", lambda kind, path: digest(kind, path + b"-gone" if path.endswith(b"/pair-a") else path)
    )
    monkeypatch.setattr(
        program.os, "lstat", lambda path: stat_of(path + b"-gone" if path.endswith(b"/inner") else path)
    )

    seen = manifest(one)
    drift = compare_manifests(seen, whole)

    assert drift.differences == (
        "folder/inner: vanished on source while it was read", "pair-a: vanished on source while it was read",
        "pair-b: hard link to pair-b → pair-a",
    )  # fmt: skip
    assert (
        compare_manifests(seen, seen).differences[0] == "folder/inner: vanished on source and target while it was read"
    )


def test_the_program_runs_alone(local_program: None, tmp_path: Path) -> None:
    """It is sent as text to a container without longshore: standard library only, last line says that it was all."""
    import subprocess  # noqa: PLC0415 this test's subject is a program

    root = fill(tmp_path / "tree")
    source = Path(str(program.__file__)).read_text(encoding="utf-8")
    answer = subprocess.run(
        [sys.executable, "-I", "-c", source, str(root)], capture_output=True, check=True, cwd=tmp_path
    )

    packed = subprocess.run(
        [sys.executable, "-I", "-c", source, str(root), "--gzip"], capture_output=True, check=True, cwd=tmp_path
    )

    assert answer.stdout.splitlines()[-1].startswith(b'{"end":true,"entries":7,"files":4,')
    assert gzip.decompress(packed.stdout) == answer.stdout
    assert not compare_manifests(manifest(root), Manifest("wf001", "tree", answer.stdout))


@pytest.mark.parametrize("name", WEIRD, ids=repr)
def test_the_walk_and_the_merge_have_one_order(tmp_path: Path, name: bytes) -> None:
    """Names that sort differently as text, as bytes and with their separators: one that is missing moves no other."""
    one, other = tmp_path / "one", tmp_path / "other"
    for root in (one, other):
        for folder in WEIRD:
            path = os.fsencode(root) + b"/" + folder
            os.makedirs(path)  # noqa: PTH103 bytes
            for inner in (b"a", b"\xff"):
                Path(os.fsdecode(path + b"/" + inner)).touch()
    assert not compared(calm(one), calm(other))
    Path(os.fsdecode(os.fsencode(other) + b"/" + name + b"/\xff")).unlink()

    drift = compared(one, calm(other))

    assert [raw_path(line) for line in drift.differences] == [name + b"/\xff: missing on target"]


def test_a_machine_without_libxxhash_offers_what_python_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both hosts must have what is chosen; where only one has the fastest, the other's best of the rest counts."""
    monkeypatch.setattr(program, "XXHASH", None)
    rest = program.speeds()
    assert set(rest) == {"sha256", "blake2b", "sha512"}
    assert fastest_for_both({**rest, program.XXH3: 1e6}, rest) in rest
