"""What a move needs to ask and act: scope, hosts, journal, products, put together once per run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final

from engine.config.inventory import ServiceEntry
from engine.config.scope import PlannedMove, Scope
from engine.contracts.container import CommandResult, ContainerCommand, ContainerFacts, MountFacts
from engine.contracts.fingerprint import Fingerprint, FingerprintPart, Validity
from engine.contracts.host import Endpoint
from engine.contracts.move_state import MoveState
from engine.contracts.product import Product, ServiceInstance
from engine.errors import NotObservedError
from engine.finding import say
from engine.journal.journal import Journal, Run
from engine.journal.kinds import RecordKind
from engine.journal.name_digests import Sealer, keep_names, sealer_of
from engine.redaction.redactor import Redactor
from engine.run.xdist_worker import BufferedRun
from hosts.docker.exec import begun, exec_in_container
from hosts.facts.model import HostFacts
from hosts.fleet import Fleet
from hosts.local.secret_references import resolve_secret
from hosts.manifest.reader import read_manifest
from phases.context.attempt import attempt_began, return_began, settled_states
from phases.context.audit_mirror import AuditMirror
from phases.context.fingerprint_records import part_body, part_of, without_secret_names
from phases.context.plain_progress import plain_progress
from services.registry import product

"""States in which clients are sent to the target; a rollback sends them back when it starts the source."""

OF_ATTEMPT: Final = frozenset({"source", "target"})
"""Moments of fingerprints that belong to one attempt of a move."""
OF_ROLLBACK: Final = frozenset({"return", "returned"})
"""Those that belong to one rollback."""


@dataclass(frozen=True)
class RunContext:
    """What a whole run shares: its scope, hosts and records; what is about one move is a `ServiceMove`."""

    scope: Scope
    fleet: Fleet
    journal: Journal
    run: Run | AuditMirror | BufferedRun
    redactor: Redactor
    waits: Callable[[str, float], None] = lambda _what, _deadline_s: None
    """Gets what is waited for and for how many seconds at most, so that a person sees it."""
    reporters: Callable[[str], Callable[[str], None]] = plain_progress
    """Returns the function that shows how far a long action of a service is."""
    private: Path | None = None
    """The run's folder of what stays on this machine; without one nothing is written there."""

    @cached_property
    def sealer(self) -> Sealer:
        """Return how names of data are called in this environment's records."""
        return sealer_of(self.journal)

    def _keep_names(self, title: str, names: Mapping[str, str]) -> None:
        if self.private is not None and names:
            keep_names(self.private, title, names)

    def _on_record(self, service: str, host: str) -> Fingerprint | None:
        """Return the last reading that later ones are held to: that of the cutover, else that of the source; None on
        the source itself.
        """
        move = next((move for move in self.scope.moves if move.service == service), None)
        if move is None or host == move.source:
            return None
        return self.recorded_fingerprint(service, "cutover") or self.recorded_fingerprint(service, "source")

    def forget_facts(self) -> None:
        """Gather facts again at the next question: something was changed."""
        for host in self.scope.hosts:
            self.fleet.forget_facts(host)

    def sources(self) -> tuple[str, ...]:
        """Return the hosts that services leave."""
        return tuple(dict.fromkeys(move.source for move in self.scope.moves))

    def architectures(self) -> dict[str, str]:
        """Return the processor architecture of each host that services leave."""
        return {host: self.facts(host).architecture for host in self.sources()}

    def entry(self, service: str) -> ServiceEntry:
        """Return the inventory's entry of a service."""
        return self.scope.services[service]

    def product(self, service: str) -> Product:
        """Return what is known about the service's product."""
        return product(self.entry(service).product)

    def facts(self, host: str) -> HostFacts:
        """Return the facts of a host, gathered once until something changes it."""
        facts = self.fleet.facts(host)
        self.fleet.cached(host, "secrets known", lambda: self._register_all(facts))
        return facts

    def _register_all(self, facts: HostFacts) -> int:
        for container in facts.containers:
            self.register(container)
        return len(facts.containers)

    def register(self, container: ContainerFacts) -> None:
        """Let the redactor know every secret that a container's facts show."""
        marked = self._marked(container.name)
        self.redactor.register_environment(container.env, marked)
        self.redactor.register_container(container.raw, marked)

    def _marked(self, container: str) -> frozenset[str]:
        """Return the variables and labels whose values are secret by the inventory's word; a kept source has its old
        name and more.
        """
        entries = self.scope.services.values()
        return frozenset(
            name for entry in entries if container.startswith(entry.container) for name in entry.secret_variables
        )

    def container(self, service: str, host: str) -> ContainerFacts:
        """Return the service's container on a host; raises CouldNotLookError when there is none."""
        name = self.entry(service).container
        container = self.facts(host).container(name)
        if container is None:
            raise NotObservedError(say("{host}: no container {name}. Look: docker ps -a", host=host, name=name))
        return container

    def target(self, service: str, host: str, *, published: bool = False) -> ServiceInstance:
        """Return the service on a host as a client meets it: at its container, or (`published`) at its host's port."""
        entry, container = self.entry(service), self.container(service, host)
        return ServiceInstance(
            service=service,
            container=container,
            endpoint=self._endpoint(main_port(entry), container, published=published),
            options=self._options(entry),
            secrets={
                name: self.redactor.register(resolve_secret(reference, container.env))
                for name, reference in entry.secrets.items()
            },
            files=lambda root: self._files(container, root),
            at_port=lambda port: self._endpoint(port, container, published=published),
            inside=lambda command: self._inside(container, command),
            sealed=self.sealer,
            names=lambda names: self._keep_names(f"{service}-{host}", names),
            recorded=lambda: self._on_record(service, host),
        )

    def _options(self, entry: ServiceEntry) -> Mapping[str, object]:
        health = entry.health.model_dump() if entry.health else None
        return {**entry.options, "health": health}

    def _endpoint(self, port: int, container: ContainerFacts, *, published: bool) -> Endpoint:
        host = self.fleet[container.host]
        if not published:
            return host.forward(port, container_address(container))
        for address, host_port, container_port, protocol in container.published:
            if container_port == port and protocol == "tcp":
                reached_at = host.address if address in {"", "0.0.0.0", "::"} else address  # noqa: S104 Docker's word
                return host.forward(host_port, reached_at)
        raise NotObservedError(
            say("{host}: {name} publishes no port for {port}/tcp", host=container.host, name=container.name, port=port)
        )

    def _inside(self, container: ContainerFacts, command: ContainerCommand) -> CommandResult:
        """Run a reading command inside a container; its secrets travel in the request, on no command line."""
        api = self.fleet.docker(container.host).api
        return begun(lambda: exec_in_container(api, container.host, container.name, command))

    def _files(self, container: ContainerFacts, root: str) -> Mapping[str, str]:
        mount = _mount_over(container, root)
        below = PurePosixPath(root).relative_to(mount.destination)
        manifest = read_manifest(self.fleet, container.host, mount.source)
        prefix = "" if str(below) == "." else f"{below}/"
        return {path.removeprefix(prefix): digest for path, digest in manifest.files() if path.startswith(prefix)}

    def record_fingerprint(self, service: str, host: str, moment: str, fingerprint: Fingerprint) -> None:
        """Write a fingerprint into the journal."""
        parts = {
            name: self._body_of(without_secret_names(part, self.redactor)) for name, part in fingerprint.parts.items()
        }
        self.run.record(
            RecordKind.FINGERPRINT,
            service=service,
            body={"service": service, "moment": moment, "host": host, "parts": parts},
        )

    def recorded_fingerprint(self, service: str, moment: str) -> Fingerprint | None:
        """Return the newest fingerprint of that moment, None when there is none.

        What is read in the course of a move counts for its attempt only, what is read for a rollback for that rollback
        only.
        """
        since = self._counts_since(service, moment)
        for record in reversed(self.journal.records(kind=RecordKind.FINGERPRINT, service=service)):
            if since is None or record.seq <= since:
                return None
            if record.body["moment"] == moment:
                parts = {name: self._part_of(body) for name, body in record.body["parts"].items()}
                return Fingerprint(service=service, parts=parts)
        return None

    def _counts_since(self, service: str, moment: str) -> int | None:
        """Return the seq after which a reading of that moment counts, None when none does."""
        if moment in OF_ROLLBACK:
            return return_began(self.journal, service)
        return attempt_began(self.journal, service) if moment in OF_ATTEMPT else 0

    def _body_of(self, part: FingerprintPart) -> dict[str, object]:
        """Return a part as the journal keeps it; where names are sealed, with what identifies that salt."""
        sealed = bool(part.names) and all(name.startswith("#") for name in part.names)
        return part_body(part) | ({"salt": self.sealer.id} if sealed else {})

    def _part_of(self, body: Mapping[str, Any]) -> FingerprintPart:
        """Return a recorded part; one whose names were sealed with a salt that was lost (an adopted journal) can't be
        looked up again.
        """
        part = part_of(body)
        readable = body.get("salt") in {None, self.sealer.id}
        return part if readable else FingerprintPart(part.count, part.digest, Validity.AT_CUTOVER, part.bound)

    def where(self) -> dict[str, str]:
        """Return on which host each service is now: its target once its move is committed, else its inventory host.

        All moves of the plan count, also those that this run leaves out: their relays must stay.
        """
        return where_now(self.scope, self.journal)

    def move_of(self, service: str) -> PlannedMove:
        """Return the planned move of a service."""
        return next(move for move in self.scope.moves if move.service == service)


