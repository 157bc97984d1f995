"""The names that a service needs when it starts: relayed on its target before it is started there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actions.common.base_action import RouteAction
from actions.relays.planning import Relay, wanted_forwarders
from actions.relays.reconcile import LOOK, apply_forwarders, faults_of, list_all
from engine.config.scope import Scope
from engine.contracts.action import Note
from engine.verdict import Judgement, failed, passed


def own_links(scope: Scope, service: str, after: Mapping[str, str]) -> frozenset[Relay]:
    """Return the relays on the service's host of `after` that keep the names which the service itself uses."""
    names = {(link.name, link.port) for link in scope.links if link.from_ == service}
    host = after[service]
    return frozenset(
        relay for relay in wanted_forwarders(scope, after) if relay.host == host and (relay.alias, relay.port) in names
    )


@dataclass(frozen=True)
class RelayDependencies(RouteAction):
    """Relay on the target what the service needs by name; no client of the service itself is switched, so nothing is
    committed.
    """

    wanted: frozenset[Relay]
    before: frozenset[Relay]
    hosts: tuple[str, ...]
    key = "relay-dependencies"

    def describe(self) -> str:
        """Return the dry run's line."""
        needed = "; ".join(sorted(relay.text() for relay in self.wanted)) or "nothing, all of it is on this host"
        return f"{self.route.target}: relay what {self.route.service} needs: {needed}"

    def estimate_s(self) -> float | None:
        """Return seconds."""
        return 1.0 + len(self.wanted)

    def do(self, note: Note) -> None:
        """Create what is missing beside the relays that are there."""
        self.route.audit(self.route.target, self.key, self.describe())
        done = apply_forwarders(self.route.fleet, self.route.environment, self.hosts, self.before | self.wanted)
        note["created"] = list(done.created)

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether each wanted relay runs."""
        route = self.route
        if not self.wanted:
            return passed(
                f"{route.target}: what {route.service} needs by name is on this host: no relay needed", relays=0
            )
        missing = faults_of(self.wanted, list_all(route.fleet, self.hosts, route.environment))
        if missing:
            return failed(
                f"{route.target}: {len(missing)} of {len(self.wanted)} relays that {route.service} needs do not run: "
                f"{missing[0]}. "
                f"Expected: all. Try: ssh {route.target} {LOOK}",
                tuple(missing),
            )
        told = tuple(sorted(relay.text() for relay in self.wanted))
        return passed(
            f"{route.target}: {len(self.wanted)} names that {route.service} uses lead to where they are served",
            told,
            relays=len(told),
        )

    def undo(self, note: Note) -> None:  # noqa: ARG002
        """Take away the relays that nobody else needs."""
        apply_forwarders(self.route.fleet, self.route.environment, self.hosts, self.before)
