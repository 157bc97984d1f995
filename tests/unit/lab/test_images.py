"""The lab's images on the machine of its user: what is theirs stays theirs, and a silent registry costs
seconds once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, ImageNotFound

from lab import images, registry
from lab.images import IMAGE_LABEL, KEY_LABEL
from lab.registry import Registry
from lab.settings import HOST_IMAGE, HOSTS, MINIO, RABBITMQ, SERVICES, STAND_INS, TOOLBOX, Choice, LabError, local_name

DIGEST = "sha256:" + "a" * 64


@dataclass
class FakeImage:
    """An image with its names."""

    id: str
    tags: list[str]
    labels: dict[str, str] = field(default_factory=dict)
    given: list[tuple[str, str]] = field(default_factory=list)

    def tag(self, repository: str, tag: str) -> None:
        """Take one more name."""
        self.given.append((repository, tag))


class FakeEngine:
    """An engine that holds images; `images` is itself, as far as the lab asks."""

    def __init__(self, *held: FakeImage) -> None:
        self.held = list(held)
        self.removed: list[str] = []
        self.images = self

    def get(self, name: str) -> FakeImage:
        """Return an image by name or ID."""
        for image in self.held:
            if name in (*image.tags, image.id):
                return image
        raise ImageNotFound(name)

    def list(self, filters: dict[str, Any] | None = None) -> list[FakeImage]:
        """Return all, or those without a name that have a label."""
        if filters:
            return [image for image in self.held if not image.tags and filters["label"] in image.labels]
        return self.held

    def remove(self, name: str) -> None:
        """Note a removal."""
        self.removed.append(name)


def _built(tag: str, key: str = "k") -> FakeImage:
    return FakeImage(f"sha256:{tag}", [tag], {IMAGE_LABEL: "1", KEY_LABEL: key})


def test_the_lab_has_names_of_its_own() -> None:
    """No name that the lab uses on this machine's engine could be one of its user."""
    assert local_name("postgres:17") == "longshore-lab/postgres:17"
    assert local_name("prom/prometheus:v2.53.3") == "longshore-lab/prom-prometheus:v2.53.3"
    assert local_name("longshore-lab/orders:1") == "longshore-lab/orders:1"
    assert all(
        local_name(reference).startswith(("longshore-lab/", "longshore/"))
        for reference in (*images.FOLDERS, images.BASE)
    )


def test_removing_leaves_the_users_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """`down --all` removes the lab's names and its nameless old builds; postgres:17 and debian stay."""
    monkeypatch.setattr(images, "CACHE", tmp_path)
    nameless = FakeImage("sha256:old", [], {IMAGE_LABEL: "1"})
    theirs = [
        FakeImage("sha256:1", ["postgres:17"]),
        FakeImage("sha256:2", ["debian:trixie-slim"]),
        FakeImage("sha256:3", []),
    ]
    engine = FakeEngine(*theirs, _built("longshore-lab/postgres:17"), _built(TOOLBOX), nameless)
    assert images.remove_images(engine) == []
    assert engine.removed == ["longshore-lab/postgres:17", TOOLBOX, "sha256:old"]


def test_a_toolbox_that_the_lab_did_not_build_is_used_and_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """The toolbox is longshore's, not the lab's: one that is there is neither built again nor removed."""
    monkeypatch.setattr(images, "CACHE", tmp_path)
    engine = FakeEngine(FakeImage("sha256:1", [TOOLBOX]))
    assert images._origin(engine, TOOLBOX, images.FOLDERS[TOOLBOX]) == images.FOUND
    images.remove_images(engine)
    assert engine.removed == []


def test_an_image_of_older_files_is_built_again() -> None:
    """An image is current while the files that built it are the same."""
    reference, folder = "postgres:17", images.FOLDERS["postgres:17"]
    current, older = (_built("longshore-lab/postgres:17", key) for key in (images.key_of(folder), "older"))
    assert images._origin(FakeEngine(current), reference, folder) == images.BUILT
    assert images._origin(FakeEngine(older), reference, folder) is None
    assert images._origin(FakeEngine(FakeImage("sha256:1", ["postgres:17"])), reference, folder) is None


