"""After the move, that night and every night: does each service work, hold its data, and is the old one
still asleep?
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.contracts.step import Judge
from engine.saga.saga import RunningMove
from engine.verdict import Judgement
from phases.assess.health import judge_dependants
from phases.context.run_context import RunContext
from phases.validate import service_checks

pytestmark = [pytest.mark.validate, pytest.mark.read_only]


@pytest.mark.step("container-healthy")
def test_container_is_healthy(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """The container is running on its new host, reports healthy and has not restarted."""
    judge(service_checks.judge_container(context, move.service))


@pytest.mark.step("configuration-kept")
def test_configuration_is_kept(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """Its configuration is the same as the old container's, apart from the documented differences."""
    judge(service_checks.judge_configuration(context, move.service))


@pytest.mark.step("smoke")
def test_service_does_its_work(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """The service works when used as its clients use it."""
    judge(service_checks.judge_smoke(context, move.service))


@pytest.mark.step("fingerprint-holds")
def test_fingerprint_holds(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """The data it had at the cutover is still there."""
    judge(service_checks.judge_fingerprint(context, move.service))


@pytest.mark.step("dependants-work")
def test_dependants_work(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """The applications that depend on the service work."""
    judge(judge_dependants(context, move.service))


@pytest.mark.step("logs-clean")
def test_logs_are_clean(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """Its log since the move contains no line that indicates a problem."""
    judge(service_checks.judge_logs(context, move.service))


@pytest.mark.step("source-stays-stopped")
def test_source_stays_stopped(move: RunningMove, context: RunContext, judge: Judge) -> None:
    """The old container still exists and is stopped."""
    judge(service_checks.judge_source_asleep(context, move.service))


@pytest.mark.step("dns-switched")
def test_public_names_lead_to_the_new_host(
    move: RunningMove, context: RunContext, manual: Callable[..., Judgement], judge: Judge
) -> None:
    """Its public DNS names resolve to the new host, and the person who changed them attested it."""
    judge(manual(move.service), service_checks.judge_public_names(context, move.service))


@pytest.mark.step("message-sent")
def test_message_is_sent_by_a_person(move: RunningMove, manual: Callable[..., Judgement], judge: Judge) -> None:
    """A person sent and received a message, where no program may send one."""
    judge(manual(move.service))
