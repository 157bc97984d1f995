"""The names that a service needs when it starts: relayed on its target before it is started there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actions.common.base_action import RouteAction
from actions.relays.planning import Relay, wanted_forwarders
from actions.relays.reconcile import LOOK, apply_forwarders, faults_of, list_all
from engine.config.scope import Scope
from engine.contracts.action import Note
from engine.finding import joined, say
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
        needed = joined("; ", sorted(relay.text() for relay in self.wanted)) or say(
            "nothing, all of it is on this host"
        )
        return say(
            "{target}: relay what {service} needs: {needed}",
            target=self.route.target,
            service=self.route.service,
            needed=needed,
        )

    def estimate_s(self) -> float | None:
        """Return seconds."""
        return 1.0 + len(self.wanted)

    def do(self, note: Note) -> None:
        """Create the missing relays and keep those that are there."""
        self.route.audit(self.route.target, self.key, self.describe())
        done = apply_forwarders(self.route.fleet, self.route.environment, self.hosts, self.before | self.wanted)
        note["created"] = list(done.created)

    def verify(self, note: Note) -> Judgement:  # noqa: ARG002
        """Judge whether each wanted relay runs."""
        route = self.route
        if not self.wanted:
            return passed(
                say(
                    "{target}: what {service} needs by name is on this host: no relay needed",
                    target=route.target,
                    service=route.service,
                ),
                relays=0,
            )
        missing = faults_of(self.wanted, list_all(route.fleet, self.hosts, route.environment))
        if missing:
            return failed(
                say(
                    "{target}: {missing_count} of {wanted_count} relays that {service} needs do not run: "
                    "{first_missing}. Expected: all. Try: ssh {target} {look}",
                    target=route.target,
                    missing_count=len(missing),
                    wanted_count=len(self.wanted),
                    service=route.service,
                    first_missing=missing[0],
                    look=LOOK,
                ),
                tuple(missing),
            )
        lines = tuple(sorted(relay.text() for relay in self.wanted))
        return passed(
            say(
                "{target}: {count} names that {service} uses lead to where they are served",
                target=route.target,
                count=len(self.wanted),
                service=route.service,
            ),
            lines,
            relays=len(lines),
        )

    def undo(self, note: Note) -> None:  # noqa: ARG002
        """Take away the relays that nobody else needs."""
        apply_forwarders(self.route.fleet, self.route.environment, self.hosts, self.before)