def where_now(scope: Scope, journal: Journal | None) -> dict[str, str]:
    """Return on which host each service is now, by the journal; without one nothing was moved yet."""
    places = {name: entry.host for name, entry in scope.services.items()}
    states = settled_states(journal) if journal else {}
    for move in scope.plan.moves:
        state = states.get(move.service, MoveState.PLANNED)
        if move.service in places and (state.serves_target or state is MoveState.ROLLING_BACK):
            places[move.service] = move.target
    return places


def main_port(entry: ServiceEntry) -> int:
    """Return the container port at which the service is asked: its health port, else its first published one."""
    if entry.health and entry.health.port:
        return entry.health.port
    return entry.ports[0].container


def container_address(container: ContainerFacts) -> str:
    """Return the container's address on one of its networks; raises CouldNotLookError when it has none."""
    networks = container.raw["NetworkSettings"]["Networks"]
    for network in networks.values():
        if network.get("IPAddress"):
            return str(network["IPAddress"])
    raise NotObservedError(
        say(
            "{host}: {name} has no address; it is {state}",
            host=container.host,
            name=container.name,
            state=container.state,
        )
    )


def _mount_over(container: ContainerFacts, path: str) -> MountFacts:
    wanted = PurePosixPath(path)
    covering = [mount for mount in container.mounts if wanted.is_relative_to(mount.destination) and mount.source]
    if not covering:
        raise NotObservedError(
            say("{host}: no mount of {name} holds {path}", host=container.host, name=container.name, path=path)
        )
    return max(covering, key=lambda mount: len(mount.destination))
