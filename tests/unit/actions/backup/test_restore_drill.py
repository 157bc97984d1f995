"""The restore drill: what it starts is cut off, what it finds is judged, what it made is removed, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final

import pytest

from actions.backup.restic import OpenRepository, Repository
from actions.backup.restore_drill import DrillQuestions, RestoreDrill
from actions.common.route import Route
from actions.copy.ssh_channel import Channel, Peer
from checks.backups.backups import BackupObject
from engine.contracts.action import Note
from engine.contracts.container import MountFacts
from engine.contracts.product import RestoreCommand
from engine.errors import ActionError, UnreachableError
from engine.redaction.redactor import Secret
from engine.verdict import Judgement, Verdict, failed, passed
from tests.fakes.facts import LABEL
from tests.fakes.host import FakeHost
from tests.fakes.inspect_answer import inspected

NOW: Final = datetime(2026, 1, 2, tzinfo=UTC)
EXPORT: Final = BackupObject("export dump.rdb", "e" * 64, 100, NOW)
DATA: Final = BackupObject("volume redis_data", "d" * 64, 200, NOW)
CONF: Final = BackupObject("bind /srv/redis.conf", "c" * 64, 10, NOW)
TAKEN: Final = (EXPORT, DATA, CONF)
MOUNTS: Final = (
    MountFacts("volume", "redis_data", "/data", read_only=False),
    MountFacts("bind", "/srv/redis.conf", "/etc/redis.conf", read_only=True),
)
RULES: Final = {"/data": "copy", "/etc/redis.conf": "copy", "/etc/localtime": "same_on_target", "/scratch": "drop"}
LOADS: Final = RestoreCommand("dump.rdb", "/data", ("load",), 60, before_start=True)
FINE: Final = DrillQuestions(lambda: passed("room"), lambda _: passed("ready"), lambda _: passed("all equal"))


class Api:
    """The target's engine: remembers what was made and started."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.made: list[str] = []
        self.bodies: list[dict[str, Any]] = []

    def inspect_container(self, _name: str) -> dict[str, Any]:
        """Return the source's container."""
        return inspected()

    def create_volume(self, name: str, labels: dict[str, str]) -> None:
        """Make a labelled volume."""
        self.made.append(f"volume {name} {labels['longshore.role']}")

    def inspect_volume(self, name: str) -> dict[str, Any]:
        """Return where a volume lies."""
        return {"Mountpoint": f"/docker/{name}/_data"}

    def create_network(self, name: str, *, internal: bool, **_: Any) -> None:
        """Make a network, with or without a way out."""
        self.made.append(f"network {name} {'without' if internal else 'with'} a way out")

    def create_container_from_config(self, body: dict[str, Any], name: str) -> None:
        """Make a container."""
        self.made.append(f"container {name}")
        self.bodies.append(body)

    def start(self, name: str) -> None:
        """Start it."""
        self.made.append(f"started {name}")


class Fleet(dict[str, FakeHost]):
    """Source, target and the backup's host, with one engine for all."""

    token: str | None = None

    def __init__(self, answers: dict[str, tuple[int, str, str]]) -> None:
        """Take what the target answers, by words of the command."""
        super().__init__({"wf005": FakeHost("wf005"), "wf001": FakeHost("wf001", answers), "wf002": FakeHost("wf002")})
        self.api = Api()

    def docker(self, _name: str) -> Any:
        """Return the engine."""
        return SimpleNamespace(api=self.api)

    def asked(self, *words: str) -> list[str]:
        """Return the target's commands that hold all these words."""
        lines = [" ".join(argv) for argv, _ in self["wf001"].asked]
        return [line for line in lines if all(word in line for word in words)]


