"""The configuration of a host's containers, and the files that it was made from, as one archive in the backup
repository.

It is small, and full of secrets: it goes into the encrypted repository straight from memory, and is read back at once.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import time
from collections.abc import Mapping
from typing import Any, Final

from actions.backup.backup import summary_of
from actions.backup.restic import LONGEST_S, Repository, init_repository, make_repository_directory, open_repository
from actions.common.route import Route, run_checked
from actions.common.toolbox import remove_helpers
from checks.backups.backups import BackupObject
from engine.finding import say
from hosts.facts.model import HostFacts

ROLE: Final = "configuration"
FOLDER: Final = "containers"


def configuration_files(facts: HostFacts, texts: Mapping[str, bytes | None]) -> dict[str, bytes]:
    """Return what is kept of a host, by its name in the archive: each container as `docker inspect` shows it, and its
    texts under `files`.
    """
    kept = {f"{FOLDER}/{container.name}.json": _json(container.raw) for container in facts.containers}
    return {**kept, **{f"files{path}": content for path, content in texts.items() if content is not None}}


def _json(raw: Mapping[str, Any]) -> bytes:
    return json.dumps(raw, indent=1, sort_keys=True, ensure_ascii=False).encode()


def archive_of(files: Mapping[str, bytes], at: float) -> bytes:
    """Return the files as a tar archive, in the order of their names; `at` is their time, in seconds since
    the epoch.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in sorted(files.items()):
            about = tarfile.TarInfo(name.lstrip("/"))
            about.size, about.mtime, about.mode = len(content), int(at), 0o600
            archive.addfile(about, io.BytesIO(content))
    return buffer.getvalue()


def keep_configuration(route: Route, repository: Repository, archive: bytes) -> tuple[BackupObject, bool]:
    """Store a host's archive as a snapshot and read it back; return the snapshot, and whether what came back is the
    same.

    `route.source` is the host whose configuration it is. Raises ActionError.
    """
    name, file, started = f"configuration {route.source}", f"configuration-{route.source}.tar", time.monotonic()
    for host in (route.source, repository.peer.host):
        remove_helpers(route.fleet, host, route.move_label, ROLE)
    is_there = make_repository_directory(route, repository, ROLE, f"keep the {name} in {repository.where}")
    with open_repository(route, route.source, repository, role=ROLE) as opened:
        if not is_there:
            init_repository(opened)
        tags = ",".join((route.move_label.split("/", 1)[0], ROLE))
        words = ["backup", "--json", "--host", route.source, "--tag", tags, "--stdin", "--stdin-filename", file]
        argv = opened.argv(words, interactive=True)
        stored = run_checked(
            route.fleet, route.source, argv, doing=say("keep the {name}", name=name), stdin=archive, timeout_s=LONGEST_S
        )
        item = summary_of(name, stored.text, time.monotonic() - started)
        back = run_checked(
            route.fleet,
            route.source,
            opened.argv(["dump", item.snapshot, f"/{file}"]),
            doing=say("read the {name} back", name=name),
            timeout_s=LONGEST_S,
        )
    return item, hashlib.sha256(back.stdout).digest() == hashlib.sha256(archive).digest()
