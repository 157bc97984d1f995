"""One move and all that is known of its service, resolved once: what checks and recipes are given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from actions.common.labels import move_label
from actions.copy.locations import DataPlace, places_to_copy
from checks.capacity.disk_space import SpaceNeed
from engine.config.inventory import ServiceEntry
from engine.config.scope import PlannedMove
from engine.container_names import kept_name
from engine.contracts.container import ContainerFacts
from engine.contracts.fingerprint import Fingerprint
from engine.contracts.product import Product, ServiceInstance
from engine.errors import InputError, NotObservedError
from engine.finding import say
from hosts.facts.model import HostFacts
from phases.context.attempt import read_past
from phases.context.run_context import RunContext


@dataclass(frozen=True)
class ServiceMove:
    """One planned move, with its service's entry in the inventory and its product.

    The fields and properties stay the same as long as the run lasts. What hosts and journal say changes while the move
    is performed, so it is a method: each call asks for what is so now. Facts of a host are gathered once until an
    action changes something (`RunContext.forget_facts`), so asking twice costs no second connection.
    """

    context: RunContext
    planned: PlannedMove
    entry: ServiceEntry
    product: Product

    @property
    def service(self) -> str:
        """Return the service's name."""
        return self.planned.service

    @property
    def source(self) -> str:
        """Return the host that the service leaves."""
        return self.planned.source

    @property
    def target(self) -> str:
        """Return the host that the service moves to."""
        return self.planned.target

    @property
    def environment(self) -> str:
        """Return the name of the run's environment."""
        return self.context.scope.environment.environment

    @cached_property
    def mount_rules(self) -> dict[str, str]:
        """Return each mount's rule by its path in the container."""
        return {mount.path: mount.rule for mount in self.entry.mounts if mount.kind != "tmpfs"}

    @property
    def dropped_mounts(self) -> tuple[str, ...]:
        """Return the container paths whose mounts stay behind."""
        return tuple(at for at, rule in self.mount_rules.items() if rule == "drop")

    def label(self) -> str:
        """Return the label of what the coming (or running) attempt of this move creates, by the journal as it is
        now.
        """
        return move_label(self.environment, self.service, read_past(self.context.journal, self.service).attempt)

    def source_facts(self) -> HostFacts:
        """Return the facts of the source as they are now."""
        return self.context.facts(self.source)

    def target_facts(self) -> HostFacts:
        """Return the facts of the target as they are now."""
        return self.context.facts(self.target)

    def find_container(self) -> ContainerFacts | None:
        """Return the source's container as it is now, under its own name or the one that a move gave it; None when
        there is none.
        """
        facts, name = self.source_facts(), self.entry.container
        return facts.container(name) or facts.container(kept_name(name))

    def container(self) -> ContainerFacts:
        """Return the source's container as it is now, under either name; raises CouldNotLookError when there is
        none.
        """
        return self.find_container() or self.container_on(self.source)

    def container_on(self, host: str) -> ContainerFacts:
        """Return the service's container on a host as it is now, under its own name; raises CouldNotLookError when
        there is none.
        """
        return self.context.container(self.service, host)

    def instance(self, host: str, *, published: bool = False) -> ServiceInstance:
        """Return the service on a host as a client meets it now: at its container, or (`published`) at its host's
        port.
        """
        return self.context.target(self.service, host, published=published)

    def fingerprint(self, host: str, since: Fingerprint | None) -> Fingerprint:
        """Return what the service holds on a host now."""
        return self.product.fingerprint(self.instance(host), since=since)

    def recorded_fingerprint(self, moment: str) -> Fingerprint | None:
        """Return the newest fingerprint of that moment on record now, None when there is none."""
        return self.context.recorded_fingerprint(self.service, moment)

    def record_fingerprint(self, host: str, moment: str, fingerprint: Fingerprint) -> None:
        """Write a fingerprint of the service into the journal."""
        self.context.record_fingerprint(self.service, host, moment, fingerprint)

    def places(self) -> tuple[DataPlace, ...]:
        """Return what has to travel: the mounts of the inventory with the rule copy, as preflight proved them to be."""
        container = self.find_container()
        if container is None:
            raise InputError(
                say(
                    "{source}: no container {container}. Expected: the one of inventory.yaml, services/{service}",
                    source=self.source,
                    container=self.entry.container,
                    service=self.service,
                )
            )
        return places_to_copy(container.mounts, self.mount_rules)

    def space_needs(self) -> tuple[SpaceNeed, ...]:
        """Return what the move will put on its target: one need per mount that is copied, by its size as measured now.

        Raises CouldNotLookError when the target's Docker Engine does not report where its volumes lie.
        """
        container = self.container()
        facts, target = self.source_facts(), self.target_facts()
        needs = []
        for mount in container.mounts:
            if self.mount_rules.get(mount.destination) != "copy":
                continue
            volume = facts.volume(mount.source) if mount.kind == "volume" else None
            size = volume.size_bytes if volume else facts.bind_size(mount.source)
            path = _volume_path(target, mount.source) if mount.kind == "volume" else mount.source
            needs.append(SpaceNeed(f"{self.service}: {mount.kind} {mount.source}", path, size))
        return tuple(needs)

    def bytes_to_copy(self) -> int | None:
        """Return the size, as measured now, of all that the move copies; None when some of it is not known."""
        try:
            sizes = [need.size_bytes for need in self.space_needs()]
        except NotObservedError:
            return None
        return None if any(size is None for size in sizes) else sum(size or 0 for size in sizes)


def service_move(context: RunContext, service: str) -> ServiceMove:
    """Return the planned move of a service, resolved."""
    return ServiceMove(context, context.move_of(service), context.entry(service), context.product(service))


def _volume_path(target: HostFacts, volume: str) -> str:
    """Return where a volume will lie: Docker's `volumes` folder may be on a disk of its own; raises
    CouldNotLookError.
    """
    target.need_docker()
    return f"{target.docker_root}/volumes/{volume}"
