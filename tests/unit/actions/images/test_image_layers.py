"""Only the layers that the other engine lacks travel: which those are, and what is left of a saved image
without them.
"""

from __future__ import annotations

import hashlib
import io
import tarfile

import pytest

from actions.images.layer_filter_program import copy_without
from actions.images.ship import layers_there

BASE, LIBRARY, APPLICATION = ("a base of some length", "a library", "an application")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _saved(names: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in names.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return out.getvalue()


def _through(saved: bytes, *without: str) -> tuple[dict[str, str], dict[str, int]]:
    out = io.BytesIO()
    counts = copy_without([f"sha256:{_digest(text)}" for text in without], io.BytesIO(saved), out)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        left = {member.name: content.read().decode() for member in archive if (content := archive.extractfile(member))}
    return left, counts


NEW = {**{f"blobs/sha256/{_digest(text)}": text for text in (BASE, LIBRARY, APPLICATION)}, "manifest.json": "[]"}
OLD = {"1/layer.tar": BASE, "2/layer.tar": LIBRARY, "3/layer.tar": APPLICATION, "manifest.json": "[]"}


@pytest.mark.parametrize("saved", [NEW, OLD], ids=["engines since 25", "engines before"])
def test_what_is_there_is_left_out(saved: dict[str, str]) -> None:
    """The base and the library are not sent; everything else is, unchanged."""
    left, counts = _through(_saved(saved), BASE, LIBRARY)

    assert left == {name: text for name, text in saved.items() if text not in (BASE, LIBRARY)}
    assert counts == {"left_out": len(BASE) + len(LIBRARY), "sent": len(APPLICATION) + len("[]")}


@pytest.mark.parametrize("saved", [NEW, OLD], ids=["engines since 25", "engines before"])
def test_without_anything_there_all_is_sent(saved: dict[str, str]) -> None:
    """Nothing is lost on the way."""
    left, counts = _through(_saved(saved))

    assert left == saved
    assert counts["left_out"] == 0


def test_an_image_that_is_cut_off_is_an_error() -> None:
    """Half of a saved image is never passed on as a whole one."""
    with pytest.raises(tarfile.TarError):
        copy_without([], io.BytesIO(_saved(NEW)[:520]), io.BytesIO())


@pytest.mark.parametrize(
    ("mine", "others", "there"),
    [
        ("abc", ["abd", "ax"], "ab"),
        ("abc", ["bc", "c"], ""),
        ("abc", [], ""),
        ("aba", ["ab"], "b"),
        ("abc", ["abcd"], "abc"),
    ],
)
def test_layers_count_from_the_bottom(mine: str, others: list[str], there: str) -> None:
    """A layer above another base is another layer; one that comes again higher up must travel."""
    assert layers_there(mine, others) == frozenset(there)
