"""Whatever a volume holds travels: random trees of every kind of entry, changed between passes, are the same on both
sides each time.

Needs Docker and the toolbox, not the three hosts.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from actions.copy.rsync import IN_PLACE, RsyncOptions
from engine.constants import TOOLBOX_IMAGE
from hosts.manifest.manifest import Drift, Manifest, compare_manifests
from hosts.manifest.program import shown as shown_path
from hosts.manifest.reader import PROGRAM, PROGRAM_AT
from lab.settings import PREFIX
from tests.lab.at_hand import ROOT

NAME: Final = f"{PREFIX}-trees"
TREES: Final = (Path(__file__).parent / "tree_program.py").read_bytes()
OURS: Final = RsyncOptions().words()
PLAIN: Final = ["-a", "--delete"]
DOCS: Final = ROOT / "docs" / "moving.md"
KINDS: Final = ("file", "sparse file", "folder", "symlink", "hard link", "pipe", "socket", "device", "gone")
Entry = dict[str, Any]

NAMES = st.binary(min_size=1, max_size=5).map(
    lambda name: name.translate(bytes([*b"_", *range(1, 47), ord("_"), *range(48, 256)]))
)
PATHS = st.lists(NAMES.filter(lambda name: name not in {b".", b".."}), min_size=1, max_size=3).map(b"/".join)
OF_ACCESS_LIST: Final = "extended attributes differ"


def shown(path: str) -> str:
    """Return a path as a manifest shows it."""
    return shown_path(base64.b64decode(path))


ENTRIES = st.fixed_dictionaries(
    {
        "path": PATHS.map(lambda path: base64.b64encode(path).decode()),
        "kind": st.sampled_from(KINDS),
        "seed": st.integers(0, 10**6),
        "size": st.sampled_from([0, 1, 700, 4096, 70_000]),
        "uid": st.sampled_from([0, 33, 999, 65534, 4_000_000]),
        "gid": st.sampled_from([0, 33, 999, 65534, 4_000_000]),
        "mode": st.sampled_from([0o644, 0o600, 0o755, 0o4711, 0o2750, 0o1777, 0o000]),
        "mtime_ns": st.integers(10**17, 18 * 10**17),
        "attribute": st.sampled_from(["", "x", "y" * 900]),
        "access": st.sampled_from([0, 0, 1234]),
    }
)
MOST_STEPS: Final = 3
STEPS = st.lists(st.lists(ENTRIES, min_size=1, max_size=8), min_size=1, max_size=MOST_STEPS)

pytestmark = [pytest.mark.lab, pytest.mark.full]


@pytest.fixture(scope="module")
def toolbox() -> Iterator[None]:
    """Start a toolbox as a move's ends are: with the right to see every attribute."""
    subprocess.run(["docker", "rm", "--force", "--volumes", NAME], capture_output=True, check=False)
    start = [
        "docker",
        "run",
        "--detach",
        "--rm",
        "--name",
        NAME,
        "--network",
        "none",
        "--cap-add",
        "SYS_ADMIN",
        "--volume",
        "/trees",
    ]
    subprocess.run([*start, TOOLBOX_IMAGE, "sleep", "3600"], capture_output=True, check=True)
    for path, program in ((PROGRAM_AT, PROGRAM), ("/tmp/trees.py", TREES)):
        subprocess.run(["docker", "exec", "-i", NAME, "sh", "-c", f"cat > {path}"], input=program, check=True)
    yield
    subprocess.run(["docker", "rm", "--force", "--volumes", NAME], capture_output=True, check=False)


