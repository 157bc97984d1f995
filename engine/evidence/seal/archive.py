"""One archive of a run's folder, the same bytes for the same files, for a ticket; and the way back, without
unpacking.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from engine.errors import InputError
from engine.evidence.seal.sealed_folder import Sealed

SUFFIX: Final = ".tar.gz"
LARGEST: Final = 1 << 30
"""An archive that unfolds to more than this is none of ours."""

EPOCH: Final = datetime(1980, 1, 1, tzinfo=UTC)


def pack(sealed: Sealed) -> bytes:
    """Return a folder's files as tar.gz: sorted, without owner, at a fixed time, so that two packers make the same
    bytes.
    """
    return gzip.compress(_tar(sealed), compresslevel=9, mtime=0)


def _tar(sealed: Sealed) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in sorted(sealed.files.items()):
            entry = tarfile.TarInfo(f"{sealed.name}/{name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o600, int(EPOCH.timestamp())
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def read_archive(path: Path) -> Sealed:
    """Return what an archive of `pack` holds; `odd` says what was not packed by us. Raises InputError for what is no
    archive.
    """
    packed = _unfolded(path)
    files: dict[str, bytes] = {}
    odd: list[str] = []
    tops: set[str] = set()
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as archive:
            for entry in archive:
                top, _, name = entry.name.partition("/")
                tops.add(top)
                content = archive.extractfile(entry) if entry.isfile() else None
                if content is None or not name or name in files or ".." in Path(name).parts:
                    odd.append(
                        f"{entry.name}: in {path.name} is no plain file of its own name. Expected: each file once"
                    )
                else:
                    files[name] = content.read()
    except (tarfile.TarError, EOFError) as error:
        raise _no_archive(path, str(error)) from error
    sealed = Sealed(min(tops, default=""), files, tuple(odd))
    if len(tops) != 1 or (not odd and _tar(sealed) != packed):
        odd.append(
            f"{path.name}: holds more than its files, or they were packed by something else. Expected: as the "
            "command bundle packs them"
        )
    return Sealed(sealed.name, files, tuple(odd))


def _unfolded(path: Path) -> bytes:
    try:
        folded = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}. Expected: a run's folder, or a bundle of one. Look: ls -l {path}"
        ) from error
    unfolding = zlib.decompressobj(wbits=31)
    try:
        packed = unfolding.decompress(folded, LARGEST)
    except zlib.error as error:
        raise _no_archive(path, str(error)) from error
    if unfolding.unused_data or unfolding.unconsumed_tail or not unfolding.eof:
        raise _no_archive(path, "bytes are missing at its end, or are too many")
    return packed


def _no_archive(path: Path, why: str) -> InputError:
    return InputError(
        f"{path}: can't be unpacked: {why}. Expected: a whole {SUFFIX} of the command bundle. Fetch it again, "
        "or bundle again"
    )
