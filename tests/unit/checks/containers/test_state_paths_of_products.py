"""Where a product keeps its state, as its container's settings say; and stores that are in memory only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checks.containers.state_paths import judge_state_paths
from engine.contracts.container import MountFacts
from engine.contracts.product import PlacesItsState
from phases.assess.readiness import state_paths_of
from services.registry import PRODUCTS, product
from tests.fakes.http_product import target

VOLUME = (MountFacts("volume", "v", "/data", read_only=False),)


@pytest.mark.parametrize(
    ("name", "environment", "config", "paths"),
    [
        ("grafana", {"GF_PATHS_DATA": "/srv/g"}, {}, ("/srv/g",)),
        ("postgres", {"PGDATA": "/var/lib/postgresql/18/docker"}, {}, ("/var/lib/postgresql/18/docker",)),
        ("n8n", {"N8N_USER_FOLDER": "/srv/n8n/"}, {}, ("/srv/n8n/.n8n",)),
        ("rabbitmq", {"RABBITMQ_MNESIA_BASE": "/mq"}, {}, ("/var/lib/rabbitmq", "/mq")),
        ("caddy", {"XDG_DATA_HOME": "/d"}, {}, ("/d", "/config")),
        ("prometheus", {}, {"Entrypoint": ["/bin/prometheus"], "Cmd": ["--storage.tsdb.path=/tsdb"]}, ("/tsdb",)),
        (
            "prometheus",
            {},
            {"Entrypoint": ["/bin/prometheus"], "Cmd": ["--config.file=/x"], "WorkingDir": "/prometheus"},
            ("/prometheus/data",),
        ),
        (
            "minio",
            {},
            {"Cmd": ["server", "/disk{1...2}", "--certs-dir", "/certs", "--console-address", ":9001"]},
            ("/disk1", "/disk2"),
        ),
        ("minio", {"MINIO_VOLUMES": "/export"}, {"Cmd": ["server"]}, ("/export",)),
    ],
)
def test_settings_say_where_state_lies(
    name: str, environment: dict[str, str], config: dict[str, Any], paths: tuple[str, ...]
) -> None:
    """A folder that was moved by a setting must lie on a mount, wherever the usual one lies."""
    container = replace(target(name).container, env=environment, raw={"Config": config}, mounts=VOLUME)

    assert state_paths_of(product(name), container) == paths
    assert not judge_state_paths(container, paths).passed


@pytest.mark.parametrize("name", sorted(PRODUCTS))
def test_without_settings_it_lies_at_the_usual_place(name: str) -> None:
    """Where nothing is said, each product's own default counts."""
    known, container = product(name), target(name).container

    assert state_paths_of(known, container) == (
        known.state_paths_of(container) if isinstance(known, PlacesItsState) else known.state_paths
    )
    assert state_paths_of(known, container) == known.state_paths


@pytest.mark.parametrize(
    ("name", "environment", "command", "lost"),
    [
        ("keycloak", {"KC_DB": "dev-mem"}, [], "its realms are in memory"),
        ("keycloak", {"KC_DB": "postgres"}, ["start"], ""),
        ("keycloak", {}, ["start-dev", "--db=dev-mem"], "its realms are in memory"),
        ("temporal", {}, ["server", "start-dev"], "its workflows are in memory"),
        ("temporal", {}, ["server", "start-dev", "--db-filename", "/data/t.db"], ""),
        (
            "temporal",
            {},
            ["server", "start-dev", "--db-filename=/tmp/t.db"],
            "--db-filename /tmp/t.db: lies on no mount",
        ),
        ("temporal", {}, ["start"], ""),
    ],
)
def test_a_store_in_memory_is_reported_before_its_stop(
    name: str, environment: dict[str, str], command: list[str], lost: str
) -> None:
    """Its stop would lose everything, and an undo would bring back an empty one."""
    at = target(name)
    known: Any = product(name)
    losses = known.lost_by_stop(
        replace(at, container=replace(at.container, env=environment, raw={"Config": {"Cmd": command}}, mounts=VOLUME))
    )

    assert bool(losses) == bool(lost)
    assert not lost or lost in losses[0]
