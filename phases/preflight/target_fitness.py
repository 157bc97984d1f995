"""Questions of preflight about what a move meets on its target, and about the night as a whole."""

from __future__ import annotations

from collections.abc import Iterable

from checks.dependencies.graph import DependencyGraph, read_references
from checks.hosts import system
from engine.contracts.product import NeedsKernel
from engine.errors import NotObservedError
from engine.verdict import Judgement
from hosts.facts.model import HostFacts
from phases.context.run_context import RunContext
from phases.context.service_facts import mount_rules, source_of, space_needs


def judge_engine(context: RunContext, facts: HostFacts) -> Judgement:
    """Judge whether a host's engine is of an ordinary kind; the other hosts' kinds are told."""
    return system.judge_engine(facts, _answering(context, (host for host in context.scope.hosts if host != facts.host)))


def judge_place(context: RunContext, service: str) -> tuple[Judgement, ...]:
    """Judge whether the disks that a service's data goes to can be written, and have inodes."""
    target = context.facts(context.move_of(service).target)
    target.need_docker()
    paths = (f"{target.docker_root}/volumes", *(need.path for need in space_needs(context, service)))
    return system.judge_writable(target, paths), system.judge_inodes(target, paths)


def judge_kernel(context: RunContext, service: str) -> Judgement:
    """Judge whether the target's kernel is set as the service needs it."""
    move, product = context.move_of(service), context.product(service)
    needs = product.kernel_needs if isinstance(product, NeedsKernel) else ()
    source, container = source_of(context, service)
    return system.judge_kernel(source, context.facts(move.target), container, needs)


def judge_owners(context: RunContext, service: str) -> Judgement:
    """Judge whether the service's files belong to nobody else on the target."""
    source, container = source_of(context, service)
    return system.judge_owners(
        source, context.facts(context.move_of(service).target), container, mount_rules(context, service)
    )


def find_references(context: RunContext) -> DependencyGraph:
    """Return who depends on whom on the hosts of this run."""
    where = context.where()
    services = {(where[name], entry.container): name for name, entry in context.scope.services.items()}
    addresses = {identity.address: host for host, identity in context.scope.environment.hosts.items()}
    answers = {host: _facts(context, host) for host in context.scope.hosts}
    blind = {host: str(answer) for host, answer in answers.items() if isinstance(answer, NotObservedError)}
    seen = [answer for answer in answers.values() if isinstance(answer, HostFacts)]
    return read_references(seen, context.scope.links, services, addresses).with_unreachable(blind)


def _answering(context: RunContext, hosts: Iterable[str]) -> list[HostFacts]:
    """Return the facts of the hosts that answer; the others have rows of their own."""
    return [answer for host in hosts if isinstance(answer := _facts(context, host), HostFacts)]


def _facts(context: RunContext, host: str) -> HostFacts | NotObservedError:
    try:
        return context.facts(host)
    except NotObservedError as error:
        return error
