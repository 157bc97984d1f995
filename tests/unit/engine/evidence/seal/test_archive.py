"""A bundle is one file, the same bytes for the same folder, and what is changed in it is found."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.evidence.seal.archive import pack, read_archive
from engine.evidence.seal.sealed_folder import Sealed, read_folder
from engine.evidence.seal.verify import verify
from tests.fakes.sealed_run import FakeCheck, FakeSigner, sealed_folder


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """Return what is in a signed folder."""
    return read_folder(sealed_folder(tmp_path_factory.mktemp("sealed"), FakeSigner()))


def problems(sealed: Sealed) -> list[str]:
    """Return what verify finds."""
    return verify(sealed, FakeCheck()).problems


def test_an_archive_is_the_same_bytes_and_reads_back(sealed: Sealed, tmp_path: Path) -> None:
    """Packed twice it is one file; what is read from it verifies like the folder."""
    archive = tmp_path / "bundle.tar.gz"
    archive.write_bytes(pack(sealed))

    back = read_archive(archive)

    assert archive.read_bytes() == pack(sealed)
    assert (back.name, dict(back.files), back.odd) == (sealed.name, dict(sealed.files), ())
    assert problems(back) == []


def test_every_change_of_an_archive_is_found(sealed: Sealed, tmp_path: Path) -> None:
    """Cut off, longer, a bit flipped: it can't be unpacked, or says what is wrong; but for a few bits of gzip's that
    carry nothing.
    """
    whole, chance, archive, nothing = pack(sealed), random.Random(3), tmp_path / "bundle.tar.gz", 0
    places = [chance.randrange(10, len(whole)) for _ in range(60)]
    for other in (
        whole[:-1],
        whole + b"x",
        whole[: len(whole) // 2],
        *(whole[:p] + bytes([whole[p] ^ 4]) + whole[p + 1 :] for p in places),
    ):
        archive.write_bytes(other)
        try:
            back = read_archive(archive)
        except InputError:
            continue
        assert problems(back) or (back.files, back.name) == (sealed.files, sealed.name)
        nothing += not problems(back)
    assert nothing <= 2
