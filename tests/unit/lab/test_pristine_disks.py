"""The kept disks of the lab: used only when they are whole, and of these very sources."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import NotFound

from lab import pristine_disks
from lab.settings import HOSTS, Choice

KEY = "0123456789abcdef"


@dataclass
class FakeVolume:
    """A volume with its labels."""

    name: str
    labels: dict[str, str]
    kept: list[FakeVolume] = field(repr=False, default_factory=list)
    created_at: str = ""

    @property
    def attrs(self) -> dict[str, Any]:
        """Return what the engine lists."""
        return {"Labels": self.labels, "CreatedAt": self.created_at}

    def remove(self, force: bool = False) -> None:
        """Go."""
        self.kept.remove(self)


class FakeEngine:
    """An engine that holds volumes, no container, and images whose ID gives their name and age."""

    def __init__(self, age: str = "") -> None:
        self.kept: list[FakeVolume] = []
        self.volumes = SimpleNamespace(list=self._volumes, create=self.create)
        self.containers = SimpleNamespace(get=self._no_container)
        self.images = SimpleNamespace(get=lambda name: SimpleNamespace(id=f"{name} {age}"))

    def create(self, name: str, labels: dict[str, str]) -> None:
        """Make a volume."""
        self.kept.append(FakeVolume(name, labels, self.kept, f"2026-01-01T00:00:{len(self.kept):02}Z"))

    def _volumes(self, filters: dict[str, str]) -> list[FakeVolume]:
        label, _, value = filters["label"].partition("=")
        return [volume for volume in self.kept if label in volume.labels and value in ("", volume.labels[label])]

    def _no_container(self, name: str) -> None:
        raise NotFound(name)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give each test a cache folder of its own."""
    monkeypatch.setattr(pristine_disks, "KEPT", tmp_path)
    return tmp_path


def _whole_set(engine: FakeEngine, key: str = KEY) -> None:
    for plan in HOSTS:
        engine.create(pristine_disks._volume(key, plan), {pristine_disks.GOLDEN_LABEL: key})
    pristine_disks._keep_passwords(key, {"redis": "made up"})
    engine.create(pristine_disks._marker(key), {pristine_disks.GOLDEN_LABEL: key})


def test_a_whole_set_is_used() -> None:
    """All disks, their passwords and the mark: that is a set."""
    engine = FakeEngine()
    _whole_set(engine)
    assert pristine_disks.is_there(engine, KEY)
    assert not pristine_disks.is_there(engine, "another")


@pytest.mark.parametrize("missing", range(4))
def test_a_set_that_was_interrupted_is_none(missing: int) -> None:
    """Without one disk, or without the mark that is made last, the set does not count."""
    engine = FakeEngine()
    _whole_set(engine)
    del engine.kept[missing]
    assert not pristine_disks.is_there(engine, KEY)


def test_disks_without_their_passwords_are_none(cache: Path) -> None:
    """A set whose passwords are lost does not count: the evidence's tests look for every secret."""
    engine = FakeEngine()
    _whole_set(engine)
    next(cache.glob("golden-*.json")).unlink()
    assert not pristine_disks.is_there(engine, KEY)


def test_old_sets_go(cache: Path) -> None:
    """Sets of any key go, whole or not; a volume of somebody else stays."""
    engine = FakeEngine()
    _whole_set(engine)
    engine.create(pristine_disks._volume("older", HOSTS[0]), {pristine_disks.GOLDEN_LABEL: "older"})
    engine.create("theirs", {})
    pristine_disks.remove_all(engine)
    assert [volume.name for volume in engine.kept] == ["theirs"]
    assert not list(cache.glob("golden-*.json"))


def test_a_new_set_leaves_the_newest_old_ones(cache: Path) -> None:
    """Before another set is made, incomplete ones and the oldest go; the newest stay, so that going back to them is
    quick.
    """
    engine = FakeEngine()
    for key in ("first", "second", "third"):
        _whole_set(engine, key)
    engine.create(pristine_disks._volume("broken", HOSTS[0]), {pristine_disks.GOLDEN_LABEL: "broken"})
    pristine_disks._make_room(engine)
    assert {volume.labels[pristine_disks.GOLDEN_LABEL] for volume in engine.kept} == {"second", "third"}
    assert pristine_disks.is_there(engine, "third")
    assert {file.name for file in cache.glob("golden-*.json")} == {"golden-second.json", "golden-third.json"}


def test_passwords_are_their_owners_alone(cache: Path) -> None:
    """The file with the services' passwords can be read by its owner only."""
    pristine_disks._keep_passwords(KEY, {"redis": "made up"})
    assert (cache / f"golden-{KEY}.json").stat().st_mode & 0o777 == 0o600


def test_the_key_follows_images_and_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another image of host or service, or other sources of the disks, is another set."""
    asked: list[str] = []
    engine: Any = FakeEngine()
    engine.images = SimpleNamespace(get=lambda name: asked.append(name) or SimpleNamespace(id=name))
    assert pristine_disks.key_of(engine, Choice.CORE) == pristine_disks.key_of(engine, Choice.CORE)
    assert "longshore-lab/host:1" in asked
    assert "longshore-lab/postgres:17" in asked
    assert pristine_disks.key_of(FakeEngine("older"), Choice.CORE) != pristine_disks.key_of(
        FakeEngine("newer"), Choice.CORE
    )
    before = pristine_disks.key_of(engine, Choice.CORE)
    assert not any("n8n" in name for name in asked)
    assert pristine_disks.key_of(engine, Choice.ALL) != before
    assert "longshore-lab/docker.n8n.io-n8nio-n8n:2.40.7" in asked
    monkeypatch.setattr(pristine_disks, "SOURCES", pristine_disks.SOURCES[1:])
    assert pristine_disks.key_of(engine, Choice.CORE) != before
