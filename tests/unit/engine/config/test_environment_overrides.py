"""A lab may play a service by another image and mounts; no real environment may, and none changes what a service is."""

from __future__ import annotations

from typing import Any

import pytest

from engine.config.environment import Environment, override_problems
from engine.config.inventory import ServiceEntry
from engine.config.scope import build_scope
from tests.fakes.project_files import ENVIRONMENT, make_environment, make_inventory, make_plan, spoiled

OTHER = {"image": "longshore-lab/redis:1", "mounts": [{"source": "other", "path": "/data"}], "secrets": {}}


def _problems(given: dict[str, Any], *, lab: bool = True) -> list[str]:
    content = spoiled(ENVIRONMENT, ("overrides", given))
    for host in content["hosts"].values():
        host["lab"] = lab
    services: dict[str, ServiceEntry] = dict(make_inventory().services)
    return list(override_problems(Environment.model_validate(content), services))


def test_given_keys_replace_those_of_the_inventory() -> None:
    """What is given counts, as a whole; what is not given stays."""
    scope = build_scope(make_inventory(), make_plan(), make_environment(("overrides", {"redis": OTHER})))
    entry, real = scope.services["redis"], make_inventory().services["redis"]
    assert (entry.image, entry.mounts[0].source, entry.secrets) == ("longshore-lab/redis:1", "other", {})
    assert (entry.product, entry.host, entry.container, entry.ports) == (
        real.product,
        real.host,
        real.container,
        real.ports,
    )


def test_people_approve_what_is_played() -> None:
    """Another image in its place is another digest: no approval of the one opens the other."""
    plain = build_scope(make_inventory(), make_plan(), make_environment())
    played = build_scope(make_inventory(), make_plan(), make_environment(("overrides", {"redis": OTHER})))
    assert plain.digest != played.digest


def test_nothing_is_wrong_with_a_lab_that_plays_a_service() -> None:
    """The keys are those of the inventory."""
    assert _problems({"redis": OTHER}) == []


@pytest.mark.parametrize(
    ("given", "lab", "expected"),
    [
        (
            {"redis": OTHER},
            False,
            "overrides: hosts that are no lab hosts; expected the services as the inventory has them",
        ),
        ({"redis": {"host": "wf001"}}, True, "overrides/redis/host: is what the service is"),
        ({"rediss": OTHER}, True, 'overrides/rediss: unknown service "rediss"'),
        ({"redis": {"mounts": [{"source": "x"}]}}, True, "overrides/redis/mounts/0/path: Field required"),
        ({"redis": {"imagee": "x"}}, True, "overrides/redis/imagee: Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_is_reported_with_its_place(given: dict[str, Any], lab: bool, expected: str) -> None:
    """Real hosts, what a service is, unknown names and wrong shapes are refused."""
    assert any(problem.startswith(expected) for problem in _problems(given, lab=lab))