@pytest.fixture(autouse=True)
def way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open the repository without a key, and write no audit."""

    @contextmanager
    def opened(
        route: Route, host: str, repository: Repository, *, role: str, reading: bool
    ) -> Iterator[OpenRepository]:
        assert reading, "a drill never writes into the backup"
        yield OpenRepository(route, host, repository, Channel("/run/key", repository.peer), role, reading)

    monkeypatch.setattr("actions.backup.restore_drill.open_repository", opened)
    monkeypatch.setattr("actions.common.route.append_audit", lambda *_, **__: None)


APPLIED: Final = {"tail -c 600 read-said": (0, "", "\n0 0\n")}


def make_drill(
    answers: dict[str, tuple[int, str, str]] | None = None,
    questions: DrillQuestions = FINE,
    taken: tuple[BackupObject, ...] = TAKEN,
    not_drilled: str = "",
) -> tuple[RestoreDrill, Fleet]:
    """Return redis' drill on wf001, and its hosts."""
    fleet: Any = Fleet({**(answers or {}), **APPLIED})
    route = Route(fleet, "redis", "redis", "wf005", "wf001", LABEL)
    repository = Repository(Peer("wf002", "192.0.2.12", "ssh-ed25519 AAAA"), "/backups", Secret("pass-word-1"))
    return RestoreDrill(route, repository, lambda: taken, MOUNTS, RULES, (LOADS,), not_drilled, questions), fleet


def ended(action: RestoreDrill) -> Judgement:
    """Perform a drill and return how it is judged."""
    note: Note = {}
    action.do(note)
    return action.verify(note)


def test_a_good_backup_passes_and_every_snapshot_was_used() -> None:
    """The archive that the service needs is restored, the export brought back, what the export replaces read to its
    end.
    """
    action, fleet = make_drill()

    judged = ended(action)

    assert judged.verdict is Verdict.PASSED, judged.text
    assert "restored on wf001" in judged.text
    assert "all equal" in judged.text
    assert len(fleet.asked("restore", CONF.snapshot)) == 1
    assert len(fleet.asked("dump", "--archive", DATA.snapshot, "/data")) == 1
    assert len(fleet.asked("dump", EXPORT.snapshot, "/dump.rdb", "load")) == 1
    assert fleet.asked("restore", DATA.snapshot) == []
    assert all("--no-lock" in line and "pass-word-1" not in line for line in fleet.asked("restic"))


def test_the_copy_starts_in_a_network_without_a_way_out() -> None:
    """What is made is labelled for the drill; it starts after its files are there."""
    action, fleet = make_drill()

    assert ended(action).passed

    assert fleet.api.made == [
        "volume longshore-drill-lab-redis-1-0 drill",
        "volume longshore-drill-lab-redis-1-1 drill",
        "network longshore-drill-lab-redis-1 without a way out",
        "container longshore-drill-lab-redis-1",
        "started longshore-drill-lab-redis-1",
    ]
    mounts = {
        mount["Target"]: (mount["Type"], mount["Source"]) for mount in fleet.api.bodies[0]["HostConfig"]["Mounts"]
    }
    assert mounts == {
        "/data": ("volume", "longshore-drill-lab-redis-1-0"),
        "/etc/redis.conf": ("bind", "/docker/longshore-drill-lab-redis-1-1/_data/data"),
    }


DAMAGED: Final = "Fatal: decrypting blob 6e29 from pack 2b3a failed: ciphertext verification failed"


@pytest.mark.parametrize(
    ("answers", "questions", "words"),
    [
        (
            {f"restore {CONF.snapshot}": (1, "", DAMAGED)},
            FINE,
            ("bind /srv/redis.conf", "can't be read", "ciphertext verification"),
        ),
        (
            {f"dump --archive {DATA.snapshot}": (1, "", "no such file")},
            FINE,
            ("volume redis_data", "can't be read", "no such file"),
        ),
        (
            {f"dump {EXPORT.snapshot} load": (0, "", f"{DAMAGED}\n1 0\n")},
            FINE,
            ("export dump.rdb", "can't be read", "ciphertext"),
        ),
        (
            {f"dump {EXPORT.snapshot} load": (0, "disk full", "\n0 1\n")},
            FINE,
            ("export dump.rdb", "load did not take it (exit 1)", "disk full"),
        ),
        (
            {"docker logs": (0, "Short read", "")},
            replace(FINE, ready=lambda _: failed("not ready after 120 s")),
            ("not ready", "Short read"),
        ),
        ({}, replace(FINE, same=lambda _: failed("db 0: keys: missing a")), ("db 0: keys: missing a",)),
        ({}, replace(FINE, same=lambda _: Judgement(Verdict.UNKNOWN, "nothing to compare")), ("nothing to compare",)),
    ],
    ids=[
        "archive flipped",
        "archive missing",
        "export flipped",
        "export not taken",
        "does not start",
        "differs",
        "nothing compared",
    ],
)
def test_a_bad_backup_never_passes(
    answers: dict[str, tuple[int, str, str]], questions: DrillQuestions, words: tuple[str, ...]
) -> None:
    """Each kind of damage is FAILED with its own words, the advice, and the copy removed."""
    action, fleet = make_drill(answers, questions)

    judged = ended(action)

    assert judged.verdict is Verdict.FAILED
    assert [word for word in words if word not in judged.text] == []
    assert "nox -s prepare -- --lab --service redis --apply" in judged.text
    assert len(fleet.asked("volume ls", "longshore.role=drill")) >= 2, "removed at the start and at the end"


