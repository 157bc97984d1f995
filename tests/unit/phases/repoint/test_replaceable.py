"""Whether a dependant whose container is stopped or made anew for its references loses something by it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from actions.references.file import FileReference
from actions.references.variable import VariableReference
from checks.containers.state_paths import Change
from engine.config.reference_rules import Reload, Rewrite
from engine.contracts.container import ContainerFacts, MountFacts
from engine.verdict import Verdict
from phases.repoint import readonly_steps
from phases.repoint.readonly_steps import _replaceable
from services.registry import product
from tests.fakes.facts import make_container

DRIVER = Change("A", "/plugins/duckdb.metabase-driver.jar")
TMPFS = (MountFacts("tmpfs", "", "/data", read_only=False),)


def pointing(name: str, container: ContainerFacts, *references: Any) -> Any:
    """Return the references of one dependant of a product."""
    context = SimpleNamespace(
        container=lambda *_: container,
        product=lambda _: product(name),
        entry=lambda _: SimpleNamespace(ignore_writable_layer_because=None),
        target=lambda *_: None,
    )
    return SimpleNamespace(context=context, host_of=lambda _: "wf005", references=references)


def made_anew(service: str) -> Any:
    """Return variables of a service's container."""
    return VariableReference(SimpleNamespace(service=service), {}, "")  # type: ignore[arg-type]


def in_a_file(service: str, reload: Reload) -> Any:
    """Return a file that a service's container reads again."""
    rewrite = Rewrite.model_construct(kind="file", reload=reload)
    return FileReference(SimpleNamespace(service=service), rewrite, "", "")  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a driver lie in the container's own layer."""
    monkeypatch.setattr(readonly_steps, "read_changes", lambda *_: (DRIVER,))


def test_what_a_product_doubts_is_no_noise_when_its_container_is_made_anew() -> None:
    """A driver that somebody put into Metabase's folder would go with the old container."""
    container = make_container(image_ref="metabase/metabase:v0.56.4", mounts=())
    answer = _replaceable(pointing("metabase", container, made_anew("metabase")), "metabase")
    assert answer.verdict is Verdict.FAILED
    assert "duckdb" in answer.text


@pytest.mark.parametrize("reference", [made_anew("redis"), in_a_file("redis", Reload(restart=True))])
def test_state_in_memory_is_lost_by_the_stop(reference: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that is made anew or started again begins with an empty tmpfs."""
    monkeypatch.setattr(type(product("redis")), "lost_by_stop", lambda *_: ())
    answer = _replaceable(pointing("redis", make_container(mounts=TMPFS), reference), "redis")
    assert answer.verdict is Verdict.FAILED
    assert "lies in memory (tmpfs)" in answer.text


@pytest.mark.parametrize("reference", [made_anew("redis"), in_a_file("redis", Reload(restart=True))])
def test_a_store_that_keeps_nothing_is_not_stopped(reference: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys would be gone, for a reference."""
    monkeypatch.setattr(readonly_steps, "read_changes", lambda *_: ())
    monkeypatch.setattr(type(product("redis")), "lost_by_stop", lambda *_: ("it keeps nothing on disk",))
    answer = _replaceable(pointing("redis", make_container(), reference), "redis")
    assert answer.verdict is Verdict.FAILED
    assert "it keeps nothing on disk" in answer.text


def test_a_file_that_is_read_again_by_a_signal_stops_nothing() -> None:
    """Nothing to lose."""
    reference = in_a_file("redis", Reload(signal="HUP"))
    assert _replaceable(pointing("redis", make_container(mounts=TMPFS), reference), "redis").passed
