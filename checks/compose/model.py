"""What a compose project declares, as values: its services, their ports, and what of it was not understood."""

from __future__ import annotations

from dataclasses import dataclass

from checks.compose.ports import Published
from checks.compose.yaml_nodes import SourceLine
from engine.finding import say

HOST_NETWORK = "host"


@dataclass(frozen=True, order=True)
class ComposeProblem:
    """A place that was not understood; line 0 is the file as a whole."""

    file: str
    line: int
    reason: str

    def text(self) -> str:
        """Return it as one line."""
        return (
            say("{file}:{line}: {reason}", file=self.file, line=self.line, reason=self.reason)
            if self.line
            else say("{file}: {reason}", file=self.file, reason=self.reason)
        )


@dataclass(frozen=True)
class DeclaredPort:
    """Ports that a service publishes, and the place that says so."""

    published: Published
    place: SourceLine


@dataclass(frozen=True)
class ComposeService:
    """One service of a project, after overrides, extends and interpolation."""

    name: str
    place: SourceLine
    ports: tuple[DeclaredPort, ...]
    exposed: tuple[DeclaredPort, ...]
    network_mode: str
    profiles: tuple[str, ...]
    is_active: bool  # `docker compose up` without more words starts it
    replicas: int
    container_name: str

    @property
    def on_host_network(self) -> bool:
        """Return whether it listens on the host itself, where `ports` mean nothing and what it exposes is taken."""
        return self.network_mode == HOST_NETWORK

    @property
    def claimed(self) -> tuple[DeclaredPort, ...]:
        """Return the host ports that it needs: those it publishes, or on the host's network those it exposes."""
        return self.exposed if self.on_host_network else self.ports


@dataclass(frozen=True)
class ComposeProject:
    """One project: the files that Compose would read together, and what they declare."""

    folder: str
    name: str
    files: tuple[str, ...]
    read: tuple[str, ...]  # all files that were read for it: included, extended and .env files too
    services: tuple[ComposeService, ...]
    troubles: tuple[ComposeProblem, ...]
    is_default: bool  # `docker compose up` in its folder reads it, or containers were started from it
    unset: tuple[str, ...]  # variables without a value, which become empty texts
