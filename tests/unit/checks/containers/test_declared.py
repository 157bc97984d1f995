"""The inventory describes a container as it is, or every difference is reported."""

from __future__ import annotations

from typing import Any

import pytest

from checks.containers.declared import judge_container_as_declared
from engine.config.inventory import ServiceEntry
from engine.contracts.container import MountFacts
from engine.verdict import Verdict
from tests.fakes.facts import make_container

ENTRY: dict[str, Any] = {
    "product": "redis",
    "host": "wf005",
    "container": "redis",
    "image": "redis:8",
    "networks": ["shop"],
    "ports": [{"host": 6379, "container": 6379}],
    "mounts": [{"source": "redis_data", "path": "/data"}],
}
DATA = MountFacts("volume", "redis_data", "/data", read_only=False)


def declared(**given: Any) -> ServiceEntry:
    """Return redis as the inventory declares it."""
    return ServiceEntry.model_validate({**ENTRY, **given})


def test_a_true_entry_passes_with_the_number_of_facts() -> None:
    """Image, one mount, one port, one network."""
    judged = judge_container_as_declared(declared(), make_container())

    assert (judged.verdict, judged.measured) == (Verdict.PASSED, {"facts": 4})


@pytest.mark.parametrize(
    ("entry", "container", "line"),
    [
        ({"image": "redis:7"}, {}, "image is redis:8, declared redis:7"),
        ({"mounts": []}, {}, "mounts: volume redis_data → /data is not declared"),
        (
            {},
            {"mounts": (DATA, MountFacts("bind", "/srv/r.conf", "/r.conf", read_only=True))},
            "mounts: bind /srv/r.conf → /r.conf is not declared",
        ),
        (
            {"mounts": [*ENTRY["mounts"], {"source": "more", "path": "/more"}]},
            {},
            "mounts: volume more → /more is declared, the container has it not",
        ),
        ({"ports": []}, {}, "ports: 6379→6379/tcp is not declared"),
        ({}, {"published": ()}, "ports: 6379→6379/tcp is declared, the container has it not"),
        ({"networks": ["shop", "apps"]}, {}, "networks: apps is declared, the container has it not"),
        ({}, {"networks": {"shop": (), "metrics": ()}}, "networks: metrics is not declared"),
        ({}, {"raw": {"HostConfig": {"Tmpfs": {"/scratch": "size=64m"}}}}, "mounts: tmpfs → /scratch is not declared"),
    ],
)
def test_each_difference_is_reported(entry: dict[str, Any], container: dict[str, Any], line: str) -> None:
    """A volume that nobody declared would stay behind: it fails before the night."""
    judged = judge_container_as_declared(declared(**entry), make_container(**container))

    assert judged.verdict is Verdict.FAILED
    assert judged.details == (line,)
    assert f"1 differences to inventory.yaml: {line}. Expected" in judged.text


def test_all_differences_are_reported_at_once() -> None:
    """A person corrects the file once."""
    judged = judge_container_as_declared(declared(image="redis:7", ports=[], networks=[]), make_container())

    assert len(judged.details) == 3
    assert "3 differences" in judged.text


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::"])  # noqa: S104 compared, never bound
def test_every_address_is_one_whatever_docker_calls_it(address: str) -> None:
    """Docker writes nothing, 0.0.0.0 or :: for a port without an address."""
    judged = judge_container_as_declared(declared(), make_container(published=((address, 6379, 6379, "tcp"),)))

    assert judged.passed


def test_a_declared_address_and_tmpfs_are_compared() -> None:
    """A port for this machine only, and a tmpfs, as Docker lists them."""
    entry = declared(
        ports=[{"host": 6379, "container": 6379, "address": "127.0.0.1"}],
        mounts=[*ENTRY["mounts"], {"kind": "tmpfs", "path": "/scratch", "rule": "drop"}],
    )
    container = make_container(
        published=(("127.0.0.1", 6379, 6379, "tcp"),), raw={"HostConfig": {"Tmpfs": {"/scratch": ""}}}
    )

    assert judge_container_as_declared(entry, container).passed
    assert not judge_container_as_declared(entry, make_container(raw=container.raw)).passed
