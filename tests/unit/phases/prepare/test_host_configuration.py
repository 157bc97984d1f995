"""The configuration of a host's containers and its compose files, kept next to the other backups, and the table of all
of them.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final

import pytest

from actions.backup import host_configuration
from actions.backup.host_configuration import archive_of, configuration_files, keep_configuration
from actions.backup.restic import Repository
from actions.common.route import Route
from actions.copy.ssh_channel import Peer
from checks.backups.backups import BackupObject
from checks.backups.restore_drills import Drill
from checks.ports.report import HostScan
from engine.redaction.redactor import Redactor, Secret
from engine.saga.outcomes import PlannedOnly
from engine.verdict import Verdict
from hosts.facts.compose_files import FoundFiles
from hosts.facts.system import SystemFacts
from phases.prepare import host_configuration as prepare_host_configuration
from tests.fakes.facts import make_container, make_host
from tests.fakes.fleet import FakeFleet
from tests.fakes.host import FakeHost

NOW: Final = datetime(2026, 1, 2, 12, tzinfo=UTC)
ITEM: Final = BackupObject("configuration wf005", "c0ffee" * 8, 4096, NOW - timedelta(hours=1))
RECORD: Final = {"object": ITEM.record(), "read_back": True, "containers": 2, "files": 5, "compose_files": 1}
SUMMARY: Final = json.dumps({"message_type": "summary", "snapshot_id": "abc123", "total_bytes_processed": 2048})


def test_the_archive_holds_containers_and_files() -> None:
    """Each container as docker inspect shows it, each text under its own path; what was not there is left out."""
    facts = make_host(containers=(make_container(raw={"Name": "/redis", "Config": {"Env": ["A=b"]}}),))
    files = configuration_files(facts, {"/opt/shop/compose.yml": b"services: {}\n", "/etc/docker/daemon.json": None})
    with tarfile.open(fileobj=io.BytesIO(archive_of(files, 1_767_225_600.0))) as archive:
        names = archive.getnames()
        inner: Any = archive.extractfile("containers/redis.json")
        kept = json.loads(inner.read())
        modes = {member.mode for member in archive.getmembers()}

    assert names == ["containers/redis.json", "files/opt/shop/compose.yml"]
    assert kept == {"Name": "/redis", "Config": {"Env": ["A=b"]}}
    assert modes == {0o600}, "it holds secrets"


def test_the_same_configuration_is_the_same_archive() -> None:
    """So that restic keeps it once."""
    assert archive_of({"b": b"2", "a": b"1"}, 5.0) == archive_of({"a": b"1", "b": b"2"}, 5.0)


@pytest.mark.parametrize(("back", "is_same"), [("archive", True), ("archiv", False)])
def test_what_is_stored_is_read_back(back: str, is_same: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive goes in through standard input, never into argv; a shorter one that comes back is reported."""
    hosts: Any = FakeFleet(
        {
            name: FakeHost(name, {"restic backup": (0, SUMMARY, ""), "restic dump": (0, back, "")})
            for name in ("wf005", "wf002")
        }
    )
    route = Route(hosts, "configuration", "", "wf005", "wf002", "lab/configuration-wf005/1")

    @contextmanager
    def opened(*_: Any, **__: Any) -> Iterator[Any]:
        yield SimpleNamespace(
            argv=lambda words, interactive=False: ["restic", *words],
            run=lambda words: SimpleNamespace(exit_code=0),
            repository=None,
        )

    monkeypatch.setattr(host_configuration, "open_repository", opened)
    repository = Repository(Peer("wf002", "192.0.2.12", "ssh-ed25519 AAAA"), "/var/backups/x", Secret("made-up"))
    made: list[Any] = []
    monkeypatch.setattr(host_configuration, "init_repository", made.append)
    item, same = keep_configuration(route, repository, b"archive")

    assert (item.name, item.snapshot, item.size_bytes, same) == ("configuration wf005", "abc123", 2048, is_same)
    stored = next(stdin for argv, stdin in hosts["wf005"].asked if "backup" in argv)
    assert stored == b"archive"
    assert len(made) == 1, "there was none in the directory"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (None, "was never kept"),
        ({"read_back": False}, "what was read back is not what was stored"),
        ({"containers": 0}, "it holds no container"),
        ({"object": {**ITEM.record(), "taken_at": (NOW - timedelta(hours=30)).isoformat()}}, "it is 30.0 h old"),
    ],
)
def test_a_configuration_that_is_missing_old_or_damaged_fails(changes: dict[str, Any] | None, expected: str) -> None:
    """Each with the command that keeps it."""
    answer = prepare_host_configuration.judge_kept("wf005", None if changes is None else {**RECORD, **changes}, NOW, 24)

    assert answer.verdict is Verdict.FAILED
    assert expected in answer.text
    assert "nox -s prepare -- --environment NAME --apply" in answer.text


def test_a_fresh_configuration_passes_with_its_counts() -> None:
    """How many containers, files and compose files."""
    answer = prepare_host_configuration.judge_kept("wf005", RECORD, NOW, 24)

    assert answer.passed
    assert "2 containers and 3 files (1 of them compose files) kept in snapshot c0ffeec0, 1.0 h old" in answer.text


