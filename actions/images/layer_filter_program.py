"""Runs in the toolbox: copies `docker save` from stdin to stdout and leaves out the layers that the other engine has.

argv: the diff IDs (sha256:…) to leave out. It reports on stderr, as JSON, what was left out and what was written.
Engines since 25 name a layer after its content; before that, the content itself decides.
"""

import hashlib
import json
import sys
import tarfile
import tempfile
from typing import IO

CHUNK = 1 << 20


def copy_without(layers: list[str], source: IO[bytes], sink: IO[bytes]) -> dict[str, int]:
    """Copy member by member; return how many bytes were left out and sent. Raises tarfile.TarError for what
    is cut off.
    """
    there = {layer.removeprefix("sha256:") for layer in layers}
    left_out = sent = 0
    with tarfile.open(fileobj=source, mode="r|") as given, tarfile.open(fileobj=sink, mode="w|") as taken:
        for member in given:
            content = given.extractfile(member) if member.isreg() else None
            folder, _, name = member.name.rpartition("/")
            if content is not None and folder.endswith("blobs/sha256") and name in there:
                left_out += member.size
            elif content is not None and name == "layer.tar" and there:
                with tempfile.TemporaryFile() as kept:
                    digest = hashlib.sha256()
                    while chunk := content.read(CHUNK):
                        digest.update(chunk)
                        kept.write(chunk)
                    if digest.hexdigest() in there:
                        left_out += member.size
                        continue
                    kept.seek(0)
                    taken.addfile(member, kept)
                    sent += member.size
            else:
                taken.addfile(member, content)
                sent += member.size if content is not None else 0
    return {"left_out": left_out, "sent": sent}


if __name__ == "__main__":
    print(json.dumps(copy_without(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer)), file=sys.stderr)