def test_a_stand_in_is_called_so_and_an_official_image_is_not() -> None:
    """What plays MinIO says what it is; pulled from a registry it is MinIO; Debian's RabbitMQ is RabbitMQ."""
    built = _built(local_name(MINIO), images.key_of(images.FOLDERS[MINIO]))
    pulled = FakeImage("sha256:9", [local_name(MINIO)])
    rabbitmq = _built(local_name(RABBITMQ), images.key_of(images.FOLDERS[RABBITMQ]))
    assert images._origin(FakeEngine(built), MINIO, images.FOLDERS[MINIO]) == "stand-in: SeaweedFS"
    assert images._origin(FakeEngine(pulled), MINIO, images.FOLDERS[MINIO]) == images.OFFICIAL
    assert images._origin(FakeEngine(rabbitmq), RABBITMQ, images.FOLDERS[RABBITMQ]) == images.BUILT


def test_every_service_of_the_lab_has_its_image_on_the_source() -> None:
    """An image that is built is loaded somewhere, and one that is loaded is built."""
    loaded = {image for plan in HOSTS for image in plan.images(Choice.ALL)}
    assert loaded | {HOST_IMAGE} == set(images.FOLDERS)
    assert {service for service, _ in STAND_INS.values()} <= set(SERVICES)


def test_a_core_lab_asks_for_no_image_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """What every change is tested with is built of six images, whatever else the lab could hold."""
    built: list[str] = []
    monkeypatch.setattr(images, "Registry", lambda _client, _say: SimpleNamespace(pull=lambda _reference, _name: False))
    monkeypatch.setattr(images, "_ensure_base", lambda *_: None)
    monkeypatch.setattr(images, "_build", lambda reference, _say: built.append(reference))
    engine: Any = FakeEngine()
    images.ensure_images(engine, lambda _: None, Choice.CORE)
    assert set(built) == {
        HOST_IMAGE,
        TOOLBOX,
        "postgres:17",
        "redis:8",
        "prom/prometheus:v2.53.3",
        "longshore-lab/orders:1",
    }
    built.clear()
    assert images.ensure_images(engine, lambda _: None, Choice.ALL)[MINIO] == "stand-in: SeaweedFS"
    assert set(built) == set(images.FOLDERS)


def test_a_refused_removal_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """An image that something uses stays, the others go, and the text gives the reason."""
    monkeypatch.setattr(images, "CACHE", tmp_path)

    class Busy(FakeEngine):
        def remove(self, name: str) -> None:
            if "redis" in name:
                raise APIError("conflict", explanation="in use")
            super().remove(name)

    engine = Busy(_built("longshore-lab/redis:8"), _built("longshore-lab/orders:1"))
    assert images.remove_images(engine) == ["longshore-lab/redis:8: in use"]
    assert engine.removed == ["longshore-lab/orders:1"]


def test_a_registry_that_is_silent_is_asked_once() -> None:
    """After one refusal nothing is asked again in this run, and the reason is given once."""
    asked: list[str] = []
    messages: list[str] = []

    def ask(reference: str) -> str:
        asked.append(reference)
        raise LabError("no such host")

    silent = Registry(FakeEngine(), messages.append, ask)
    assert [silent.pull(name, local_name(name)) for name in ("postgres:17", "redis:8", "debian:trixie-slim")] == [
        False
    ] * 3
    assert asked == ["postgres:17"]
    assert len(messages) == 1
    assert "no such host" in messages[0]


def test_pulling_moves_no_tag_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """An official image comes by digest and gets the lab's name; the digest's own name goes unless it was there."""
    ran: list[list[str]] = []
    pinned = f"prom/prometheus@{DIGEST}"
    image = FakeImage("sha256:1", [])
    engine = FakeEngine(image)

    def run(argv: list[str], **_: Any) -> bytes:
        ran.append(argv)
        image.tags.append(pinned)
        return b""

    monkeypatch.setattr(registry, "run", run)
    answering = Registry(engine, lambda _: None, lambda _: DIGEST)
    assert answering.pull("prom/prometheus:v2.53.3", "longshore-lab/prom-prometheus:v2.53.3")
    assert ran == [["docker", "pull", "--quiet", pinned]]
    assert image.given == [("longshore-lab/prom-prometheus", "v2.53.3")]
    assert engine.removed == [pinned]
    assert answering.pull("prom/prometheus:v2.53.3", "longshore-lab/prom-prometheus:v2.53.3")
    assert engine.removed == [pinned], "a digest that was there before is the user's"
