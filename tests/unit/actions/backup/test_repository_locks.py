"""A killed backup leaves restic's lock: ours is removed once its container is gone, another's is named with its way
out.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actions.backup.backup import judge_check
from actions.backup.restic import OpenRepository, Repository, parse_lock, remove_dead_locks, remove_snapshot, say_locks
from actions.common.route import Route
from actions.copy.ssh_channel import Channel, Peer
from engine.contracts.container import CommandResult
from engine.errors import NotObservedError
from engine.redaction.redactor import Secret

DEAD, ALIVE, OTHER = ("a" * 64, "b" * 64, "c" * 64)
HOSTS = {DEAD: "longshore-0123abcd-wf005", ALIVE: "longshore-89abcdef-wf005", OTHER: "backup-server"}


class Host:
    """A host that answers what the locks need and remembers what was removed."""

    def __init__(self, name: str) -> None:
        self.name, self.removed = name, list[str]()
        self.locks = [DEAD, ALIVE, OTHER]

    def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
        """Answer."""
        text, line = "", " ".join(argv)
        if "locks" in line and argv[0] == "sh":
            text = "\n".join(self.locks)
        elif "docker ps" in line:
            text = HOSTS[ALIVE]
        elif "cat lock" in line:
            identity = argv[argv.index("lock") + 1]
            since = (datetime.now(UTC) - timedelta(minutes=7)).isoformat()
            text = json.dumps({"time": since, "exclusive": identity == OTHER, "hostname": HOSTS[identity], "pid": 7})
        elif argv[0] == "rm":
            self.removed.append(argv[-1])
        return CommandResult(tuple(argv), 0, text.encode(), b"", 0.0)


class Fleet(dict[str, Any]):
    """The source and the backup's host."""

    token: str | None = None
    names = ("wf005", "wf002")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> OpenRepository:
    """Return the repository as wf005 writes to it."""
    monkeypatch.setattr("actions.common.route.append_audit", lambda *_, **__: None)
    fleet: Any = Fleet(wf005=Host("wf005"), wf002=Host("wf002"))
    route = Route(fleet, "redis", "redis", "wf005", "wf001", "lab/redis/1")
    peer = Peer("wf002", "192.0.2.12", "ssh-ed25519 AAAA")
    repository = Repository(peer, "/var/backups/longshore", Secret("made-up"))
    return OpenRepository(
        route,
        "wf005",
        repository,
        Channel("/run/key", peer),
        "backup",
        reading=False,
        called="longshore-11112222-wf005",
    )


def test_only_the_lock_of_our_own_dead_backup_is_removed(opened: OpenRepository) -> None:
    """Its container is gone; another backup of ours, and another program, keep their locks."""
    others = remove_dead_locks(opened, "backup-taken")
    assert opened.route.fleet["wf002"].removed == [f"/var/backups/longshore/locks/{DEAD}"]  # type: ignore[attr-defined]
    assert [lock.id for lock in others] == [OTHER]


def test_another_lock_is_named_with_host_process_age_and_command(opened: OpenRepository) -> None:
    """Restic's words stay, and the way out works when it is pasted."""
    said = say_locks(opened, "repository is already locked by PID 7 on backup-server")
    assert said.startswith("repository is already locked by PID 7 on backup-server (")
    wanted = "an exclusive lock of process 7 on host backup-server, 7 min old; if that process is surely dead: "
    assert f"{wanted}ssh wf002 sudo rm /var/backups/longshore/locks/{OTHER}" in said
    assert say_locks(opened, "no space left on device") == "no space left on device"


def test_damaged_is_said_only_when_restic_said_so() -> None:
    """A lock or a lost connection says nothing about the repository."""

    def ended(code: int, said: str) -> CommandResult:
        return CommandResult(("restic",), code, b"", said.encode(), 0.1)

    assert judge_check(ended(0, "")) == (True, "")
    assert judge_check(ended(1, "pack 1234: hash does not match\nFatal: repository contains errors"))[0] is False
    assert judge_check(ended(11, "repository is already locked exclusively by PID 7")) == (
        None,
        "repository is already locked exclusively by PID 7",
    )
    assert judge_check(ended(1, "Fatal: unable to open repository: connection lost"))[0] is None


def test_who_writes_can_only_add(opened: OpenRepository) -> None:
    """Restic speaks with a server that removes nothing; what an export left half done is removed on the repository's
    own host.
    """
    argv = opened.argv(["backup"])
    assert "rclone:repository" in argv
    assert "--retry-lock" in argv
    assert argv[argv.index("--hostname") + 1] == "longshore-11112222-wf005"
    remove_snapshot(opened, DEAD, "backup-taken")
    remove_snapshot(opened, "../x", "backup-taken")
    assert opened.route.fleet["wf002"].removed == [f"/var/backups/longshore/snapshots/{DEAD}"]  # type: ignore[attr-defined]


def test_what_is_no_lock_is_not_described() -> None:
    """Nothing is removed on its word."""
    assert parse_lock(DEAD, '{"time": "2026-11-30T05:14:56.676804615Z", "hostname": "x", "pid": 1}').since.hour == 5
    with pytest.raises(NotObservedError):
        parse_lock(DEAD, "no JSON")
