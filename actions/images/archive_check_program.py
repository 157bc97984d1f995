"""Runs in the target's toolbox, before `docker load`: lets one image through that has the expected id, and no tag.

argv: the image's id. Standard input is a `docker save`, standard output what is loaded. An archive says itself which
tags its images get, so one from a host that is not trusted could put another image under any name. What names images
is passed on last, after all of it was seen to name only the expected image: without it the engine loads nothing.
"""

import hashlib
import io
import json
import re
import sys
import tarfile
from typing import IO, Any

CHUNK = 1 << 20
LARGEST = 16 << 20
NAMING = ("manifest.json", "index.json", "oci-layout", "repositories")
CONTENT = re.compile(
    r"blobs|blobs/sha256|blobs/sha256/[0-9a-f]{64}|[0-9a-f]{64}|[0-9a-f]{64}/(json|VERSION|layer\.tar)|[0-9a-f]{64}\.json"
)
LINK = re.compile(r"\.\./[0-9a-f]{64}/layer\.tar")
TAGGING = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


class Refused(Exception):
    """The archive is not what was asked for."""


def let_through(expected: str, source: IO[bytes], sink: IO[bytes]) -> None:
    """Copy an archive that holds the expected image and names no other; raises Refused."""
    naming: dict[str, bytes] = {}
    digests: dict[str, str] = {}
    with tarfile.open(fileobj=source, mode="r|") as given, tarfile.open(fileobj=sink, mode="w|") as taken:
        for member in given:
            name = member.name.rstrip("/")
            if name in digests or name in naming:
                raise Refused(f"{name!r} is in it twice")
            if name in NAMING:
                if not member.isreg() or member.size > LARGEST:
                    raise Refused(f"{name} is no small file")
                naming[name] = _content(given, member).read()
            elif not CONTENT.fullmatch(name) or not (
                member.isreg() or member.isdir() or (member.issym() and LINK.fullmatch(member.linkname))
            ):
                raise Refused(f"{member.name!r} does not belong into an image")
            else:
                hashed = _Hashed(_content(given, member)) if member.isreg() else None
                taken.addfile(member, hashed)
                digests[name] = f"sha256:{hashed.digest.hexdigest()}" if hashed else ""
                if name.startswith("blobs/sha256/") and hashed and digests[name] != f"sha256:{name[13:]}":
                    raise Refused(f"{name} has other content than its name says")
        judge(expected, naming, digests)
        for name, content in naming.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            taken.addfile(member, io.BytesIO(content))


def judge(expected: str, naming: dict[str, bytes], digests: dict[str, str]) -> None:
    """Raise Refused unless the archive names exactly the expected image, and no tag."""
    images = json.loads(naming.get("manifest.json", b"[]"))
    index = json.loads(naming.get("index.json", b"{}")).get("manifests") or []
    if json.loads(naming.get("repositories", b"{}")) or any(image.get("RepoTags") for image in images):
        raise Refused("it gives a tag to an image")
    if any(key in (entry.get("annotations") or {}) for entry in index for key in TAGGING):
        raise Refused("it gives a name to an image")
    if len(images) != 1 or len(index) > 1:
        raise Refused(f"it holds {len(images)} images")
    configured = digests.get(str(images[0].get("Config")))
    indexed = [str(entry.get("digest")) for entry in index]
    if expected != configured and indexed != [expected]:
        raise Refused(f"it holds image {configured}, not {expected}")


def _content(given: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    return given.extractfile(member)


class _Hashed:
    """A file that is hashed while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def read(self, size: int = CHUNK) -> bytes:
        piece = self.file.read(size)
        self.digest.update(piece)
        return piece


if __name__ == "__main__":
    try:
        let_through(sys.argv[1], sys.stdin.buffer, sys.stdout.buffer)
    except (Refused, tarfile.TarError, ValueError, AttributeError, TypeError) as refused:
        sys.exit(f"the archive was refused before it was loaded: {refused}")