def copied(steps: list[list[Entry]], rsync: list[str]) -> list[tuple[Drift, list[int]]]:
    """Grow and copy step by step; return after each what differs, and the disk blocks of both sides."""
    where_linked = [word for word in rsync if word != IN_PLACE]
    given = json.dumps({"steps": steps, "rsync": rsync, "where_linked": where_linked}).encode()
    answer = subprocess.run(
        ["docker", "exec", "-i", NAME, "python3", "/tmp/trees.py"],
        input=given,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr.decode()[-2000:]
    parts = re.split(rb'(?<=\n)(\{"blocks".*\n)', answer.stdout)
    found = []
    for manifests, blocks in zip(parts[::2], parts[1::2], strict=False):
        source, end, target = manifests.partition(manifests[manifests.index(b'{"end"') :].splitlines(keepends=True)[0])
        drift = compare_manifests(Manifest("source", "tree", source + end), Manifest("target", "tree", target))
        found.append((drift, json.loads(blocks)["blocks"]))
    return found


def entry(kind: str, path: bytes = b"entry", **more: Any) -> Entry:
    """Return a plain entry of one kind."""
    plain = {"seed": 0, "size": 5, "uid": 0, "gid": 0, "mode": 0o644, "mtime_ns": 10**18, "attribute": "", "access": 0}
    return {**plain, "path": base64.b64encode(path).decode(), "kind": kind, **more}


def always_the_same(steps: list[list[Entry]]) -> None:
    """Assert that both sides are equal after each step.

    Each step has times of its own: what was changed and says the same size and time is the proof's to find, not a
    pass's. A step that makes folders sticky is followed by a second pass: see
    test_a_sticky_folder_with_an_access_list_needs_the_next_pass.
    """
    timed = [
        [{**one, "mtime_ns": one["mtime_ns"] // MOST_STEPS * MOST_STEPS + number} for one in step]
        for number, step in enumerate(steps)
    ]
    sticky = [
        {shown(one["path"]) for one in step if one["kind"] == "folder" and one["mode"] & 0o1000} for step in timed
    ]
    seen = copied(
        [part for step, folders in zip(timed, sticky, strict=True) for part in ([step, []] if folders else [step])],
        OURS,
    )
    for folders in sticky:
        if folders:
            first = seen.pop(0)[0]
            assert {
                line for line in first.differences if line not in {f"{path}: {OF_ACCESS_LIST}" for path in folders}
            } == set()
        drift = seen.pop(0)[0]
        assert drift.differences == ()
        assert drift.compared
    assert not seen


NO_SHRINKING: Final = (Phase.explicit, Phase.generate)
"""Each example costs a second: a failing one is shown as it is."""
SHORT = settings(max_examples=8, deadline=None, phases=NO_SHRINKING, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=250, deadline=None, phases=NO_SHRINKING, suppress_health_check=list(HealthCheck))


@SHORT
@given(steps=STEPS)
def test_random_trees_travel_whole(toolbox: None, steps: list[list[Entry]]) -> None:
    """A few random trees, each changed at random between passes."""
    always_the_same(steps)


@pytest.mark.full
@LONG
@given(steps=STEPS)
def test_many_random_trees_travel_whole(toolbox: None, steps: list[list[Entry]]) -> None:
    """Many of them."""
    always_the_same(steps)


ONE_OF_EACH: Final[dict[str, list[Entry]]] = {
    "owner and group by number": [entry("file", uid=4_000_000, gid=4_000_001)],
    "mode with set-user-id and sticky bits": [entry("file", mode=0o4711), entry("folder", b"folder", mode=0o1777)],
    "modification time in nanoseconds": [entry("file", mtime_ns=1_234_567_890_123_456_789)],
    "changed twice within one second": [entry("file", seed=1, mtime_ns=10**18 + 500_000_000)],
    "extended attributes": [entry("file", attribute="x")],
    "access control lists": [entry("file", access=1234)],
    "hard links": [entry("file"), entry("hard link", b"second name")],
    "symbolic links, also into nowhere": [entry("symlink", seed=1)],
    "sparse files": [entry("sparse file")],
    "named pipes": [entry("pipe")],
    "sockets": [entry("socket")],
    "device files": [entry("device")],
    "empty folders": [entry("folder")],
    "names that are not UTF-8": [entry("file", b"\xff\xfe")],
    "other content, same size and time": [entry("file", seed=1)],
}


def travels(kind: str, entries: list[Entry], rsync: list[str]) -> bool:
    """Return whether a kind is the same after a pass; of a sparse file also whether it is as small."""
    steps = [[entry("file", seed=0)], entries] if kind.startswith(("other content", "changed twice")) else [entries]
    drift, (source, target) = copied(steps, rsync)[-1]
    return not drift and (kind != "sparse files" or target <= 2 * source)


def table() -> str:
    """Return the table of the docs."""
    lines = ["| what a volume may hold | longshore | `rsync -a` |", "| --- | --- | --- |"]
    for kind, entries in ONE_OF_EACH.items():
        ours, plain = (travels(kind, entries, words) for words in (OURS, PLAIN))
        repaired = "yes, by the proof" if kind.startswith("other content") and not ours else "yes" if ours else "no"
        lines.append(f"| {kind} | {repaired} | {'yes' if plain else '**no**'} |")
    return "\n".join(lines)


def test_what_plain_rsync_loses_is_in_the_docs(toolbox: None) -> None:
    """The table says what is seen here; longshore loses nothing: what a pass can't see, the proof finds and copies once
    more.
    """
    seen = table()
    assert "| no |" not in seen
    assert "**no**" in seen, "plain rsync -a loses nothing: then this table is not needed"
    assert seen in DOCS.read_text(encoding="utf-8"), seen


def test_the_proof_finds_what_a_pass_can_not_see_and_mends_it(toolbox: None) -> None:
    """Other content of the same size and time: the comparison names it, a pass by checksum copies it."""
    steps = [[entry("file", seed=0)], [entry("file", seed=1)]]
    assert copied(steps, OURS)[-1][0].differences == ("entry: content differs",)
    assert not copied(steps, RsyncOptions(checksum=True).words())[-1][0]


def test_a_sticky_folder_with_an_access_list_needs_the_next_pass(toolbox: None) -> None:
    """Rsync first sets such a list without its group's rights (acls.c, change_sacl_perms: the sticky bit is not there
    yet).

    The next pass, which a move always makes, and the mending of the proof put it right.
    """
    folder = entry("folder", mode=0o1777, access=1234)
    first, second = (drift for drift, _ in copied([[folder], []], OURS))
    assert first.differences == (f"entry: {OF_ACCESS_LIST}",)
    assert second.differences == ()


def test_the_fastest_hash_is_there_and_computes_what_it_should(toolbox: None) -> None:
    """The toolbox has libxxhash; of three bytes, of a megabyte and one more (in pieces) it computes what xxhsum -H2
    prints.
    """
    make = "mkdir -p /sums; printf abc > /sums/a; head -c 1048577 /dev/zero > /sums/b; : > /sums/c; "
    output = subprocess.run(
        [
            "docker",
            "exec",
            NAME,
            "sh",
            "-c",
            (f"{make} python3 {PROGRAM_AT} --speeds; python3 {PROGRAM_AT} /sums --hash xxh3_128"),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "xxh3_128=" in output
    assert re.findall(r"xxh3_128:(\w+)", output) == [
        "06b05ab6733a618578af5f94892f3950", "2efe05ef2a9effe8328774f648f97d4c", "99aa06d3014798d86001c324468d497f",
    ]  # fmt: skip


FLIPPED: Final = """
set -eu
rm -rf /flipped; mkdir -p /flipped/source /flipped/target
for side in source target; do truncate -s 4G "/flipped/$side/file"; done
printf x | dd of=/flipped/target/file bs=1 seek=3333333333 conv=notrunc status=none
for side in source target; do touch -d @1000000000 "/flipped/$side/file" "/flipped/$side"; done
"""


@pytest.mark.parametrize("algorithm", ["xxh3_128", "sha256"])
def test_one_flipped_byte_in_4_gib_is_found(toolbox: None, algorithm: str) -> None:
    """Size and time are equal; the content is read, whichever hash both hosts have."""
    inside = ["docker", "exec", NAME]
    subprocess.run([*inside, "sh", "-c", FLIPPED], check=True)
    sides = []
    for side in ("source", "target"):
        words = [*inside, "python3", PROGRAM_AT, f"/flipped/{side}", "--hash", algorithm]
        sides.append(Manifest(side, "file of 4 GiB", subprocess.run(words, capture_output=True, check=True).stdout))
    drift = compare_manifests(*sides)
    assert (drift.differences, drift.read_bytes) == (("file: content differs",), 4 << 30)


def test_a_name_that_leaves_its_group_keeps_its_content(toolbox: None) -> None:
    """One of two names becomes another file between passes: written in its place, it would write over the name that
    stayed.
    """
    before = [entry("file", b"current", size=70_000), entry("hard link", b"kept")]
    after = [entry("file", b"current", seed=7, size=700), entry("hard link", b"again")]
    always_the_same([before, after])
