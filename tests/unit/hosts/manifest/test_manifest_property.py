"""Random trees: equal ones never drift, and one change is found, alone and by its name."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hosts.manifest.manifest import raw_path
from tests.fakes.file_trees import calm, compared

NEAR_THE_SEPARATOR = st.text("x!-.0\\", min_size=1, max_size=3).map(str.encode)
NAMES = (st.binary(min_size=1, max_size=6) | NEAR_THE_SEPARATOR).filter(
    lambda name: not {0, ord("/")} & set(name) and name not in {b".", b".."}
)
TREES = st.recursive(st.binary(max_size=20), lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=12)
ROOTS = st.dictionaries(NAMES, TREES, min_size=1, max_size=5)
Tree = dict[bytes, "Tree | bytes"]


def _grow(folder: bytes, tree: Tree) -> list[bytes]:
    """Make a tree on disk and return its leaves: files and empty folders."""
    leaves = []
    os.mkdir(folder)  # noqa: PTH102 bytes
    for name, content in tree.items():
        path = folder + b"/" + name
        if isinstance(content, dict):
            leaves += _grow(path, content) or [path]
            continue
        leaves.append(path)
        with open(path, "wb") as file:  # noqa: PTH123 bytes
            file.write(content)
    return leaves


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=ROOTS, data=st.data())
def test_exactly_the_one_change_is_found(tree: Tree, data: st.DataObject) -> None:
    """Whatever the names and the shape: no drift between equal trees, one drift after one change, and it
    has its path.
    """
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder) / "one", Path(folder) / "other"
        _grow(os.fsencode(one), tree)
        leaves = _grow(os.fsencode(other), tree)
        assert not compared(calm(one), calm(other))

        changed = data.draw(st.sampled_from(leaves))
        kind = data.draw(st.sampled_from(["removed", "added to", "mode", "time"]))
        path = Path(os.fsdecode(changed))
        if kind == "removed":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif kind == "added to" and path.is_file():
            path.write_bytes(path.read_bytes() + b"!")
        elif kind == "mode":
            path.chmod(0o711)
        calm(other)
        if kind == "time" or (kind == "added to" and path.is_dir()):
            os.utime(path, ns=(1, 1))

        drift = compared(one, other)

    assert drift.count == 1
    assert raw_path(drift.differences[0]).startswith(changed.removeprefix(os.fsencode(other) + b"/") + b": ")
