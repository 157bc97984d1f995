"""What of Temporal is pure: what retention may have taken, and a sample that is the same on both sides."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from engine.contracts.host import Endpoint
from engine.contracts.product import ServiceInstance
from services.fingerprints.named_parts import named_part
from services.temporal.fingerprint import GRACE_S, _kept, choose_sample, may_be_gone
from services.temporal.product import judge_carried_over, started_at
from tests.fakes.facts import make_container

DAY: int = 86_400
NOW: int = 1_800_000_000


def _open(read_at: int) -> Any:
    part = named_part({"letter-1 r1": "there"})
    return type(part)(part.count, part.digest, part.holds, {"read_at": read_at}, part.names)


def test_a_closed_workflow_may_be_gone_after_its_retention() -> None:
    """Its end stands in its digest; an hour before its time is over it is already excused, not earlier."""
    ended = {"old r": f"d@{NOW - DAY}", "soon r": f"d@{NOW - DAY + GRACE_S}", "young r": f"d@{NOW - DAY + GRACE_S + 1}"}
    assert may_be_gone(None, named_part(ended), DAY, NOW) == {"old r", "soon r"}


@pytest.mark.parametrize(("read_at", "excused"), [(NOW - DAY, {"letter-1 r1"}), (NOW - DAY + GRACE_S + 1, set())])
def test_an_open_workflow_may_have_ended_right_after_it_was_read(read_at: int, excused: set[str]) -> None:
    """Before the retention is over since then, it must still be known."""
    assert may_be_gone(_open(read_at), None, DAY, NOW) == excused


def test_what_may_be_gone_is_reported_as_it_was_and_nothing_else() -> None:
    """A workflow that is lost without excuse stays missing; one that is found is reported as found."""
    before = named_part({"excused r": "1", "lost r": "2", "found r": "3"})
    assert _kept({"found r": "4"}, before, {"excused r", "found r"}) == {"excused r": "1", "found r": "4"}


def test_a_sample_is_the_same_whatever_the_order() -> None:
    """Both sides read the same histories."""
    names = [f"order-{number} r" for number in range(100)]
    assert choose_sample(names) == choose_sample(reversed(names))
    assert len(choose_sample(names)) == 20


def test_the_start_is_that_of_the_container() -> None:
    """Polls and ends of workflows are compared with the start of this very container."""
    container = make_container(raw={"State": {"StartedAt": "2026-11-25T22:40:56.606615123Z"}})
    target = ServiceInstance("temporal", container, Endpoint("127.0.0.1", 7233), {}, {})
    assert started_at(target) == datetime(2026, 11, 25, 22, 40, 56, tzinfo=UTC)


@pytest.mark.parametrize(
    ("labels", "started"),
    [({}, "2126-11-25T22:40:56Z"), ({"longshore.move": "lab/temporal/1"}, "2026-01-01T00:00:00Z")],
)
def test_only_a_container_that_was_just_moved_is_asked_about_workflows_from_before(
    labels: dict[str, str], started: str
) -> None:
    """The old container may have run for months, and nights later retention has taken them: neither is a failure."""
    options = {"carried_over": {"namespace": "shop", "query": "WorkflowType = 'Deliver'"}}
    container = make_container(labels=labels, raw={"State": {"StartedAt": started}})
    judgement = judge_carried_over(ServiceInstance("temporal", container, Endpoint("127.0.0.1", 1), options, {}))
    assert judgement.passed
    assert "not moved within the last day" in judgement.text
