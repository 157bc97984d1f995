"""A preparation that is killed at each change, undone or given again from an empty note: nothing of it is left but the
backup and the image.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final

import docker.errors
import pytest

from actions.backup.backup import TakeBackup
from actions.backup.restic import Repository
from actions.backup.restore_drill import RestoreDrill
from actions.common.route import Route
from actions.copy.locations import DataPlace
from actions.copy.ssh_channel import Channel, Peer
from actions.images.ship import ShipImage
from engine.contracts.action import Action
from engine.contracts.container import CommandResult, ContainerCommand
from engine.errors import LongshoreError
from engine.redaction.redactor import Secret
from tests.fakes.facts import LABEL
from tests.fakes.inspect_answer import inspected
from tests.fakes.two_hosts import Killed
from tests.unit.actions.backup.test_restore_drill import FINE, LOADS, MOUNTS, RULES, TAKEN

SOURCE, TARGET, BACKUP = "wf005", "wf001", "wf002"
IMAGE: Final = {
    "Id": inspected()["Image"],
    "RootFS": {"Layers": ["sha256:a"]},
    "Architecture": "amd64",
    "Size": 9,
    "RepoTags": ["redis:8"],
}
ROLE: Final = re.compile(r"longshore\.role=(\w+)")
SUMMARY: Final = '{"message_type": "summary", "snapshot_id": "%064x", "total_bytes_processed": 100}\n'
PURPOSES: Final = {"image": (SOURCE, TARGET), "backup": (SOURCE, BACKUP), "drill": (TARGET, BACKUP)}


class Hosts(dict[str, Any]):
    """Three hosts with what a preparation makes there, and how often it changed them."""

    token: str | None = None

    def __init__(self) -> None:
        """Start with a service on its source and an empty repository."""
        super().__init__(
            {name: SimpleNamespace(name=name, run=self._runner(name)) for name in (SOURCE, TARGET, BACKUP)}
        )
        self.helpers: set[tuple[str, str, int]] = set()
        self.made: set[tuple[str, str]] = set()
        self.keys: set[str] = set()
        self.images, self.tags = {SOURCE}, [""]
        self.snapshots = self.steps = self.last_step = self.silent_for = 0
        self.one_at_a_time = threading.RLock()

    def step(self) -> None:
        """Count a change; the process may be killed before it."""
        with self.one_at_a_time:
            self.steps += 1
            if self.last_step and self.steps > self.last_step:
                raise Killed

    def forget_facts(self, _name: str) -> None:
        """Remember nothing."""

    def facts(self, _name: str) -> Any:
        """Return a host without images."""
        return SimpleNamespace(images=())

    @property
    def names(self) -> tuple[str, ...]:
        """Return the hosts."""
        return tuple(self)

    def docker(self, name: str) -> Any:
        """Return an engine."""
        return SimpleNamespace(api=Api(self, name))

    def _runner(self, name: str) -> Any:
        def run(argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> CommandResult:
            out, error = self._answer(name, argv, " ".join(argv))
            return CommandResult(tuple(argv), 0, out.encode(), error.encode(), 0.0)

        return run

    def _answer(self, name: str, argv: list[str], line: str) -> tuple[str, str]:
        role = ROLE.search(line)
        if argv[:2] == ["docker", "ps"]:
            return "\n".join(
                f"{number}" for host, kind, number in sorted(self.helpers) if host == name and role and kind == role[1]
            ), ""
        if argv[:3] == ["docker", "rm", "--force"]:
            self.step()
            self.helpers -= {one for one in self.helpers if str(one[2]) in argv}
        elif argv[0] == "docker" and argv[1:3] in (["volume", "ls"], ["network", "ls"]):
            return "\n".join(sorted(what for kind, what in self.made if kind == argv[1])), ""
        elif argv[0] == "docker" and argv[1:3] in (["volume", "rm"], ["network", "rm"]):
            self.step()
            self.made -= {(argv[1], what) for what in argv[3:]}
        elif "make" in argv and "mkdir" in line:
            self.step()
            return "repository", ""
        elif role and ("docker run" in line or "docker save" in line):
            return self._helper(name, role[1], line)
        return "", ""

    def _helper(self, name: str, role: str, line: str) -> tuple[str, str]:
        """Run a helper, which outlives the process that asked for it."""
        self.step()
        helper = (name, role, self.steps)
        self.helpers.add(helper)
        self.step()
        self.helpers.discard(helper)
        if "docker save" in line:
            self.images.add(TARGET)
        if "backup --json" in line:
            with self.one_at_a_time:
                self.snapshots += 1
                return SUMMARY % self.snapshots, "0"
        return "", "\n0 0\n"


class Api:
    """One engine: images, scratch volumes, networks and containers; nothing of the service can be stopped or removed
    through it.
    """

    def __init__(self, hosts: Hosts, name: str) -> None:
        """Belong to a host."""
        self.hosts, self.name = hosts, name

    def inspect_container(self, name: str) -> dict[str, Any]:
        """Return the service's container."""
        if self.name == SOURCE and name == "redis":
            return inspected()
        raise docker.errors.NotFound("no", explanation="no")

    def inspect_image(self, _name: str) -> dict[str, Any]:
        """Return the image where it is."""
        if self.name in self.hosts.images:
            return IMAGE
        raise docker.errors.ImageNotFound("no", explanation="no")

    def images(self, name: str) -> list[dict[str, Any]]:
        """Return who has a tag."""
        return [IMAGE] if name in self.hosts.tags else []

    def tag(self, _image: str, repository: str, tag: str, *, force: bool) -> None:
        """Give a tag."""
        assert not force
        self.hosts.step()
        self.hosts.tags.append(f"{repository}:{tag}")

    def create_volume(self, name: str, labels: dict[str, str]) -> None:
        """Make a labelled volume."""
        assert labels["longshore.role"] == "drill"
        self.hosts.step()
        self.hosts.made.add(("volume", name))

    def inspect_volume(self, name: str) -> dict[str, Any]:
        """Return where it lies."""
        return {"Mountpoint": f"/docker/{name}"}

    def create_network(self, name: str, **given: Any) -> None:
        """Make a network without a way out."""
        assert given["internal"]
        self.hosts.step()
        self.hosts.made.add(("network", name))

    def create_container_from_config(self, body: dict[str, Any], _name: str) -> None:
        """Make the scratch copy."""
        self.hosts.step()
        self.hosts.helpers.add((self.name, body["Labels"]["longshore.role"], self.hosts.steps))

    def start(self, _name: str) -> None:
        """Start it."""
        self.hosts.step()


