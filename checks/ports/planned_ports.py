"""What the planned moves will want: ports on their targets, and the relays that keep the old ones on their sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from checks.ports.addresses import bound_of
from checks.ports.claims import Claim, Level


@dataclass(frozen=True)
class PublishedPort:
    """A port that a service publishes on the host that it leaves."""

    port: int
    container: int
    protocol: str = "tcp"
    address: str = ""

    @property
    def key(self) -> str:
        """Return it as a remap of the plan names it."""
        return f"{self.port}/{self.protocol}"


@dataclass(frozen=True)
class PlannedPorts:
    """One planned move as far as ports go; `identity` is what its container is called among the claims of
    its source.
    """

    service: str
    source: str
    target: str
    ports: tuple[PublishedPort, ...]
    identity: str = ""
    remaps: Mapping[str, int] = field(default_factory=dict)
    done: bool = False  # then the target's own container holds the ports
    addresses: Mapping[str, str] = field(default_factory=dict)  # of the source, and the target's instead

    def landed(self, port: PublishedPort) -> int:
        """Return the host port on the target."""
        return self.remaps.get(port.key, port.port)

    def address_on_target(self, port: PublishedPort) -> str:
        """Return the address on the target."""
        return self.addresses.get(port.address, port.address)

    def relayed(self) -> Iterator[PublishedPort]:
        """Yield the ports that a relay keeps on the source: only TCP can be relayed."""
        return (port for port in self.ports if port.protocol == "tcp")


def planned_claims(arrivals: Iterable[PlannedPorts]) -> Iterator[Claim]:
    """Yield what each move that is not done wants on its target, and its relays on its source."""
    for arrival in arrivals:
        if arrival.done:
            continue
        for port in arrival.ports:
            number, address = arrival.landed(port), arrival.address_on_target(port)
            who = f"{arrival.service} when it arrives from {arrival.source}"
            yield Claim(
                arrival.target,
                number,
                number,
                port.protocol,
                bound_of(address),
                Level.CLAIMED,
                "move",
                who,
                f"move {arrival.service}",
                address,
            )
        for port in arrival.relayed():
            who = f"the relay that keeps {arrival.service}'s old port"
            identity = f"relay {arrival.service}"
            yield Claim(
                arrival.source,
                port.port,
                port.port,
                "tcp",
                bound_of(port.address),
                Level.CLAIMED,
                "relay",
                who,
                identity,
                port.address,
            )


def claims_that_stay(claims: Iterable[Claim], arrivals: Iterable[PlannedPorts]) -> Iterator[Claim]:
    """Yield the claims that remain when every service has left its source; what is left of it there is kept stopped."""
    leaving = {(arrival.source, arrival.identity) for arrival in arrivals}
    return (claim for claim in claims if (claim.host, claim.identity) not in leaving)
