"""An archive from a source that is not trusted brings its one image to the target, and no tag."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import Any

import pytest

from actions.copy.ssh_channel import authorized_line
from actions.images.archive_check_program import NAMING, Refused, let_through
from actions.images.ship import let_through_line

CONFIG = b'{"rootfs": {}}'
ID = hashlib.sha256(CONFIG).hexdigest()
LAYER = b"layer"
LAYER_ID = hashlib.sha256(LAYER).hexdigest()


def saved(tags: Any = None, **other: Any) -> dict[str, bytes]:
    """Return the members of `docker save` of one image, as engines since 25 write them."""
    manifest = [{"Config": f"blobs/sha256/{ID}", "RepoTags": tags, "Layers": [f"blobs/sha256/{LAYER_ID}"]}]
    return {
        f"blobs/sha256/{ID}": CONFIG, f"blobs/sha256/{LAYER_ID}": LAYER, "manifest.json": json.dumps(manifest).encode(),
        "index.json": json.dumps({"manifests": [{"digest": "sha256:" + "d" * 64}]}).encode(), **other,
    }  # fmt: skip


def older(tags: Any = None) -> dict[str, bytes]:
    """Return the same as engines before 25 write it."""
    manifest = [{"Config": f"{ID}.json", "RepoTags": tags, "Layers": [f"{'e' * 64}/layer.tar"]}]
    return {
        f"{ID}.json": CONFIG,
        f"{'e' * 64}/layer.tar": LAYER,
        f"{'e' * 64}/VERSION": b"1.0",
        "manifest.json": json.dumps(manifest).encode(),
    }


def packed(*members: tuple[str, bytes]) -> io.BytesIO:
    """Return an archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    out.seek(0)
    return out


def passed_on(archive: io.BytesIO, expected: str = f"sha256:{ID}") -> tuple[list[str], str]:
    """Return the names of what is passed to the engine, and why the rest was refused."""
    sink, why = io.BytesIO(), ""
    try:
        let_through(expected, archive, sink)
    except Refused as refused:
        why = str(refused)
    sink.seek(0)
    with tarfile.open(fileobj=sink, mode="r|", ignore_zeros=False) as archive_out:
        return [member.name for member in archive_out], why


@pytest.mark.parametrize("members", [saved(), saved(tags=[]), older()])
def test_the_expected_image_goes_through_whole(members: dict[str, bytes]) -> None:
    """Its layers first; what names it last, once all of it has been seen."""
    names, why = passed_on(packed(*members.items()))
    assert not why
    assert sorted(names) == sorted(members)
    assert names[-1] in NAMING


@pytest.mark.parametrize(
    ("members", "why"),
    [
        (saved(tags=["longshore/toolbox:1"]), "gives a tag"),
        (older(tags=["longshore/toolbox:1"]), "gives a tag"),
        (saved(repositories=b'{"longshore/toolbox": {"1": "x"}}'), "gives a tag"),
        (
            saved(
                **{
                    "index.json": json.dumps(
                        {"manifests": [{"digest": "x", "annotations": {"io.containerd.image.name": "a:1"}}]}
                    ).encode()
                }
            ),
            "gives a name",
        ),
        (saved(**{"index.json": b'{"manifests": [{}, {}]}'}), "images"),
        (saved(**{"manifest.json": b"[]"}), "holds 0 images"),
        (saved(**{f"blobs/sha256/{ID}": b"{}"}), "other content than its name"),
        ({**older(), f"{ID}.json": b"{}"}, "not sha256"),
        (saved(**{"../../etc/cron.d/x": b"x"}), "does not belong"),
        (saved(**{"blobs/sha512/x": b"x"}), "does not belong"),
    ],
)
def test_anything_else_names_nothing_to_the_engine(members: dict[str, bytes], why: str) -> None:
    """A tag of the toolbox, a second image, other content: without its naming parts the engine loads nothing of it."""
    names, refused = passed_on(packed(*members.items()))
    assert why in refused
    assert not set(names) & set(NAMING)


def test_a_member_that_comes_twice_is_refused() -> None:
    """The engine would take the last, which nobody looked at."""
    members = [*saved().items(), ("manifest.json", saved(tags=["longshore/toolbox:1"])["manifest.json"])]
    names, why = passed_on(packed(*members))
    assert "twice" in why
    assert not set(names) & set(NAMING)


def test_another_image_than_the_expected_is_refused() -> None:
    """Its id is that of its configuration."""
    assert "not sha256:0" in passed_on(packed(*saved().items()), "sha256:" + "0" * 64)[1]


def test_the_target_looks_before_its_engine_does() -> None:
    """The program fits into the one line that authorized_keys has for it."""
    line = let_through_line(f"sha256:{ID}")
    assert f"sha256:{ID}" in line
    assert len(authorized_line("ssh-ed25519 AAAA", line, "192.0.2.5", "20260101000000")) < 8000