def test_a_drill_does_not_begin_without_room() -> None:
    """A scratch copy must not fill the disk of a host that serves."""
    action, fleet = make_drill(questions=replace(FINE, room=lambda: failed("wf001: 3 GiB free, 5 needed")))

    assert "3 GiB free" in ended(action).text
    assert fleet.api.made == []
    assert fleet.asked("restic") == []


def test_a_snapshot_that_is_not_on_record_is_missed() -> None:
    """A backup without the configuration that the service starts with is not complete."""
    action, fleet = make_drill(taken=(EXPORT, DATA))

    assert "bind /srv/redis.conf is not in it" in ended(action).text
    assert not [made for made in fleet.api.made if made.startswith("started")]


def test_nothing_is_drilled_without_a_backup() -> None:
    """No snapshots, no drill: the action fails instead of passing on nothing."""
    action, _ = make_drill(taken=())

    with pytest.raises(ActionError, match="no backup on record"):
        action.do({})


def test_a_host_that_falls_silent_is_no_verdict_about_the_backup() -> None:
    """Could not look stays UNKNOWN; the copy is removed all the same."""

    def silent(_name: str) -> Judgement:
        raise UnreachableError("wf001: no answer")

    action, fleet = make_drill(questions=replace(FINE, same=silent))
    note: Note = {}

    with pytest.raises(UnreachableError):
        action.do(note)

    assert action.verify(note).verdict is Verdict.UNKNOWN
    assert len(fleet.asked("volume ls", "longshore.role=drill")) == 2


def test_what_a_crash_left_goes_before_anything_is_made() -> None:
    """A second start removes the labelled volumes and networks of the first."""
    action, fleet = make_drill({"volume ls --filter": (0, "longshore-drill-lab-redis-1-0\n", "")})
    action.do({})

    first = [" ".join(argv[:3]) for argv, _ in fleet["wf001"].asked][:3]
    assert first == ["docker ps --all", "docker volume ls", "docker volume rm"]


def test_a_copy_that_was_left_is_reported() -> None:
    """The step fails while anything of it is still on the target."""
    action, _ = make_drill({"ps --format": (0, "longshore-drill-lab-redis-1\n", "")})

    assert "1 things of the drill are left: container longshore-drill-lab-redis-1" in ended(action).text


def test_a_service_that_can_not_be_drilled_is_read_to_its_end() -> None:
    """Another step, another sentence: nothing is started, each snapshot is read, and the reason is in the row."""
    action, fleet = make_drill(not_drilled="services/x.py does not say how its data comes back")

    judged = ended(action)

    assert action.key == "backup-readable"
    assert judged.text.startswith("redis: NOT DRILLED: services/x.py does not say how")
    assert fleet.api.made == []
    assert [len(fleet.asked("dump", item.snapshot)) for item in TAKEN] == [1, 1, 1]


def test_reading_finds_damage_too() -> None:
    """Without a drill a flipped bit is found as well."""
    action, _ = make_drill({f"dump {DATA.snapshot}": (1, "", DAMAGED)}, not_drilled="no reason")

    assert ended(action).verdict is Verdict.FAILED


def test_a_container_that_became_privileged_is_not_copied() -> None:
    """What is created is judged, not what was read when the drill was planned."""
    action, fleet = make_drill()
    changed = inspected()
    changed["HostConfig"]["Privileged"] = True
    fleet.api.inspect_container = lambda _name: changed  # type: ignore[method-assign]
    with pytest.raises(ActionError, match="is privileged"):
        action.do({})
    assert fleet.api.bodies == []
