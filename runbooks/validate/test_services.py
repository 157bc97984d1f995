"""After the move, that night and every night: does each service work, hold its data, and is the old one
still asleep?
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from checks.containers.kept_source import judge_source_stays_stopped
from checks.containers.logs import judge_logs, read_since_start
from checks.hosts.dns import judge_public_names
from engine.contracts.step import Judge
from engine.finding import say
from engine.saga.saga import RunningMove
from engine.verdict import Judgement
from phases.assess.health import judge_dependants, judge_smoke
from phases.context.service_move import ServiceMove
from phases.validate.service_checks import (
    judge_configuration,
    judge_container,
    judge_fingerprint,
    names_seen,
    public_addresses,
)

pytestmark = [pytest.mark.validate, pytest.mark.read_only]


@pytest.mark.step("container-healthy")
def test_container_is_healthy(service_move: ServiceMove, judge: Judge) -> None:
    """The container is running on its new host, reports healthy and has not restarted."""
    judge(judge_container(service_move))


@pytest.mark.step("configuration-kept")
def test_configuration_is_kept(service_move: ServiceMove, judge: Judge) -> None:
    """Its configuration is the same as the old container's, apart from the documented differences."""
    judge(judge_configuration(service_move))


@pytest.mark.step("smoke")
def test_service_does_its_work(service_move: ServiceMove, judge: Judge) -> None:
    """The service works when used as its clients use it."""
    judge(judge_smoke(service_move.context, service_move.service, service_move.target))


@pytest.mark.step("fingerprint-holds")
def test_fingerprint_holds(service_move: ServiceMove, judge: Judge) -> None:
    """The data it had at the cutover is still there."""
    judge(judge_fingerprint(service_move))


@pytest.mark.step("dependants-work")
def test_dependants_work(service_move: ServiceMove, judge: Judge) -> None:
    """The applications that depend on the service work."""
    judge(judge_dependants(service_move))


@pytest.mark.step("logs-clean")
def test_logs_are_clean(service_move: ServiceMove, judge: Judge) -> None:
    """Its log since the move contains no line that indicates a problem."""
    host, product = service_move.target, service_move.product
    read = read_since_start(service_move.context.fleet[host], service_move.container_on(host))
    judge(
        judge_logs(
            say("{service} on {host}", service=service_move.service, host=host),
            read.lines,
            product.trouble,
            product.noise,
            read.cut,
        )
    )


@pytest.mark.step("source-stays-stopped")
def test_source_stays_stopped(service_move: ServiceMove, judge: Judge) -> None:
    """The old container still exists and is stopped."""
    judge(judge_source_stays_stopped(service_move.source_facts(), service_move.entry.container))


@pytest.mark.step("dns-switched")
def test_public_names_lead_to_the_new_host(
    service_move: ServiceMove, manual: Callable[..., Judgement], judge: Judge
) -> None:
    """Its public DNS names resolve to the new host, and the person who changed them attested it."""
    attested, seen = manual(service_move.service), names_seen(service_move)
    wanted = public_addresses(service_move)
    judge(attested, judge_public_names(seen, service_move.target, wanted, service_move.source))


@pytest.mark.step("message-sent")
def test_message_is_sent_by_a_person(move: RunningMove, manual: Callable[..., Judgement], judge: Judge) -> None:
    """A person sent and received a message, where no program may send one."""
    judge(manual(move.service))