@pytest.fixture(autouse=True)
def way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let keys be names."""

    def make(fleet: Hosts, source: str, peer: Peer, *, purpose: str, **_: Any) -> Channel:
        assert PURPOSES[purpose] == (source, peer.host)
        fleet.step()
        fleet.keys.add(purpose)
        return Channel(f"/run/{purpose}", peer)

    def close(fleet: Hosts, source: str, host: str, *, purpose: str, **_: Any) -> None:
        assert PURPOSES[purpose] == (source, host)
        if purpose in fleet.keys:
            fleet.step()
            fleet.keys.discard(purpose)

    monkeypatch.setattr("actions.copy.ssh_channel.make_channel", make)
    monkeypatch.setattr("actions.images.ship.has_key", lambda fleet, _source, *, purpose, **_: purpose in fleet.keys)
    for room in ("copy.ssh_channel", "images.ship", "backup.backup", "backup.restore_drill"):
        monkeypatch.setattr(f"actions.{room}.close_channel", close)
    monkeypatch.setattr("actions.common.route.append_audit", lambda *_, **__: None)


def preparation() -> tuple[Hosts, list[Action]]:
    """Return the hosts and what is prepared there, in order."""
    hosts = Hosts()
    fleet: Any = hosts
    route = Route(fleet, "redis", "redis", SOURCE, TARGET, LABEL)
    repository = Repository(Peer(BACKUP, "192.0.2.12", "ssh-ed25519 AAAA"), "/backups", Secret("pass-word-1"))
    export = ContainerCommand(("sh", "-c", "redis-cli --rdb -"), 60, saves_as="dump.rdb")
    places = (DataPlace("volume", "redis_data"), DataPlace("bind", "/srv/redis.conf"))
    return hosts, [
        ShipImage(route, Peer(TARGET, "192.0.2.1", "ssh-ed25519 AAAA")),
        TakeBackup(route, repository, (export,), places),
        RestoreDrill(route, repository, lambda: TAKEN, MOUNTS, RULES, (LOADS,), "", FINE),
    ]


def killed(hosts: Hosts, recipe: list[Action], last: int) -> int:
    """Prepare until a number of changes was made; return how many actions were begun."""
    hosts.last_step = last
    for number, action in enumerate(recipe, start=1):
        try:
            action.do({})
        except Killed:
            return number
        finally:
            hosts.last_step = 0 if number == len(recipe) or hosts.steps > last else last
    return len(recipe)


def moments() -> Iterator[int]:
    """Yield after how many changes a preparation can be killed."""
    hosts, recipe = preparation()
    assert killed(hosts, recipe, 10_000) == len(recipe)
    yield from range(1, hosts.steps + 1)


def left(hosts: Hosts) -> list[object]:
    """Return what is there that serves nobody."""
    return [*sorted(hosts.helpers), *sorted(hosts.made), *sorted(hosts.keys)]


def test_the_undo_of_a_killed_preparation_leaves_only_backup_and_image() -> None:
    """No helper, no scratch copy, no key on any host; a snapshot that was taken and an image that arrived stay."""
    for last in moments():
        hosts, recipe = preparation()
        begun = killed(hosts, recipe, last)
        kept = hosts.snapshots, set(hosts.images)
        for action in reversed(recipe[:begun]):
            action.undo({})
        assert left(hosts) == [], f"killed after {last} changes in {recipe[begun - 1].key}"
        assert (hosts.snapshots, hosts.images) == kept


def test_a_killed_preparation_that_is_given_again_comes_to_its_end() -> None:
    """What was done is seen, what was not is done; none passes by an empty note for what nobody looked at."""
    for last in moments():
        hosts, recipe = preparation()
        killed(hosts, recipe, last)
        for action in recipe:
            note: dict[str, Any] = {}
            if action.key != "image-shipped":
                assert not action.verify(note).passed, f"{action.key} passed by an empty note"
            if not action.verify(note).passed:
                action.do(note)
            assert action.verify(note).passed, f"killed after {last} changes: {action.verify(note).text}"
        assert left(hosts) == [], f"killed after {last} changes"
        assert hosts.images >= {TARGET}


def test_a_host_that_does_not_answer_keeps_no_undo_from_being_given_again() -> None:
    """It is an error that says so; the next undo ends right."""
    for last in moments():
        hosts, recipe = preparation()
        begun = killed(hosts, recipe, last)
        hosts.last_step = hosts.steps + 1  # killed once more, in the undo
        for action in reversed(recipe[:begun]):
            try:
                action.undo({})
            except (Killed, LongshoreError):
                break
        hosts.last_step = 0
        for action in reversed(recipe[:begun]):
            action.undo({})
        assert left(hosts) == [], f"killed after {last} changes in {recipe[begun - 1].key}"
