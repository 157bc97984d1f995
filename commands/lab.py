"""Start, reset, break or remove the lab: three Docker hosts with real services on this machine."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Collection
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from engine import project
from engine.config.environment import Environment, write_environment
from engine.journal.database import archive_store
from engine.journal.location import VARIABLE, JournalLocation, place_of
from engine.redaction.redactor import Secret
from lab.approvers import make_approvers
from lab.settings import BACKUP_HOST

STATE: Final = project.STATE / "lab"
ENVIRONMENT: Final = project.environment_file("lab")
HELP: Final = {"-h", "--help"}
INTERRUPTED: Final = 130
APPROVALS: Final = project.APPROVALS / "lab"
APPROVERS: Final = STATE / "approvers"
ALWAYS: Final = {
    "starts_at": "2000-01-01T00:00:00Z",
    "ends_at": "2100-01-01T00:00:00Z",
    "time_zone": "UTC",
    "status": "agreed",
}
"""The lab's window is a line of its environment: the gate is the same."""

KEPT: Final = STATE / "kept"
JOURNAL: Final = "journal.sqlite"
MAKES_OTHER_HOSTS: Final = {"up", "down", "reset", "back"}


def main(argv: list[str]) -> int:
    """Run the lab's own command; a lab that is new gets its identities pinned and an empty journal, one that comes back
    its own.
    """
    before = _identities()
    try:
        code = subprocess.run([sys.executable, "-m", "lab", *argv], check=False).returncode
    except KeyboardInterrupt:
        return INTERRUPTED
    command = argv[0] if argv else ""
    if code or command not in {"keep", *MAKES_OTHER_HOSTS} or HELP & set(argv):
        return code
    if command == "keep":
        _copy_journal(_place().file, KEPT / argv[1] / JOURNAL)
        return 0
    if command != "up" or _identities() != before:
        _archive_journal()
        shutil.rmtree(APPROVALS, ignore_errors=True)
    if command == "back":
        _copy_journal(KEPT / argv[1] / JOURNAL, _place().file)
    if command == "down":
        ENVIRONMENT.unlink(missing_ok=True)
    else:
        pin_lab()
    return 0


def pin_lab() -> None:
    """Write the lab's environment file from what `lab up` generated."""
    generated = json.loads((STATE / "hosts.json").read_text(encoding="utf-8"))
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    write_environment(ENVIRONMENT, Environment.model_validate(environment_of(generated)))


def environment_of(generated: dict[str, Any]) -> dict[str, Any]:
    """Return the lab's environment as data: identities, the services it has, the application that only it has."""
    hosts = {
        name: {**{key: host[key] for key in ("address", "ssh_host_key", "machine_id", "engine_id")}, "lab": True}
        for name, host in generated["hosts"].items()
    }
    return {
        "environment": "lab",
        "ssh_config": str(STATE / "ssh_config"),
        "hosts": hosts,
        "services": generated["services"],
        "window": ALWAYS,
        "approvers": make_approvers(APPROVERS),
        "require_clean_checkout": False,
        "simulated": generated["simulated"],
        "overrides": {name: entry for name, entry in _read("overrides.json").items() if name in generated["services"]},
        "extra": _extra(generated["services"]),
        "backup": {
            "host": BACKUP_HOST if BACKUP_HOST in hosts else "wf002",
            "path": "/var/backups/longshore",
            "password": f"file:{STATE}/secrets/backup_password",
            "reason": "" if BACKUP_HOST in hosts else "the lab has three hosts only: the backup lies on a target",
        },
    }


def _read(name: str) -> dict[str, Any]:
    return dict(json.loads((project.CHECKOUT / "lab" / name).read_text(encoding="utf-8")))


def _extra(services: Collection[str]) -> dict[str, Any]:
    """Return what only the lab has, as far as it is there: which services a phase looks at follows from what the lab
    has.
    """
    extra = _read("extra.json")
    links = [link for link in extra["links"] if {link["from"], link["to"]} <= set(services)]
    return {"services": {name: entry for name, entry in extra["services"].items() if name in services}, "links": links}


def _identities() -> str:
    file = STATE / "hosts.json"
    return file.read_text(encoding="utf-8") if file.exists() else ""


def _place() -> JournalLocation:
    state = os.environ.get(VARIABLE)
    return place_of("lab", Secret(state) if state else None)


def _copy_journal(source: Path | None, target: Path | None) -> None:
    """Copy a journal that is a file, whole, also while it is open; one in PostgreSQL does not come back
    with the disks.
    """
    if source is None or target is None or not source.exists():
        return
    with closing(sqlite3.connect(source)) as here, closing(sqlite3.connect(target)) as there:
        here.backup(there)


def _archive_journal() -> None:
    archive_store(_place(), datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"))