def context(*records: Any) -> tuple[Any, list[dict[str, Any]]]:
    """Return redis on its way from wf005 to wf001, with records of the journal."""
    container = make_container(raw={"Name": "/redis"})
    facts = make_host(
        host="wf005",
        containers=(container,),
        around=SystemFacts(host="wf005", units=("/etc/systemd/system/shop.service",)),
    )
    written: list[dict[str, Any]] = []
    backup = SimpleNamespace(host="wf002", path="/var/backups/x", password="file:x")
    move = SimpleNamespace(service="redis", source="wf005", target="wf001")
    plan = SimpleNamespace(evidence_max_age_h=24)
    environment = SimpleNamespace(backup=backup, environment="lab")
    entry = SimpleNamespace(mounts=[SimpleNamespace(path="/data", rule="copy", kind="volume")])
    made: Any = SimpleNamespace(
        scope=SimpleNamespace(environment=environment, plan=plan, moves=[move]),
        facts=lambda host: facts,
        fleet={"wf005": None},
        redactor=Redactor(),
        run=SimpleNamespace(record=lambda kind, body: written.append({"kind": kind, **body})),
        journal=SimpleNamespace(records=lambda kind, **_: [record for record in records if record.kind == kind]),
        sources=lambda: ("wf005",),
        container=lambda service, host: container,
        product=lambda service: SimpleNamespace(export_commands=lambda container: ()),
        move_of=lambda service: move,
        entry=lambda service: entry,
    )
    return made, written


def test_a_host_is_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers, compose files with what stands next to them, the engine's settings, units; the record holds no
    content.
    """
    made, written = context()
    found = FoundFiles(
        "wf005", ("/opt/shop/compose.yml",), {"/opt/shop/compose.yml": b"a", "/opt/shop/.env": b"PASSWORD=x"}, {}
    )
    asked: list[list[str]] = []

    def fetch(host: Any, paths: list[str]) -> FoundFiles:
        asked.append(paths)
        return FoundFiles("wf005", (), dict.fromkeys(paths, b"unit"), {})

    archives: list[bytes] = []
    monkeypatch.setattr(
        prepare_host_configuration, "read_host_projects", lambda fleet, facts: (found, HostScan("wf005", facts))
    )
    monkeypatch.setattr(prepare_host_configuration, "fetch_files", fetch)
    monkeypatch.setattr(prepare_host_configuration, "peer_of", lambda context, host: None)
    monkeypatch.setattr(prepare_host_configuration, "resolve_secret", lambda reference: Secret("made-up-password"))
    monkeypatch.setattr(
        prepare_host_configuration,
        "keep_configuration",
        lambda route, repository, archive: archives.append(archive) or (ITEM, True),
    )
    prepare_host_configuration.keep_host(made, "wf005", apply=True)

    with tarfile.open(fileobj=io.BytesIO(archives[0])) as archive:
        assert set(archive.getnames()) == {
            "containers/redis.json",
            "files/opt/shop/compose.yml",
            "files/opt/shop/.env",
            "files/etc/docker/daemon.json",
            "files/etc/systemd/system/shop.service",
        }
    assert asked == [["/etc/docker/daemon.json", "/etc/systemd/system/shop.service"]]
    assert (written[0]["kind"], written[0]["containers"], written[0]["compose_files"]) == (
        "host_configuration_saved",
        1,
        1,
    )
    assert "PASSWORD" not in json.dumps(written)


def test_a_dry_run_keeps_nothing() -> None:
    """And says what it would keep."""
    made, written = context()
    with pytest.raises(
        PlannedOnly, match="wf005: keep the configuration of 1 containers and the compose files in wf002:/var/backups/x"
    ):
        prepare_host_configuration.keep_host(made, "wf005", apply=False)

    assert not written


def outcome(key: str, note: dict[str, Any]) -> Any:
    """Return an action's record."""
    return SimpleNamespace(kind="outcome", key=key, body={"ok": True, "note": note}, at=NOW.isoformat())


def test_the_table_shows_age_size_and_drill_of_each() -> None:
    """One restored, one never taken, and the host's host_configuration."""
    taken = BackupObject("volume redis_data", "fade" * 16, 1000, NOW - timedelta(hours=2))
    drill = Drill("wf001", {"volume redis_data": "fade" * 16}, told="all there")
    made, _ = context(
        outcome("backup-taken", {"objects": [taken.record()], "repository_ok": True}),
        outcome("restore-drilled", {"drill": drill.record()}),
        SimpleNamespace(kind="host_configuration_saved", body={"host": "wf005", **RECORD}),
    )

    assert prepare_host_configuration.backup_table(made, NOW, ("wf005",), ("redis",)).rows == (
        ("redis", "volume redis_data", "fadefade", "1,000 bytes", "2.0 h", "on wf001"),
        ("wf005", "configuration wf005", "c0ffeec0", "4,096 bytes", "1.0 h", "read back as stored"),
    )
    assert prepare_host_configuration.backup_table(context()[0], NOW, ("wf005",), ("redis",)).rows == (
        ("redis", "volume redis_data", "none", "–", "–", "–"),
        ("wf005", "configuration wf005", "none", "–", "–", "–"),
    )


def test_a_snapshot_that_no_drill_restored_says_so() -> None:
    """A newer backup than the drill is as if it were never tried."""
    taken = BackupObject("volume redis_data", "beef" * 16, 1000, NOW)
    made, _ = context(
        outcome("backup-taken", {"objects": [taken.record()]}),
        outcome("restore-drilled", {"drill": Drill("wf001", {}, problem="too slow").record()}),
    )

    assert (
        prepare_host_configuration.backup_table(made, NOW, ("wf005",), ("redis",)).rows[0][-1]
        == "NO: this snapshot was never restored"
    )
