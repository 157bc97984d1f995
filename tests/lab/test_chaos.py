"""The operator's process is killed with -9, over and over, in whole migrations: what was begun is finished, and nothing
is lost.
"""

from __future__ import annotations

import random
from typing import Any, Final

import pytest

from tests.lab import at_hand, killing
from tests.lab.at_hand import TARGETS
from tests.lab.killing import Ended, Seen

APPLY: Final = ("migrate", "--lab", "--apply")
MOST_STARTS: Final = 120
MOMENTS: Final = (
    ("intent", "stop-source", 0.0),
    ("intent", "copy-volumes", 0.8),
    ("outcome", "create-target", 0.0),
    ("intent", "commit", 0.3),
)
"""Kinds of moments for the short form: in the middle of a stop, of a copy, between two deeds, in the middle of the
commit.
"""

pytestmark = [pytest.mark.lab, pytest.mark.full]


@pytest.fixture
def approved(raised_lab: None) -> dict[str, Any]:
    """Preflight and approve on the prepared lab; return what the application was acknowledged until then."""
    at_hand.prepared_lab()
    at_hand.preflight_and_approve()
    return at_hand.orders("/state")


def _assert_as_undisturbed(last: Ended, acknowledged: dict[str, Any], services: tuple[str, ...]) -> None:
    """Assert what an undisturbed run leaves: services on targets, fingerprints equal, nothing lost, no leftovers, whole
    chains.
    """
    assert last.code == 0, last.output[-4000:]
    assert {service: killing.both_sides(service) for service in services} == dict.fromkeys(services, (False, True))
    validate = at_hand.run_phase("validate", *(word for service in services for word in ("--service", service)))
    assert validate.code == 0, validate.output[-4000:]
    assert killing.lost_writes(acknowledged) == []
    assert killing.leftovers() == []
    assert killing.broken_chains() == []


def test_killed_at_each_kind_of_moment(approved: dict[str, Any]) -> None:
    """Killed in a stop, in a copy, between two deeds and in the commit of one move: the fifth start ends it as if
    nothing had been.
    """
    flags = ("--service", "redis")
    for kind, key, delay_s in MOMENTS:
        ended = killing.run_until(
            lambda seen, kind=kind, key=key: (seen.kind, seen.key) == (kind, key), *APPLY, *flags, delay_s=delay_s
        )
        assert ended.killed_at is not None, f"{kind} {key}: ended by itself with {ended.code}: {ended.output[-3000:]}"
    last = killing.run_until(lambda _: False, *APPLY, *flags)
    _assert_as_undisturbed(last, approved, ("redis",))


def test_killed_at_every_step_boundary(approved: dict[str, Any]) -> None:
    """A whole migration of all services, killed after each single outcome: at least 40 kills, and the same end as
    without.

    A question is asked again by the next start, so its boundary is met once more; it is killed there once.
    """
    kills: list[Seen] = []
    for _ in range(MOST_STARTS):
        met = {(seen.service, seen.key) for seen in kills}
        ended = killing.run_until(
            lambda seen, met=met: seen.fresh_outcome and (seen.service, seen.key) not in met, *APPLY
        )
        if ended.killed_at is None:
            break
        kills.append(ended.killed_at)
    print(f"{len(kills)} kills, at: {', '.join(f'{seen.service}/{seen.key}' for seen in kills)}")
    assert len(kills) >= 40
    _assert_as_undisturbed(ended, approved, tuple(TARGETS))


def test_killed_at_random_moments(approved: dict[str, Any]) -> None:
    """A whole migration killed at random moments in the middle of deeds, copies most of all."""
    chance, kills = random.Random(20260205), 0
    for _ in range(MOST_STARTS):
        share = 0.5 if kills < 12 else 0.0
        ended = killing.run_until(
            lambda seen, share=share: (
                seen.kind == "intent"
                and (seen.key == "copy-volumes" or chance.random() < 0.2)
                and chance.random() < share
            ),
            *APPLY,
            delay_s=chance.uniform(0.0, 1.5),
        )
        if ended.killed_at is None and ended.code == 0:
            break
        kills += 1
    print(f"{kills} kills at random moments")
    assert kills >= 5
    _assert_as_undisturbed(ended, approved, tuple(TARGETS))
