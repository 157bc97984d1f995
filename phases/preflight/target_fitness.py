"""What preflight looks at on the hosts of the run, for its checks of targets and links."""

from __future__ import annotations

from collections.abc import Iterable

from checks.dependencies.graph import DependencyGraph, read_references
from engine.contracts.product import KernelNeed, NeedsKernel, Product
from engine.errors import NotObservedError
from hosts.facts.model import HostFacts
from phases.context.run_context import RunContext
from phases.context.service_move import ServiceMove


def answering(context: RunContext, *, but: str) -> list[HostFacts]:
    """Return the facts of the other hosts that answer; those that do not have rows of their own."""
    hosts = (host for host in context.scope.hosts if host != but)
    return [answer for host in hosts if isinstance(answer := _facts(context, host), HostFacts)]


def data_paths(move: ServiceMove) -> tuple[str, ...]:
    """Return where on the target the service's data goes: Docker's volumes folder, and the paths of what is copied."""
    target = move.target_facts()
    target.need_docker()
    return (f"{target.docker_root}/volumes", *(need.path for need in move.space_needs()))


def kernel_needs_of(product: Product) -> Iterable[KernelNeed]:
    """Return how a product needs the kernel to be set; most need nothing."""
    return product.kernel_needs if isinstance(product, NeedsKernel) else ()


def find_references(context: RunContext) -> DependencyGraph:
    """Return who depends on whom on the hosts of this run."""
    where = context.where()
    services = {(where[name], entry.container): name for name, entry in context.scope.services.items()}
    addresses = {identity.address: host for host, identity in context.scope.environment.hosts.items()}
    answers = {host: _facts(context, host) for host in context.scope.hosts}
    blind = {host: str(answer) for host, answer in answers.items() if isinstance(answer, NotObservedError)}
    seen = [answer for answer in answers.values() if isinstance(answer, HostFacts)]
    return read_references(seen, context.scope.links, services, addresses).with_unreachable(blind)


def _facts(context: RunContext, host: str) -> HostFacts | NotObservedError:
    try:
        return context.facts(host)
    except NotObservedError as error:
        return error
