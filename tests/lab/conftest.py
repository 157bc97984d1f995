"""The lab and one whole rehearsal on it, shared by the tests that only look; no test here is ever skipped."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab import at_hand
from tests.lab.at_hand import ALL_TARGETS, HOSTS, SOURCE, TARGETS, Ran
from tests.lab.polling import Polled, polling

POLLED = {"core": "8080/health", "all": "5678/healthz/readiness"}
"""What a client asks all the time: the application on the core, n8n among all."""
LONG_S = 1800.0
"""Thirteen services on a machine that does other work too."""


@dataclass(frozen=True)
class Rehearsal:
    """Everything that was run and seen: phases by name, snapshots around the dry run, specifications before
    the move.
    """

    prepare: Ran
    preflight: Ran
    dry_run: Ran
    migrate: Ran
    validate: Ran
    before_dry_run: dict[str, Any]
    after_dry_run: dict[str, Any]
    specifications: dict[str, dict[str, Any]]
    orders_before: dict[str, Any]
    orders_after: dict[str, Any]
    polled: Polled

    @property
    def phases(self) -> dict[str, Ran]:
        """Return the four phases that a rehearsal consists of."""
        return {name: getattr(self, name) for name in ("prepare", "preflight", "migrate", "validate")}


@pytest.fixture(scope="session")
def raised_lab() -> Iterator[None]:
    """Raise the lab; without Docker this is an error, never a skip. Faults of an earlier, killed session are undone."""
    at_hand.lab("up")
    at_hand.heal()
    yield
    at_hand.heal()


@pytest.fixture(scope="module")
def fresh_lab(raised_lab: None) -> None:
    """Give back the untouched hosts."""
    at_hand.reset("core")


@pytest.fixture(scope="module")
def prepared_lab(raised_lab: None) -> None:
    """Give back the hosts as they are when all services are prepared."""
    at_hand.prepared_lab()


@pytest.fixture(scope="session")
def kept_prepared_lab(raised_lab: None) -> None:
    """Give back the prepared hosts once for all tests that leave them as they were; these run one after the other."""
    at_hand.prepared_lab()


@pytest.fixture(scope="session")
def rehearsal(raised_lab: None) -> Rehearsal:
    """Run the whole rehearsal once, as a person would; what it says is judged by the tests."""
    return _rehearse("core", tuple(TARGETS))


@pytest.fixture(scope="session")
def rehearsal_of_all(raised_lab: None) -> Iterator[Rehearsal]:
    """Run a rehearsal with all thirteen services once; the tests after it find the core again."""
    yield _rehearse("all", tuple(ALL_TARGETS))
    at_hand.reset("core")


@pytest.fixture(scope="session")
def core_images() -> None:
    """Have the images of the hosts and of the core services, for tests that need no host; a lab may run meanwhile."""
    at_hand.core_images()


@pytest.fixture(scope="session")
def all_images() -> None:
    """Have the images of all services, for tests that run one of them without the hosts."""
    at_hand.lab("images", "--services", "all")


def _rehearse(choice: str, services: tuple[str, ...]) -> Rehearsal:
    at_hand.reset(choice)
    prepare = at_hand.prepare(LONG_S) if choice == "core" else at_hand.run_phase("prepare", "--apply", timeout_s=LONG_S)
    preflight = at_hand.preflight_and_approve()
    before = at_hand.snapshot(*HOSTS)
    dry_run = at_hand.run_phase("migrate")
    after = at_hand.snapshot(*HOSTS)
    specifications = {service: at_hand.inspect(SOURCE, service) for service in services}
    orders_before = at_hand.orders("/state")
    watched = f"http://{at_hand.address(SOURCE)}:{POLLED[choice]}"
    with polling(watched) as polled:
        migrate = at_hand.run_phase("migrate", "--apply", timeout_s=LONG_S)
    orders_after = at_hand.orders("/state")
    at_hand.lab("names", "wf002")  # what a person does in the DNS
    validate = at_hand.run_phase("validate")
    return Rehearsal(
        prepare,
        preflight,
        dry_run,
        migrate,
        validate,
        before,
        after,
        specifications,
        orders_before,
        orders_after,
        polled,
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ask everything about the one rehearsal while it stands, then what leaves the prepared lab as it is, and about the
    rehearsal of all services at the end: the other tests want another lab.
    """
    items.sort(key=lambda item: _turn(getattr(item, "fixturenames", ())))


def _turn(fixtures: Collection[str]) -> int:
    order = {"rehearsal": 0, "kept_prepared_lab": 1, "rehearsal_of_all": 3}
    return min((turn for name, turn in order.items() if name in fixtures), default=2)
