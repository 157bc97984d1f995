"""The smallest set of remaps after which no move wants a port that somebody else has: exact, and the same each time.

A port that something which stays has must be remapped. Of moves that want one port of one target as few as possible
give way: first those whose published port is neither the product's own nor a well-known one, then the later ones of the
plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from checks.ports.claims import Claim, Level
from checks.ports.conflicts import collide
from checks.ports.planned_ports import PlannedPorts, PublishedPort, claims_that_stay, planned_claims
from engine.finding import say

WELL_KNOWN: Final = 1024
FIRST_STEP: Final = 10_000
"""5432 becomes 15432: a number that people recognise."""
LOWEST: Final = 10_000
HIGHEST: Final = 65_535


@dataclass(frozen=True)
class Remap:
    """A published port of a move that becomes another one on its target, and who has the old one there."""

    service: str
    source: str
    target: str
    port: PublishedPort
    to: int
    because: str

    @property
    def key(self) -> str:
        """Return the port as the plan's `ports` names it."""
        return self.port.key

    def text(self) -> str:
        """Return it as one line."""
        return say(
            "{service} on {target}: {key} becomes {to}/{protocol}, because {because} has it",
            service=self.service,
            target=self.target,
            key=self.key,
            to=self.to,
            protocol=self.port.protocol,
            because=self.because,
        )


@dataclass(frozen=True)
class _PortRequest:
    """One published port of one arrival, and its claim on the target."""

    position: int
    arrival: PlannedPorts
    port: PublishedPort
    claim: Claim

    @property
    def cost(self) -> tuple[int, int]:
        """Return how bad it is to remap: the product's own port first, then a well-known number, then the
        earlier move.
        """
        own, known = self.port.port == self.port.container, self.claim.first < WELL_KNOWN
        return 2 * own + known, -self.position


def plan_remaps(
    claims: Iterable[Claim],
    arrivals: Iterable[PlannedPorts],
    ephemeral: Iterable[tuple[int, int]],
    declared: Iterable[int] = (),
) -> list[Remap]:
    """Return the smallest set of remaps; `ephemeral` are the hosts' ranges for connections, `declared` ports to keep
    clear of too.

    Remaps that the plan has already stay as they are, unless they collide themselves.
    """
    claims, arrivals = tuple(claims), tuple(arrivals)
    wishes = list(_wishes(arrivals))
    fixed = [claim for claim in claims_that_stay(claims, arrivals) if claim.level > Level.DECLARED]
    fixed += [claim for claim in planned_claims(arrivals) if claim.kind == "relay"]
    given_way = [(wish, taken) for wish in wishes if (taken := _holder(wish, fixed))]
    kept = [wish for wish in wishes if not _holder(wish, fixed)]
    yielding = _cover(kept)
    given_way += [(wish, next(other.claim for other in kept if collide(wish.claim, other.claim))) for wish in yielding]
    numbers = _Numbers(_taken([*claims, *planned_claims(arrivals)], declared), tuple(ephemeral))
    given_way.sort(key=lambda pair: (pair[0].position, pair[0].port.port, pair[0].port.protocol))
    return [
        Remap(
            wish.arrival.service,
            wish.arrival.source,
            wish.arrival.target,
            wish.port,
            numbers.choose(wish.port.port),
            holder.who,
        )
        for wish, holder in given_way
    ]


def with_remaps(arrivals: Iterable[PlannedPorts], remaps: Iterable[Remap]) -> tuple[PlannedPorts, ...]:
    """Return the moves as they would be with these remaps."""
    more: dict[str, dict[str, int]] = {}
    for remap in remaps:
        more.setdefault(remap.service, {})[remap.key] = remap.to
    return tuple(replace(arrival, remaps={**arrival.remaps, **more.get(arrival.service, {})}) for arrival in arrivals)


def _wishes(arrivals: Iterable[PlannedPorts]) -> Iterator[_PortRequest]:
    for position, arrival in enumerate(arrivals):
        claims = [claim for claim in planned_claims([arrival]) if claim.kind == "move"]
        for port, claim in zip(arrival.ports, claims, strict=False):
            yield _PortRequest(position, arrival, port, claim)


def _holder(wish: _PortRequest, fixed: Iterable[Claim]) -> Claim | None:
    return next((claim for claim in fixed if collide(wish.claim, claim)), None)


def _cover(wishes: list[_PortRequest]) -> list[_PortRequest]:
    """Return the fewest and cheapest wishes without which no two collide (an exact minimum vertex cover)."""
    rivals = {
        position: {other for other, its in enumerate(wishes) if collide(wish.claim, its.claim)}
        for position, wish in enumerate(wishes)
    }
    chosen: set[int] = set()
    for part in _parts(rivals):
        chosen |= _smallest(part, rivals, wishes)
    return [wishes[position] for position in sorted(chosen)]


def _parts(rivals: Mapping[int, set[int]]) -> Iterator[set[int]]:
    """Yield the groups that have to do with each other; what collides with nobody is in none."""
    left = {position for position, others in rivals.items() if others}
    while left:
        part, edge = set[int](), {min(left)}
        while edge:
            part |= edge
            edge = {other for position in edge for other in rivals[position]} - part
        left -= part
        yield part


def _smallest(part: set[int], rivals: Mapping[int, set[int]], wishes: list[_PortRequest]) -> set[int]:
    """Return the best cover of one group: of two that collide one gives way, tried both ways."""
    best: set[int] = set(part)

    def price(chosen: Iterable[int]) -> tuple[int, list[tuple[int, int]]]:
        listed = list(chosen)
        return len(listed), sorted((wishes[position].cost for position in listed), reverse=True)

    def search(chosen: set[int]) -> None:
        nonlocal best
        if len(chosen) > len(best):
            return
        pair = next(((one, other) for one in sorted(part - chosen) for other in sorted(rivals[one] - chosen)), None)
        if pair is None:
            if price(chosen) < price(best):
                best = chosen
            return
        search({*chosen, pair[0]})
        search({*chosen, *(rivals[pair[0]] & part)})  # pair[0] stays: all its rivals must go

    search(set())
    return best


def _taken(claims: Iterable[Claim], declared: Iterable[int]) -> list[tuple[int, int]]:
    """Return the stretches of ports that are taken anywhere, whatever the protocol: a new number shall mean
    one thing.
    """
    return [*((claim.first, claim.last) for claim in claims), *((port, port) for port in declared)]


@dataclass
class _Numbers:
    """New port numbers: free on every host, and out of the ranges from which connections take theirs."""

    taken: list[tuple[int, int]]
    ephemeral: tuple[tuple[int, int], ...]

    def choose(self, port: int) -> int:
        """Return a number for a port and remember it as taken: the same with 1 or 2 before it, else the
        next free one.
        """
        wanted = [port + step for step in (FIRST_STEP, 2 * FIRST_STEP)]
        following = [*range(LOWEST + port % FIRST_STEP, HIGHEST + 1), *range(LOWEST, LOWEST + port % FIRST_STEP)]
        number = next((number for number in (*wanted, *following) if self._is_free(number)), port)
        self.taken.append((number, number))
        return number

    def _is_free(self, number: int) -> bool:
        spans = (*self.taken, *self.ephemeral)
        return number <= HIGHEST and not any(first <= number <= last for first, last in spans)
